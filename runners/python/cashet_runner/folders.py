"""The folder that a runner owns: where calls work, and what they print.

Looking whether a call touched its folders must cost less than the call. A folder's ctime changes with all that
happens in it; but only once in a tick of the file system's clock, so as long as the stamp is younger than a few
ticks the folder is read as well.
"""

import fcntl
import os
import stat
import sys
import time

from .channel import FILE_PART, INLINE, NOTHING, PART, file_part, keep, part

SETTLED_NS = 40_000_000
ONE_READ = 1 << 20
APPEND = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


class Broken(Exception):
    """The process cannot be made as it was; it ends behind the answer."""


class Folder:
    """One that is empty between calls. @fd is where it was: renamed or removed, its ctime is another."""

    def __init__(self, path):
        self.path, self.fd = path, -1
        os.makedirs(path, 0o777, exist_ok=True)
        self.empty()

    def look(self):
        """Makes it empty if it may not be. Return: whether it was touched."""
        try:
            if os.fstat(self.fd).st_ctime_ns == self.ctime:
                if self.settled:
                    return False
                self.settled = time.time_ns() - self.ctime > SETTLED_NS
                if not os.listdir(self.fd):
                    return False
        except OSError:
            pass
        self.empty()
        return True

    def empty(self):
        """Removes all that is in it, the folder itself if it is not one any more."""
        for again in (False, True):
            try:
                self._empty()
                return
            except OSError as e:
                if again:
                    raise Broken("cannot empty %s: %s" % (self.path, e.strerror)) from None
                permit(self.path)

    def _empty(self):
        try:
            now = os.lstat(self.path)
        except FileNotFoundError:
            now = None
        if now is not None and not stat.S_ISDIR(now.st_mode):
            os.unlink(self.path)
            now = None
        if now is None:
            os.mkdir(self.path, 0o777)
        elif now.st_mode & 0o7777 != 0o777 & ~UMASK:
            os.chmod(self.path, 0o777 & ~UMASK)
        remove_below(self.path)
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if self.fd >= 0:
            try:
                os.close(self.fd)
            except OSError:
                pass  # the call has
        self.fd = keep(fd)
        os.close(fd)
        self.ctime, self.settled = os.fstat(self.fd).st_ctime_ns, False


def remove_below(path):
    """Removes all that is in the folder @path; links are not followed."""
    with os.scandir(path) as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False):
                remove_below(entry.path)
                os.rmdir(entry.path)
            else:
                os.unlink(entry.path)


def permit(path):
    """Folders that a call has locked."""
    for folder, names, _ in os.walk(path):
        for name in names:
            inside = os.path.join(folder, name)
            if not os.path.islink(inside):
                os.chmod(inside, 0o700)


UMASK = os.umask(0o022)
os.umask(UMASK)


class Output:
    """One of the descriptors 1 and 2: a file that is empty between calls. @file: the same, out of the way."""

    def __init__(self, fd, path):
        self.fd, self.path, self.file = fd, path, -1
        self._open()

    def _open(self):
        if self.file >= 0:
            try:
                os.close(self.file)
            except OSError:
                pass  # a call has
        fd = os.open(self.path, APPEND, 0o666)
        self.file = keep(fd)
        if fd != self.fd:
            os.close(fd)
            os.dup2(self.file, self.fd)
        now = os.fstat(self.file)
        self.inode, self.device = now.st_ino, now.st_dev

    def size(self):
        """Bytes in it. The descriptor, and the file, are put back if a call has closed or removed them."""
        for fd in (self.fd, self.file):
            try:
                now = os.fstat(fd)
            except OSError:
                continue
            if now.st_ino == self.inode and now.st_dev == self.device:
                if fd != self.fd:
                    os.dup2(fd, self.fd)
                if now.st_nlink == 0:
                    self._again(now.st_size)
                return now.st_size
        self._open()
        return os.fstat(self.fd).st_size

    def _again(self, size):
        """A file of the same bytes where the removed one was."""
        data, at = os.dup(self.fd), 0
        self._open()
        try:
            while at < size:
                at += os.write(self.fd, os.pread(data, ONE_READ, at))
        finally:
            os.close(data)

    def take(self, size):
        data = b""
        while len(data) < size:
            more = os.pread(self.fd, size - len(data), len(data))
            if not more:
                break
            data += more
        os.ftruncate(self.fd, 0)
        os.lseek(self.fd, 0, os.SEEK_SET)
        fcntl.fcntl(self.fd, fcntl.F_SETFL, os.O_APPEND)
        return part(data)

    def move(self, path, name):
        """Gives the file itself away; where it was there is an empty one."""
        size = os.fstat(self.fd).st_size
        try:
            whole = os.stat(self.path).st_ino == self.inode
        except OSError:
            whole = False
        if not whole:  # a call has moved it
            self._again(size)
        os.rename(self.path, path)
        self._open()
        return file_part(size, name)


