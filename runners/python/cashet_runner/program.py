"""The command line. To add a command: a row in COMMANDS."""

import os
import sys

from .problems import printable

USAGE = """usage: cashet-runner-python [--python PROGRAM] describe [--root DIR]... [--canonical] TARGET...
       cashet-runner-python [--python PROGRAM] prepare [--cache DIR] FOLDER
       cashet-runner-python [--python PROGRAM] serve
       cashet-runner-python version | help

describe   says, as JSON, what FILE:FUNCTION or a whole script FILE is: its hash, what that is made of, which
           files and packages belong to it. Nothing of it is imported or run
  --root DIR    a folder in which imports are looked for, after that of the file; may be repeated
  --canonical   with the canonical form
  --            only targets follow; targets may also be given on standard input, one a line: -
prepare    says whether the source in FOLDER is what ../source.json says; --cache is for other languages
serve      calls functions for a worker, whose socket is descriptor 3: docs/runners.md
--python PROGRAM   another interpreter, a path or a name in PATH: what is installed for it counts

Exit status: 0 if all targets could be described, 1 if not, 2 if this was called wrongly.
"""


class Wrong(Exception):
    """Called wrongly."""


leave = os._exit  # also when a call has replaced it


def main(program, args, startup=()):
    try:
        status = run(program, args, startup)
    except Wrong as wrong:
        sys.stderr.write("cashet-runner-python: %s\n%s" % (wrong, USAGE))
        status = 2
    except BrokenPipeError:
        status = 1
    except OSError as e:
        sys.stderr.write("cashet-runner-python: %s\n" % e)
        status = 1
    try:
        sys.stdout.flush()
    except OSError:
        status = status or 1
    leave(status)


def run(program, args, startup):
    args = list(args)
    python = None
    while args and args[0].startswith("--python"):
        python = option(args, "--python")
    if python:
        return become(python, program, args)
    if not args:
        raise Wrong("no command")
    if args == ["serve"]:
        from . import failures, isolation, serve
        failures.mark(serve)
        failures.mark(isolation)
        return serve.main(program, startup)
    command = COMMANDS.get(args[0])
    if command is None:
        raise Wrong("no command %s" % ascii(args[0]))
    return command(args[1:])


def become(python, program, args):
    """Goes on in another interpreter: a path, or a name that is found in PATH. Returns only if it cannot."""
    if "/" not in python:
        for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
            if os.access(os.path.join(folder or ".", python), os.X_OK):
                python = os.path.join(folder or ".", python)
                break
    try:
        os.execv(python, [python, "-I", "-S", program] + args)
    except OSError as e:
        message = "cannot run the interpreter %s: %s" % (printable(python), e.strerror)
    if args[:1] == ["prepare"]:
        from .prepare import Differs, refuse
        return refuse(Differs("missing", message))
    raise Wrong(message)


def option(args, name):
    """The value of args[0], --name VALUE or --name=VALUE, which is taken off @args."""
    first = args.pop(0)
    if first.startswith(name + "="):
        return first[len(name) + 1:]
    if first != name:
        raise Wrong("no option %s" % ascii(first))
    if not args:
        raise Wrong("%s needs a value" % name)
    return args.pop(0)


def describe(args):
    roots, given, canonical, targets = [], [], False, []
    while args:
        arg = args[0]
        if arg == "--":
            targets += args[1:]
            break
        if arg.startswith("--root"):
            root = option(args, "--root")
            if not os.path.isdir(root):
                raise Wrong("the root %s is no folder" % ascii(root))
            roots.append(os.path.realpath(root))
            given.append(os.path.abspath(root))
            continue
        args.pop(0)
        if arg == "--canonical":
            canonical = True
        elif arg == "-":
            data = sys.stdin.buffer.read()
            targets += [os.fsdecode(line) for line in data.split(b"\n") if line]
        elif arg.startswith("-"):
            raise Wrong("no option %s" % ascii(arg))
        else:
            targets.append(arg)
    if not targets:
        raise Wrong("describe needs a target: FILE or FILE:FUNCTION")
    from .guard import guarded
    return guarded(lambda: answer(roots, given, canonical, targets),
                   lambda number: one_by_one(roots, given, canonical, targets, number))


def answer(roots, given, canonical, targets):
    """In the child: describes, writes, and returns the exit status."""
    import warnings
    warnings.simplefilter("ignore")  # of the parser, about the user's source
    import gc
    gc.disable()  # trees have no circles, and this process ends when it has written
    from .describe import Describer
    found = Describer(roots, canonical, given).answer(targets)
    write(found)
    return 0 if all(row["ok"] for row in found["targets"]) else 1


def write(found):
    import json
    sys.stdout.write(json.dumps(found, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def one_by_one(roots, given, canonical, targets, number):
    """The child died before it wrote anything: each target again, in a child of its own."""
    import json
    from .guard import collect
    rows, head = [], None
    for target in targets:
        text, killed = collect(lambda: answer(roots, given, canonical, [target]))
        if killed or not text:
            rows.append({"target": printable(target), "ok": False, "error": {
                "name": "nested-too-deeply", "message": "the Python that reads it was killed by signal %d: it "
                "is nested too deeply, or needs more memory than there is" % (killed or number),
                "file": printable(target.rpartition(":")[0] or target)}})
        else:
            head = json.loads(text)
            rows += head["targets"]
    if head is None:
        from .describe import Describer
        head = Describer(roots, canonical).answer([])
    write(dict(head, targets=rows))
    return 0 if all(row["ok"] for row in rows) else 1


def prepare(args):
    while args and args[0].startswith("--cache"):
        option(args, "--cache")
    if len(args) != 1 or args[0].startswith("-"):
        raise Wrong("prepare needs the folder of a source")
    from .prepare import prepare as check
    return check(args[0])


def version(args):
    from .describe import PROTOCOL
    sys.stdout.write("cashet-runner-python: protocol %d, scheme 1, Python %d.%d.%d\n"
                     % ((PROTOCOL,) + sys.version_info[:3]))
    return 0


def usage(args):
    sys.stdout.write(USAGE)
    return 0


COMMANDS = {"describe": describe, "prepare": prepare, "version": version, "--version": version,
            "help": usage, "--help": usage, "-h": usage}
