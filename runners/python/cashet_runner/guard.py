"""A source can be made so that the parser of some Python overflows its stack and dies. So the work is done in
a child, and its parent says in order what happened; forking so small a process costs half a millisecond."""

import os
import signal
import sys

RECURSION = 12000  # frames of ours; trees deeper than about a third of it are refused


def guarded(work, died):
    """Runs @work in a child and returns its exit status, or what @died(signal) says if it was killed."""
    child = start(work)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: stop(child, number))
    _, status = os.waitpid(child, 0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    if os.WIFSIGNALED(status):
        return died(os.WTERMSIG(status))
    return os.WEXITSTATUS(status)


def collect(work):
    """Runs @work in a child: (what it wrote to standard output, the signal that killed it or 0)."""
    out, into = os.pipe()
    child = start(work, into)
    os.close(into)
    with os.fdopen(out, "rb") as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    return text, os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def start(work, stdout=None):
    """The id of a child that does @work, and ends with the status that it returns."""
    child = os.fork()
    if child:
        return child
    status = 70
    try:
        import resource
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash leaves no file
        sys.setrecursionlimit(RECURSION)
        if stdout is not None:
            os.dup2(stdout, 1)
        status = work()
    except BrokenPipeError:
        status = 1
    except KeyboardInterrupt:
        status = 130
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def stop(child, number):
    """Whoever stops this stops the child too."""
    signal.signal(number, signal.SIG_DFL)
    try:
        os.kill(child, signal.SIGKILL)
    finally:
        os.kill(os.getpid(), number)
