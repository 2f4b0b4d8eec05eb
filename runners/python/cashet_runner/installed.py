"""What pip, apt or conda installed for this interpreter, read from the folders: nothing is imported, and
.pth files are read for their paths only (their "import" lines are code).

importlib.metadata knows the same, at the price of 30 ms of imports; a test holds the two together.
"""

import ast
import os
import sys

from .looked import Looked

NOWHERE = Looked()  # for callers who do not keep answers


def site_folders(looked=NOWHERE):
    """Where installed packages are, in the order of sys.path; a virtual environment is recognised."""
    version = "python%d.%d" % sys.version_info[:2]
    folders = []
    home = environment(looked)
    if home is not None:
        folder, system = home
        folders += [os.path.join(folder, lib, version, "site-packages") for lib in ("lib", "lib64")]
    if home is None or system:
        import site  # under -S this only defines functions
        try:
            folders.append(site.getusersitepackages())
        except (KeyError, OSError, AttributeError):
            pass  # a user without a home
        folders += site.getsitepackages()
    known, found = set(), []
    for folder in folders:
        real = os.path.realpath(folder)
        looked.at(folder)
        if real not in known and os.path.isdir(real):
            known.add(real)
            found.append(folder)
    return found


def environment(looked=NOWHERE):
    """(folder of the virtual environment, whether it sees the system's packages), or None."""
    at = os.path.dirname(os.path.abspath(sys.executable or ""))
    for folder in (at, os.path.dirname(at)):
        looked.at(os.path.join(folder, "pyvenv.cfg"))
        try:
            with open(os.path.join(folder, "pyvenv.cfg"), encoding="utf-8") as f:
                lines = [line.partition("=") for line in f]
        except (OSError, UnicodeDecodeError):
            continue
        said = {key.strip().lower(): value.strip().lower() for key, _, value in lines}
        return folder, said.get("include-system-site-packages") == "true"
    return None


class Installed:
    """The packages of one interpreter; every folder is listed at most once, and only if somebody asks."""

    def __init__(self, looked=NOWHERE):
        self.looked = looked
        self._folders = self._dists = self._paths = self._mapped = None

    @property
    def folders(self):
        if self._folders is None:
            self._folders = [(folder, listing(folder)) for folder in site_folders(self.looked)]
        return self._folders

    def file_of(self, parts):
        """(folder, file relative to it) of the first regular package or module on the way along @parts;
        for a namespace package without one, its own folder."""
        for folder, names in self.folders:
            if parts[0] not in names and not any(n.startswith(parts[0] + ".") for n in names):
                continue
            at, namespace = "", None
            for part in parts:
                here = os.path.join(folder, at)
                if part in names or at:
                    self.looked.at(os.path.join(here, part))
                if os.path.isfile(os.path.join(here, part, "__init__.py")):
                    return folder, os.path.join(at, part, "__init__.py")
                for name in sorted(listing(here) if at else names):
                    if name == part + ".py" or name.startswith(part + ".") and name.endswith(".so"):
                        return folder, os.path.join(at, name)
                if not os.path.isdir(os.path.join(here, part)):
                    break
                namespace = at = os.path.join(at, part)
            if namespace is not None:
                return folder, namespace
        return None

    def owner(self, parts):
        """(name, version) of the distribution that brought the module @parts, (None, None) if nothing
        says who did; None if it is not installed, or a mere namespace."""
        found = self.file_of(parts)
        if found is None or not found[1].endswith((".py", ".so")):
            return None
        folder, file = found
        wanted = plain_name(parts[0])
        here = [d for d in self.distributions() if d.folder == folder]
        for likely in (True, False):
            dists = [d for d in here if (d.guess == wanted) == likely]
            dists.sort(key=lambda d: (parts[0] not in d.tops(), d.at))
            for dist in dists:
                if dist.owns(file, parts[0]):
                    self.looked.at(dist.at)
                    return dist.name_and_version()
        return None, None

    def distributions(self):
        if self._dists is None:
            self._dists = [Distribution(folder, name, self.looked) for folder, names in self.folders
                           for name in sorted(names) if name.endswith((".dist-info", ".egg-info"))]
        return self._dists

    def search_paths(self):
        """Folders elsewhere that .pth files add: sources of the user's, installed for editing."""
        if self._paths is None:
            self._paths = []
            inside = [os.path.realpath(folder) for folder, _ in self.folders]
            for folder, names in self.folders:
                for name in sorted(names):
                    if name.endswith(".pth"):
                        for line in text_of(os.path.join(folder, name), self.looked).splitlines():
                            line = line.strip()
                            if not line or line.startswith(("#", "import ", "import\t")):
                                continue
                            self.looked.at(os.path.join(folder, line))
                            path = os.path.realpath(os.path.join(folder, line))
                            if os.path.isdir(path) and path not in self._paths and path not in inside:
                                self._paths.append(path)
        return self._paths

    def mapped(self, top):
        """The folder that has the source of @top, by the table in a finder that setuptools writes for
        packages installed for editing; or None."""
        if self._mapped is None:
            self._mapped = {}
            for folder, names in self.folders:
                for name in sorted(names):
                    if name.startswith("__editable__") and name.endswith("_finder.py"):
                        self._mapped.update(table_in(text_of(os.path.join(folder, name), self.looked)))
        path = self._mapped.get(top)
        return os.path.dirname(path) if path else None


