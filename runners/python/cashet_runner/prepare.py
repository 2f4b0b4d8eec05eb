"""cashet-runner-python prepare: is a source what its client said that it is? It is described again, here, with
the packages of this interpreter, in a child that runs nothing of it; docs/runners.md, "Preparing"."""

import json
import os
import sys

from .describe import Describer
from .guard import collect

MISSING = ("not-found", "not-readable", "not-a-file")


class Differs(Exception):
    """Why the source is refused. @kind: as in docs/runners.md."""

    def __init__(self, kind, message):
        super().__init__(message)
        self.kind, self.message = kind, message


def prepare(folder):
    """Checks and says so. Return: the exit status."""
    version = "%d.%d.%d" % sys.version_info[:3]
    try:
        check(folder, version)
    except Differs as e:
        return refuse(e)
    return say({"ok": True, "library": None, "version": version}, 0)


def refuse(e):
    return say({"ok": False, "error": {"kind": e.kind, "message": e.message}}, 1)


def say(row, status):
    sys.stdout.write(json.dumps(row, separators=(",", ":")) + "\n")
    return status


def check(folder, version):
    units, files, wanted = read(folder)
    if wanted and version != wanted and not version.startswith(wanted + "."):
        raise Differs("version", "the task asks for Python %s; this is %s, %s" % (wanted, version, sys.executable))
    targets = []
    for unit in units:
        file = os.path.join(folder, unit["path"])
        if not os.path.isfile(file):
            raise Differs("missing", "the source has no file %s" % unit["path"])
        targets.append(file + (":" + unit["name"] if unit["name"] is not None else ""))
    reached = set()
    for unit, row in zip(units, described(folder, targets)):
        compare(unit, row, folder, version)
        reached.update(os.path.relpath(file["file"], os.path.realpath(folder)) for file in row["closure"])
    for file in files:
        if file not in reached:  # data, or bytecode: it may change what the code does, and no hash would say so
            raise Differs("mismatch", "the source has a file %s, which nothing that was described reaches; nothing "
                          "was run. Are client and worker of one version of cashet?" % file)


def read(folder):
    """(units of Python's, files that these have to reach, version or None) that source.json says."""
    file = os.path.join(os.path.dirname(folder.rstrip("/")), "source.json")
    try:
        with open(file, encoding="utf-8") as f:
            said = json.load(f)
        units = [unit for unit in said["units"] if unit["language"] == "python"]
        for unit in units:
            package_list = [(p["name"], p["version"], p["counts"]) for p in unit["packages"]]
            texts = [unit["path"], unit["hash"], unit["identity"]] + [name for name, _, _ in package_list]
            if any(text.__class__ is not str or "\0" in text for text in texts) or \
                    unit["name"].__class__ not in (str, type(None)):
                raise ValueError("a unit")
        files = said.get("files", [])
        if any(file.__class__ is not str for file in files):
            raise ValueError("a file")
        version = said.get("version")
        if version.__class__ not in (str, type(None)):
            raise ValueError("the version")
    except OSError as e:
        raise Differs("missing", "cannot read source.json: %s" % e.strerror) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        raise Differs("missing", "source.json is not as it should be: %s: %s" % (type(e).__name__, e)) from None
    return units, files, version


def described(folder, targets):
    """The row of each target. A target that kills the parser costs the others nothing."""
    if not targets:
        return []
    text, killed = collect(lambda: describe(folder, targets))
    if text and not killed:
        return json.loads(text)
    if len(targets) > 1:
        return [row for target in targets for row in described(folder, [target])]
    return [{"ok": False, "error": {"name": "nested-too-deeply", "file": targets[0].rpartition(":")[0],
             "message": "the Python that reads it was killed by signal %d" % killed}}]


def describe(folder, targets):
    """In the child."""
    import warnings
    warnings.simplefilter("ignore")
    rows = Describer([os.path.realpath(folder)], False).answer(targets)["targets"]
    keep = ("ok", "error", "hash", "identity", "packages", "closure")
    sys.stdout.write(json.dumps([{name: row[name] for name in keep if name in row} for row in rows]))
    sys.stdout.flush()
    return 0


def compare(unit, row, folder, version):
    name = unit["path"] + (":" + unit["name"] if unit["name"] is not None else "")
    if not row["ok"]:
        error = row["error"]
        raise Differs("missing" if error["name"] in MISSING else "syntax", "%s cannot be described by Python %s: %s%s"
                      % (name, version, place(error, folder), error["message"]))
    if row["hash"] != unit["hash"]:
        raise Differs("mismatch", "%s is not what its client said: its hash is %s here, and %s there; nothing was "
                      "run. Are client and worker of one version of cashet?" % (name, row["hash"], unit["hash"]))
    here = [(p["name"], p["version"]) for p in row["packages"] if p["counts"]]
    there = [(p["name"], p["version"]) for p in unit["packages"] if p["counts"]]
    if here != there:
        raise Differs("packages", "installed packages differ: %s was described with %s; %s has %s"
                      % (name, listed(there), sys.executable, listed(here, there)))
    if row["identity"] != unit["identity"]:
        raise Differs("mismatch", "%s is not what its client said: its identity is %s here, and %s there"
                      % (name, row["identity"], unit["identity"]))


def place(error, folder):
    """FILE:LINE:COLUMN: as far as it is known."""
    file = error.get("file", "")
    for start in (folder, os.path.realpath(folder)):
        if file.startswith(os.path.join(start, "")):
            file = file[len(os.path.join(start, "")):]
    parts = [file] + [str(error[key]) for key in ("line", "column") if key in error]
    return ":".join(parts) + ": " if file else ""


def listed(packages, wanted=()):
    """As NAME VERSION, with those that are @wanted and not there."""
    names = {name for name, _ in packages}
    texts = ["%s %s" % (name, version or "of unknown version") for name, version in packages]
    texts += ["no %s" % name for name, _ in wanted if name not in names]
    return ", ".join(texts) or "none"