class Place:
    """DIR of the protocol."""

    def __init__(self, dir_, inline_max):
        self.dir, self.inline_max = os.path.realpath(dir_), inline_max
        dir_ = self.dir
        self.task = os.path.join(dir_, "task")
        self.checkpoint = os.path.join(dir_, "checkpoint")
        self.checkpoint_bytes = os.fsencode(self.checkpoint)
        self.results = os.path.join(dir_, "results")
        os.makedirs(self.results, 0o777, exist_ok=True)
        self.folders = [Folder(self.task), Folder(os.path.join(dir_, "tmp")), Folder(self.checkpoint)]
        os.chdir(self.task)
        self.out, self.err = Output(1, os.path.join(dir_, "out")), Output(2, os.path.join(dir_, "err"))
        self.out_text = self.err_text = None
        self.streams()

    def streams(self):
        """Python's own files for the two. Lines are written at once: a crash leaves what was printed."""
        out, err = self.out_text, self.err_text
        if out is None or out.closed or err.closed:
            self.put_descriptors_back()
            self.out_text = open(1, "w", 1, encoding="utf-8", errors="surrogateescape", closefd=False)
            self.err_text = open(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)
        sys.stdout = sys.__stdout__ = self.out_text
        sys.stderr = sys.__stderr__ = self.err_text

    @staticmethod
    def as_made(text, errors):
        """What a call has made of one by reconfigure()."""
        if text.errors != errors or text.encoding != "utf-8" or not text.line_buffering or text.write_through:
            text.reconfigure(encoding="utf-8", errors=errors, newline="\n", line_buffering=True, write_through=False)

    def put_descriptors_back(self):
        self.out.size()
        self.err.size()

    def flush(self):
        """Writes out what was printed, and puts the two back."""
        for again in (False, True):
            try:
                self.out_text.flush()
                self.err_text.flush()
                break
            except OSError:  # a descriptor was closed, or is another file that takes nothing
                if again:
                    self.out_text = None
                else:
                    self.put_descriptors_back()
            except (ValueError, AttributeError, TypeError):  # closed, detached, replaced
                self.out_text = None
                break
        try:
            if sys.stdout is self.out_text and sys.stderr is self.err_text and self.out_text is not None:
                self.as_made(self.out_text, "surrogateescape")
                self.as_made(self.err_text, "backslashreplace")
                return
        except AttributeError:  # deleted
            pass
        self.streams()

    def logs(self, id_):
        """Two parts: what the call printed."""
        self.flush()
        try:
            os.get_inheritable(0)
        except OSError:
            os.dup2(os.open("/dev/null", os.O_RDONLY), 0)  # the lowest that is free: it is 0
        out, err = self.out.size(), self.err.size()
        if not out and not err:
            return NOTHING + NOTHING
        if out + err <= self.inline_max:
            return (self.out.take(out) if out else NOTHING) + (self.err.take(err) if err else NOTHING)
        parts = []
        for output, size, name in ((self.out, out, "%d.out" % id_), (self.err, err, "%d.err" % id_)):
            parts.append(output.move(os.path.join(self.results, name), name) if size > self.inline_max // 2
                         else output.take(size))
        return b"".join(parts)

    def put_back(self, logs):
        """What logs() took, for whoever looks at the files when this process is gone."""
        at = 0
        for output in (self.out, self.err):
            inline, size = PART.unpack_from(logs, at)
            if inline == INLINE:
                at += PART.size
                os.write(output.fd, logs[at:at + size])
                at += size
            else:
                _, size, length = FILE_PART.unpack_from(logs, at)
                at += FILE_PART.size
                os.rename(os.path.join(self.results, logs[at:at + length].decode()), output.path)
                at += length

    def result(self, id_, data):
        """The part of a result; a file if it is large."""
        size = data.nbytes if data.__class__ is memoryview else len(data)
        if size <= self.inline_max:
            return part(bytes(data))
        name = str(id_)
        fd = os.open(os.path.join(self.results, name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(fd, left[:1 << 30]):]
        finally:
            os.close(fd)
        return file_part(size, name)

    def tidy(self):
        """The folders as they were, and the process in the first of them."""
        try:
            here = os.getcwd()
        except OSError:
            here = None
        if here != self.task:
            os.chdir(self.dir)
        task, tmp, checkpoint = self.folders
        if task.look() or here != self.task:
            os.chdir(self.task)
        tmp.look()
        checkpoint.look()
