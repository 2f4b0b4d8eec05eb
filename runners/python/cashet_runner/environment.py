"""What a normal start of the interpreter would find to import, for the source's code alone: this program starts
without it (-I -S), so that nothing of it can come between its own modules."""

import os
import site
import sys
import types


SEEDED = "CASHET_RUNNER_SEEDED"
SEED = "PYTHONHASHSEED"


def seed(program):
    """-I makes Python deaf to PYTHONHASHSEED too, which decides in what order a set comes. If a task has it,
    goes on in an interpreter that hears of this variable alone; as -I does otherwise."""
    kept = os.environ.pop(SEEDED, None)
    if kept is not None:
        for pair in kept.split("\n"):
            name, equals, value = pair.partition("=")
            if equals:
                os.environ[name] = value
    elif SEED in os.environ:
        others = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        kept = "\n".join("%s=%s" % (name, value) for name, value in os.environ.items()
                         if name.startswith("PYTHON") and name != SEED and "\n" not in value)
        others.update({SEED: os.environ[SEED], SEEDED: kept})
        os.execve(sys.executable, [sys.executable, "-s", "-S", program, "serve"], others)


def set_up(program, package):
    """Adds installed packages as the interpreter does, and hides what this program is made of."""
    here = os.path.dirname(program)
    sys.path[:] = [path for path in sys.path if path != here]
    sys.path_importer_cache.pop(here, None)
    written = os.environ.get("PYTHONPATH", "")
    sys.path[0:0] = [path for path in written.split(os.pathsep) if os.path.isabs(path)]
    if os.getuid() == os.geteuid() and os.getgid() == os.getegid():
        site.ENABLE_USER_SITE = not os.environ.get("PYTHONNOUSERSITE")  # -I has said no to it
    site.main()
    sys.dont_write_bytecode = True  # a source's folder belongs to all that use it
    sys.modules["__main__"] = types.ModuleType("__main__")
    for name in [name for name in sys.modules if name == package or name.startswith(package + ".")]:
        del sys.modules[name]


def distributions():
    """{plain name: version} of what is installed, without importing what reads it."""
    found = {}
    for folder in sys.path:
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        for name in names:
            if name.endswith((".dist-info", ".egg-info")):
                known = described(os.path.join(folder, name))
                if known is not None:
                    found.setdefault(plain(known[0]), known[1])
    return found


def stamps(folders):
    """What changes when a package is installed in one of @folders, or removed."""
    found = []
    for folder in folders:
        try:
            st = os.stat(folder)
            found.append((st.st_ino, st.st_mtime_ns))
        except OSError:
            found.append(None)
    return found


def described(path):
    """(name, version) that a .dist-info or .egg-info says."""
    for file in (os.path.join(path, "METADATA"), os.path.join(path, "PKG-INFO"), path):
        fields = {}
        try:
            with open(file, encoding="utf-8", errors="replace") as f:
                for line in f:
                    if not line.strip():
                        break
                    key, colon, value = line.partition(":")
                    if colon:
                        fields.setdefault(key.lower(), value.strip())
        except OSError:
            continue
        if "name" in fields:
            return fields["name"], fields.get("version")
    return None


def plain(name):
    """As PEP 503 compares names."""
    found = name.lower().replace("_", "-").replace(".", "-")
    while "--" in found:
        found = found.replace("--", "-")
    return found
