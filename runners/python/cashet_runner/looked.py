"""What an answer depends on, so that a caller can keep it and ask nothing but stat() again: files that were read,
folders in which something was looked for, and what was not there. A path is stat()ed before it is read."""

import os
import stat
import sys


class Looked:
    """@below: of another, whose paths count as well."""

    def __init__(self, below=None):
        self.files, self.folders, self.absent = {}, {}, {}
        self.below = below

    def at(self, path):
        """Something is read, listed or missed at @path."""
        if path in self.files or path in self.folders or path in self.absent:
            return
        try:
            now = os.stat(path)
        except (OSError, ValueError):
            self.absent[path] = None
            return
        if stat.S_ISDIR(now.st_mode):
            self.folders[path] = (now.st_mtime_ns, now.st_ino)
        else:
            self.file(path, now)

    def file(self, path, now):
        """@path is the file of which @now says what it is."""
        self.files[path] = (now.st_size, now.st_mtime_ns, now.st_ino)

    def row(self):
        """For JSON; None if a path cannot stand there."""
        files, folders, absent = {}, {}, {}
        one = self
        while one is not None:
            files.update(one.files)
            folders.update(one.folders)
            absent.update(one.absent)
            one = one.below
        try:
            "".join(files).encode("utf-8") + "".join(folders).encode("utf-8") + "".join(absent).encode("utf-8")
        except UnicodeEncodeError:
            return None
        return {"files": [(path,) + found for path, found in files.items()],
                "folders": [(path,) + found for path, found in folders.items()], "absent": list(absent)}


def of_this_program():
    """What every answer depends on: the interpreter, and this program."""
    found = Looked()
    here = os.path.dirname(os.path.abspath(__file__))
    for name in sorted(os.listdir(here)):
        if name.endswith(".py"):
            found.at(os.path.join(here, name))
    if sys.executable:
        found.at(os.path.abspath(sys.executable))
    return found