class Distribution:
    """One .dist-info or .egg-info. What is in it changes only together with the folder in which it is; so
    that was looked at is said of the one that answers only."""

    def __init__(self, folder, name, looked=NOWHERE):
        self.folder, self.at, self.looked = folder, os.path.join(folder, name), looked
        self.guess = plain_name(name.rpartition(".")[0].split("-")[0])
        self._tops = None

    def tops(self):
        if self._tops is None:
            self._tops = frozenset(text_of(os.path.join(self.at, "top_level.txt")).split())
        return self._tops

    def owns(self, file, top):
        record = text_of(os.path.join(self.at, "RECORD"))
        if record:
            return any(("\n" + record).find("\n" + start) >= 0
                       for start in (file + ",", '"' + file + '",', file + "/"))
        written = text_of(os.path.join(self.at, "installed-files.txt"))
        if written:
            return ("../" + file) in written.split("\n")
        return top in self.tops() if self.tops() else plain_name(top) == self.guess

    def name_and_version(self):
        for name in ("METADATA", "PKG-INFO", ""):  # an .egg-info can be a file itself
            fields = {}
            text = text_of(os.path.join(self.at, name) if name else self.at, self.looked)
            for line in text.splitlines():
                if not line.strip():
                    break
                key, colon, value = line.partition(":")
                if colon and key.lower() in ("name", "version"):
                    fields.setdefault(key.lower(), value.strip())
            if "name" in fields:
                return fields["name"], fields.get("version")
        return None, None


def plain_name(name):
    """As PEP 503 compares names."""
    found = name.lower().replace("_", "-").replace(".", "-")
    while "--" in found:
        found = found.replace("--", "-")
    return found


def listing(folder):
    try:
        return set(os.listdir(folder))
    except OSError:
        return set()


def text_of(file, looked=NOWHERE):
    looked.at(file)
    try:
        with open(file, encoding="utf-8", errors="replace") as f:
            return f.read()
    except OSError:
        return ""


def table_in(text):
    """MAPPING = {"package": "/its/folder"} of setuptools' finder."""
    try:
        tree = compile(text, "finder", "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if isinstance(targets[0], ast.Name) and targets[0].id == "MAPPING":
            if isinstance(node.value, ast.Dict):
                return {k.value: v.value for k, v in zip(node.value.keys, node.value.values)
                        if isinstance(k, ast.Constant) and isinstance(v, ast.Constant)
                        and isinstance(k.value, str) and isinstance(v.value, str)}
    return {}
