"""cashet-runner-python serve: what calls leave behind in the process, and whose modules they see."""

import json
import os
import pickle
import unittest

from driver import BOTH, FORK, PICKLE, SHARED, Ref, ServeTest, Worker
from runner import SITE, pythons

PRINTS = [  # body, out, err
    ("print('a'); sys.stderr.write('b')", b"a\n", b"b"),
    ("sys.stdout.write('no end')", b"no end", b""),
    ("os.write(1, b'x'); os.write(2, b'y')", b"x", b"y"),
    ("ctypes.CDLL(None).puts(b'c'); ctypes.CDLL(None).printf(b'd')", b"c\nd", b""),
    ("os.system('echo shell; echo err >&2')", b"shell\n", b"err\n"),
    ("open('/dev/stdout', 'w').write('dev')", b"dev", b""),
    ("print('é\\ud800', file=sys.stderr)", b"", "é\\ud800\n".encode()),
    ("warnings.warn('again')", b"", b"train.py:3: UserWarning: again"),
    ("logging.warning('log')", b"", b"WARNING:root:log\n"),
]
SPOILS = [  # what is done to descriptors and streams
    "os.close(1)", "os.close(2)", "os.close(1); os.close(2)", "os.closerange(0, 900)",
    "os.dup2(os.open('/dev/null', os.O_WRONLY), 1); print('lost')", "sys.stdout.close()", "sys.stderr.close()",
    "sys.stdout = None", "sys.stdout = sys.stderr = io.StringIO()", "sys.stdout.detach()", "del sys.stdout",
    "sys.__stdout__ = None", "os.close(0)", "os.ftruncate(1, 1000)", "os.unlink('../out')", "os.path.exists('../err') and os.rename('../err', '../gone')",
    "os.close(1); sys.stdout.write('kept')", "sys.stdout.close(); os.close(1)",
    "os.dup2(os.open('/dev/full', os.O_WRONLY), 1); sys.stdout.write('kept')", "os.lseek(1, 500, 0)", "fcntl.fcntl(1, fcntl.F_SETFL, 0)",
]


class Output(ServeTest):
    inline_max = 1000
    HEAD = "import ctypes, fcntl, io, logging, os, sys, warnings\ndef f():\n    "

    def test_what_is_printed_belongs_to_its_call(self):
        silent = self.load("def f(): pass\n")
        for body, out, err in PRINTS:
            load = self.load(self.HEAD + body + "\n")
            for isolation in BOTH:
                for _ in range(2):
                    found = self.call(load, isolation=isolation)
                    self.assertEqual(found.error, None)
                    self.assertEqual(found.out, out, body)
                    self.assertIn(err, found.err, body)
                    self.assertEqual(bool(err), bool(found.err), found.err)
                    after = self.call(silent)
                    self.assertEqual((after.out, after.err), (b"", b""), body)

    def test_what_an_import_prints_belongs_to_the_first_call(self):
        load = self.load("print('imported')\ndef f(): print('called')\n")
        self.assertEqual([self.call(load).out for _ in range(2)], [b"imported\ncalled\n", b"called\n"])

    def test_much_output_is_handed_over_as_files(self):
        for n, size in enumerate((400, 999, 1000, 1001, 5000, 3 << 20)):
            load = self.load("import os\ndef f(): print('x' * %d); os.write(2, b'y' * %d); return 'r' * %d\n" % (
                size - 1, size // 2, size))
            for isolation in BOTH:
                found = self.call(load, isolation=isolation)
                self.assertEqual((len(found.out), len(found.err), len(found.value)), (size, size // 2, size + 2))
                self.assertEqual((set(found.out), set(found.err)), (set(b"x\n"), set(b"y")))
        self.assertEqual(os.listdir(self.worker.path("results")), [])
        self.assertEqual(self.call(self.load("def f(): print('after')\n")).out, b"after\n")

    def test_streams_that_a_call_breaks_are_whole_for_the_next(self):
        good = self.load("import os, sys\ndef f():\n    print('out')\n    print('err', file=sys.stderr)\n    os.write(1, b'raw')\n"
                         "    os.write(2, b'raw')\n    return sys.stdin is not None and os.fstat(0).st_mode\n")
        mode = self.result(good)
        for body in SPOILS:
            load = self.load(self.HEAD + body + "\n")
            for isolation in BOTH:
                found = self.call(load, isolation=isolation)
                self.assertEqual(found.letter, "D", (body, found))
                after = self.call(good)
                self.assertEqual((after.out, after.err), (b"out\nraw", b"err\nraw"), body)
                self.assertEqual((after.error, after.value), (None, b"%d" % mode), body)
                if "../" in body:
                    found = self.call(self.load(self.HEAD + body + "; os.write(1, b'x' * 5000); os.write(2, b'y' * 5000)\n"))
                    self.assertEqual((found.out, found.err), (b"x" * 5000, b"y" * 5000))

    def test_printing_where_nothing_can_be_printed_is_an_exception_of_the_call(self):
        good = self.load("def f(): print('after')\n")
        for spoil, error in (("os.close(1)", "Bad file descriptor"), ("os.dup2(os.open('/dev/full', os.O_WRONLY), 1)", "No space left")):
            load = self.load(self.HEAD + spoil + "; print('lost')\n")
            for isolation in BOTH:
                found = self.call(load, isolation=isolation)
                self.assertEqual((found.letter, found.error and found.error["kind"]), ("E", "exception"), (spoil, found))
                self.assertIn(error, found.error["message"])
                self.assertEqual(self.call(good).out, b"after\n")

    def test_a_thread_that_prints_while_it_ends_disturbs_nobody(self):
        self.write({"s/train.py": "import threading\ndef f():\n    t = threading.Thread(target=lambda: print('t'))\n    t.start()\n"})
        worker, load = None, 0
        for _ in range(20):
            if worker is not self.worker:
                worker = self.worker
                load = worker.load(self.path("s"), name="f")
            try:
                self.assertEqual(self.call(load).letter, "D")
            except EOFError:  # on a busy machine it may take longer than a runner waits
                self.assertEqual(self.ended(), 71)
        type(self).worker_ = None
        self.assertIn(worker.close(), (0, 71))


STATE = """import csv, faulthandler, logging, tempfile
import decimal, gc, locale, os, resource, signal, socket, sys, threading, time, warnings, builtins, asyncio, subprocess
def run(command): return subprocess.run(command, shell=True, capture_output=True).stdout.decode()
def state():
    return {"cwd": os.getcwd(), "umask": (os.umask(0o22), os.umask(0o22))[0], "env": dict(os.environ), "path": sys.path,
            "argv": sys.argv, "meta": len(sys.meta_path), "filters": len(warnings.filters), "locale": locale.setlocale(locale.LC_ALL),
            "term": str(signal.getsignal(signal.SIGTERM)), "usr1": str(signal.getsignal(signal.SIGUSR1)),
            "int": str(signal.getsignal(signal.SIGINT)), "pipe": str(signal.getsignal(signal.SIGPIPE)),
            "mask": sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))), "alarm": signal.getitimer(signal.ITIMER_REAL)[0] > 0,
            "recursion": sys.getrecursionlimit(), "trace": sys.gettrace() is None, "gc": gc.isenabled(),
            "files": resource.getrlimit(resource.RLIMIT_NOFILE), "task": os.listdir("."), "tmp": os.listdir(os.environ["TMPDIR"]),
            "checkpoint": os.listdir(os.environ["CASHET_CHECKPOINT"]), "precision": decimal.getcontext().prec,
            "threshold": list(gc.get_threshold()), "switch": sys.getswitchinterval(), "stack": threading.stack_size(),
            "digits": getattr(sys, "get_int_max_str_digits", int)(), "timeout": socket.getdefaulttimeout(), "noon": time.localtime(0).tm_hour,
            "nice": os.nice(0), "processors": sorted(os.sched_getaffinity(0)), "tempdir": str(tempfile.tempdir), "rows": csv.field_size_limit(),
            "log": [logging.root.level, len(logging.root.handlers), logging.root.manager.disable], "limit": getattr(sys, "tracebacklimit", None),
            "hooks": [type(h).__name__ for h in (sys.excepthook, sys.unraisablehook, sys.displayhook, threading.excepthook)],
            "thread": threading._trace_hook is threading._profile_hook is None, "bytecode": sys.dont_write_bytecode, "crash": faulthandler.is_enabled(),
            "collector": [gc.get_debug(), len(gc.callbacks)], "streams": [(s.encoding, s.errors, s.line_buffering) for s in (sys.stdout, sys.stderr)],
            "wakeup": signal.set_wakeup_fd(-1), "environ": type(os.environ).__name__, "putenv": run("env | sort | grep -v '^_='")}
"""
CHANGES = [
    "os.chdir('/')", "os.umask(0o077)", "os.environ['X'] = 'y'", "del os.environ['PATH']", "os.environ.clear()", "os.environ = {}",
    "os.environ['CASHET_TASK'] = 'me'", "sys.path.insert(0, '/tmp')", "sys.path = []", "sys.path.clear()", "sys.argv.append('x')",
    "sys.meta_path.insert(0, sys.meta_path[0])", "warnings.simplefilter('ignore')", "warnings.filters.clear()",
    "locale.setlocale(locale.LC_ALL, 'C')", "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    "signal.signal(signal.SIGUSR1, lambda *a: None)", "signal.signal(signal.SIGINT, signal.SIG_DFL)",
    "signal.signal(signal.SIGPIPE, signal.SIG_DFL)", "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])", "signal.alarm(100)",
    "signal.setitimer(signal.ITIMER_REAL, 100)", "sys.setrecursionlimit(500)", "sys.settrace(lambda *a: None)", "gc.disable()",
    "resource.setrlimit(resource.RLIMIT_NOFILE, (1000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))",
    "open('left', 'w').write('x')", "os.makedirs('deep/er/est')", "os.symlink('/', 'link')", "os.mkfifo('fifo')",
    "(os.mkdir('locked'), open('locked/x', 'w'), os.chmod('locked', 0))", "os.rmdir('.') if 0 else os.rmdir('../task')",
    "os.rename('../tmp', '../tmp2')", "(os.rmdir('../checkpoint'), open('../checkpoint', 'w'))", "os.chmod('.', 0)",
    "open(os.environ['TMPDIR'] + '/left', 'w')", "open(os.environ['CASHET_CHECKPOINT'] + '/left', 'w')",
    "os.environ['TZ'] = 'EST+5'; time.tzset()", "gc.set_threshold(1)", "sys.setswitchinterval(1)", "threading.stack_size(65536)",
    "getattr(sys, 'set_int_max_str_digits', int)(1000)", "socket.setdefaulttimeout(1)",
    "os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})", "os.geteuid() or os.nice(1)", "tempfile.gettempdir()",
    "os.environ.update(TMPDIR='/') or tempfile.gettempdir()", "csv.field_size_limit(5)", "logging.basicConfig(level=10)",
    "logging.basicConfig(filename='log')", "logging.getLogger().setLevel(50)", "logging.disable()", "setattr(sys, 'tracebacklimit', 0)",
    "setattr(sys, 'excepthook', print)", "setattr(sys, 'unraisablehook', max)", "setattr(threading, 'excepthook', print)",
    "threading.settrace(lambda *a: None)", "threading.setprofile(lambda *a: None)", "setattr(sys, 'dont_write_bytecode', False)",
    "faulthandler.disable()", "gc.set_debug(gc.DEBUG_UNCOLLECTABLE)", "gc.callbacks.append(lambda *a: None)",
    "sys.stdout.reconfigure(encoding='ascii')", "sys.stderr.reconfigure(errors='strict', line_buffering=False)",
    "signal.set_wakeup_fd(os.open('/dev/null', os.O_WRONLY | os.O_NONBLOCK))",
    "setattr(decimal.getcontext(), 'prec', 3)", "os.mkdir('\\udcff')", "os.chdir('/') or os.rename(TASK, TASK + '2')",
]


class Leftovers(ServeTest):
    def test_what_a_call_changes_is_put_back(self):
        look = self.load(STATE + "TASK = os.getcwd()\ndef f(body):\n    exec(body)\n", name="state")
        change = self.worker.load(self.path("source1"), name="f")
        self.call(change, "pass")
        before = self.result(look)
        for isolation in BOTH:
            for body in CHANGES:
                found = self.call(change, body, isolation=isolation)
                self.assertEqual(found.letter, "D", (body, found))
                after = self.result(look)
                if isinstance(after, tuple):
                    after = list(after)
                self.assertEqual(before, after, body)

    def test_each_call_has_the_log_that_it_configures(self):
        load = self.load("import logging\ndef f():\n    logging.basicConfig(filename='log', level=logging.INFO)\n    logging.info('said')\n"
                         "    return open('log').read()\n")
        own = self.load("import logging\nlogging.basicConfig(level=logging.INFO, format='mine %(message)s')\ndef f(): logging.info('said')\n")
        for _ in range(2):
            self.assertEqual(self.result(load), "INFO:root:said\n")
            self.assertEqual(self.call(own).err, b"mine said\n")

    def test_what_an_import_changes_belongs_to_its_source(self):
        one = self.load("import gc, os, subprocess, sys, warnings, signal\nos.environ['MINE'] = 'x'\nos.environ.pop('HOME', None)\n"
                        "sys.setrecursionlimit(5000)\nwarnings.simplefilter('ignore')\ngc.disable()\n"
                        "signal.signal(signal.SIGUSR1, signal.SIG_IGN)\n"
                        "def f():\n    warnings.warn('no')\n    return [os.environ.get('MINE'), os.environ.get('HOME'), sys.getrecursionlimit(),\n"
                        "            gc.isenabled(), int(signal.getsignal(signal.SIGUSR1)), subprocess.getoutput('echo $MINE')]\n")
        two = self.load("import gc, os, subprocess, sys, warnings, signal\n"
                        "def f():\n    warnings.warn('yes')\n    return [os.environ.get('MINE'), os.environ['HOME'] != '', sys.getrecursionlimit(),\n"
                        "            gc.isenabled(), int(signal.getsignal(signal.SIGUSR1)), subprocess.getoutput('echo $MINE')]\n")
        for isolation in BOTH:
            for _ in range(2):
                found = self.call(one, isolation=isolation)
                self.assertEqual((json.loads(found.value), found.err), (["x", None, 5000, False, 1, "x"], b""))
                found = self.call(two, isolation=isolation)
                self.assertEqual(json.loads(found.value), [None, True, 1000, True, 0, ""])
                self.assertIn(b"UserWarning: yes", found.err)

    def test_a_limit_that_cannot_be_raised_again_ends_the_runner(self):
        if os.geteuid() == 0:
            self.skipTest("root may raise it")
        load = self.load("import resource\ndef f(): resource.setrlimit(resource.RLIMIT_NOFILE, (800, 800))\n")
        self.assertEqual(self.call(load).letter, "D")
        self.assertEqual(self.ended(), 71)

    def test_descriptors_that_calls_leave_open_are_no_trouble_of_others(self):
        type(self).worker_ = worker = Worker(descriptors=256)
        load = self.load("import os\nkept = []\ndef f(n):\n    kept.extend(os.open('/dev/null', 0) for _ in range(n))\n    return len(kept)\n")
        self.assertEqual(self.result(load, 200, isolation=FORK), 200)
        self.assertEqual([self.result(load, 50) for _ in range(2)], [50, 100])
        self.assertEqual(self.result(load, 100), 200)
        self.assertEqual(self.ended(), 71)
        self.assertIsNot(self.worker, worker)

    def test_globals_of_modules_stay_in_shared_and_not_in_fork(self):
        load = self.load("n = 0\ndef f():\n    global n\n    n += 1\n    return n\n")
        self.assertEqual([self.result(load, isolation=i) for i in (0, 1, 1, 0, 0)], [1, 2, 2, 2, 3])

    def test_variables_say_which_call_it_is(self):
        load = self.load("import os, subprocess\ndef f():\n    env = subprocess.run(['env'], capture_output=True).stdout.decode()\n"
                         "    names = sorted(n for n in os.environ if n.startswith('CASHET_'))\n"
                         "    assert all(n + '=' + os.environ[n] + '\\n' in env for n in names)\n"
                         "    return [os.environ[n] for n in names], os.getcwd()\n")
        worker = self.worker
        for isolation in BOTH:
            for index in (0, 3):
                values, cwd = self.result(load, task="train[%d]" % index, index=index, attempt=2, isolation=isolation)
                self.assertEqual(values, ["2", "ab" * 32, worker.path("checkpoint"), str(index), "train[%d]" % index])
                self.assertEqual(cwd, worker.path("task"))
        self.write({"elsewhere/task/x": "kept"})
        values, cwd = self.result(load, directory=self.path("elsewhere/task"))
        self.assertEqual((values[2], cwd), (self.path("elsewhere/checkpoint"), self.path("elsewhere/task")))
        self.assertEqual(self.result(load)[1], worker.path("task"))
        self.assertTrue(os.path.exists(self.path("elsewhere/task/x")))
        self.assertEqual(self.error(load, directory=self.path("nowhere"))["kind"], "load")


class Modules(ServeTest):
    def test_modules_of_one_name_never_meet(self):
        text = "import helper\nfrom pkg import deep\ndef f():\n    import late\n    from pkg.late import n\n" \
               "    return [helper.n, deep.n, late.n, n, helper.__file__]\n"
        loads = []
        for n in (1, 2, 3):
            files = {name: "n = %d\n" % n for name in ("helper", "late", "pkg__SLASH__deep", "pkg__SLASH__late")}
            loads.append(self.load(text, pkg__SLASH____init__="", **files))
        for isolation in BOTH:
            for _ in range(2):
                for n, load in enumerate(loads, 1):
                    found = self.result(load, isolation=isolation)
                    self.assertEqual(found, [n] * 4 + [self.path("source%d" % n, "helper.py")])

    def test_a_source_that_has_less_does_not_find_it_elsewhere(self):
        one = self.load("import helper\ndef f(): return helper.n\n", helper="n = 1\n")
        self.assertEqual(self.result(one), 1)
        two = self.load("def f():\n    import helper\n")
        self.assertEqual(self.error(two)["type"], "ModuleNotFoundError")
        self.assertEqual(self.error(self.load("import train2\ndef f(): pass\n"))["kind"], "load")

    def test_pickles_find_the_classes_of_their_source(self):
        text = "class Model:\n    n = %d\ndef f(x=None):\n    return Model() if x is None else [x.n, type(x) is Model]\n"
        loads = [self.load(text % n, path="model.py") for n in (1, 2)]
        data = self.call(loads[0])
        self.assertEqual(data.kind, PICKLE)
        for _ in range(2):
            for n, load in enumerate(loads, 1):
                self.assertEqual(self.result(load, Ref(PICKLE, data.value)), [n, True])

    def test_the_runner_is_not_visible(self):
        load = self.load("import sys, cashet_runner, channel, frames, json\ndef f():\n    main = sys.modules['__main__']\n"
                         "    return [cashet_runner.n, channel.n, frames.n, sorted(m for m in sys.modules if 'cashet' in m),\n"
                         "            sorted(vars(main)), [p for p in sys.path[1:] if 'runner' in p or p in ('', '.')]]\n",
                         cashet_runner="n = 1\n", channel="n = 2\n", frames="n = 3\n")
        found = self.result(load)
        self.assertEqual(found[:4], [1, 2, 3, ["cashet_runner"]])
        self.assertEqual([name for name in found[4] if not name.startswith("__")], [])
        self.assertEqual(found[5], [])
        error = self.error(self.load("import cashet_runner\ndef f(): pass\n"))
        self.assertEqual(error["type"], "ModuleNotFoundError")

    def test_nothing_comes_from_the_working_directory(self):
        self.write({"s/train.py": "def f(): import planted\n", "w/task/planted.py": "", "w/task/json.py": "raise SystemExit\n"})
        error = self.error(self.worker.load(self.path("s"), name="f"), directory=self.path("w/task"))
        self.assertEqual(error["type"], "ModuleNotFoundError")

    def test_a_file_named_like_a_module_of_pythons_is_the_sources_alone(self):
        mine = self.load("import json, plistlib, colorsys\ndef f():\n    import json as again\n"
                         "    return [json.n, again.n, hasattr(plistlib, 'loads')]\n", json="n = 5\n")
        other = self.load("import json\ndef f(): return json.loads('3')\n")
        self.assertEqual(self.result(other), 3)
        for _ in range(2):
            self.assertEqual(self.result(mine), [5, 5, True])
        error = self.error(self.worker.load(self.path("source1"), name="g"))
        self.assertIn("defines no g", error["message"])
        self.worker.begin(other)  # plistlib may have bound that json: not one answer more
        self.assertEqual(self.ended(), 71)
        other = self.worker.load(self.path("source2"), name="f")
        self.assertEqual(self.result(other), 3)

    def test_a_call_that_empties_the_modules_is_the_last(self):
        for body in ("sys.modules.clear()", "sys.modules = {}"):
            self.assertIsNone(self.call(self.load("import sys\ndef f(): %s\n" % body)).error)
            self.assertEqual(self.ended(), 71)

    def test_a_call_that_spoils_what_the_runner_is_made_of_spoils_no_other(self):
        self.write({"look/train.py": "def f(): return 1\n"})
        for n, body in enumerate(("os.putenv = None", "os.path.join = None", "builtins.OSError = ValueError",
                                  "os._exit = os.umask = None", "sys.version_info = (2, 7)")):
            self.write({"change%d/train.py" % n: "import builtins, os, sys\ndef f(): %s\n" % body})
            worker = Worker()
            try:
                self.assertEqual(worker.call(worker.load(self.path("change%d" % n), name="f")).letter, "D", body)
                found = worker.call(worker.load(self.path("look"), name="f"), task="another")
                self.assertEqual(found.value, b"1", (body, found))
            except EOFError as e:  # then a fresh one calls it
                self.assertIn("the runner ended with 71", str(e), body)
            finally:
                worker.close()

    def test_a_source_can_have_any_entry(self):
        for path, module in [("pkg/train.py", "pkg.train"), ("pkg/__init__.py", "pkg"), ("time.py", "time"), ("os.py", "os"),
                             ("a_b.py", None)]:
            with self.subTest(path):
                below = "any_" + path.replace("/", "_")
                self.write({path: "def f(): return __name__\n"}, below)
                if path == "pkg/train.py":
                    self.write({"pkg/__init__.py": ""}, below)
                load = self.worker.load(self.path(below), path, "f", module=module)
                self.assertEqual(self.result(load), module or "a_b")

    def test_what_an_import_does_to_the_search_stays_with_its_source(self):
        self.write({"more/extra.py": "n = 9\n"})
        load = self.load("import sys\nsys.path.append(%r)\ndef f():\n    import extra\n    return extra.n\n" % self.path("more"))
        other = self.load("def f():\n    import extra\n")
        for _ in range(2):
            self.assertEqual(self.result(load), 9)
            self.assertEqual(self.error(other)["type"], "ModuleNotFoundError")

    def test_modules_made_by_hand_and_builtins_stay_with_their_source(self):
        load = self.load("import sys, types, builtins\nsys.modules['made'] = types.ModuleType('made')\nbuiltins.mine = 3\n"
                         "def f():\n    import made\n    return mine\n")
        other = self.load("import sys, builtins\ndef f(): return 'made' in sys.modules, hasattr(builtins, 'mine')\n")
        self.assertEqual(self.result(load), 3)
        self.assertEqual(self.result(other), (False, False))

    def test_many_sources(self):
        loads = [self.load("import h\ndef f(): return h.n\n", h="n = %d\n" % n) for n in range(100)]
        for _ in range(2):
            self.assertEqual([self.result(load) for load in loads], list(range(100)))

    def test_functions_of_one_source_share_its_modules(self):
        one = self.load("n = []\ndef f(): n.append(1)\ndef g(): return len(n)\n")
        two = self.worker.load(self.path("source1"), name="g")
        self.call(one)
        self.assertEqual(self.result(two), 1)

    def test_data_classes_and_processes_work(self):
        load = self.load("from __future__ import annotations\nimport dataclasses, multiprocessing, pickle\n"
                         "@dataclasses.dataclass\nclass D:\n    x: int = 1\ndef double(x): return 2 * x\n"
                         "def f():\n    with multiprocessing.get_context('fork').Pool(2) as p:\n"
                         "        found = p.map(double, [1, 2])\n        p.close()\n        p.join()\n"
                         "    return [found, pickle.loads(pickle.dumps(D(4))).x]\n")
        self.assertEqual(self.result(load), [[2, 4], 4])


class Environment(ServeTest):
    def test_installed_packages_are_found_as_a_normal_start_finds_them(self):
        python = self.environment()
        self.install("Fancy", "1.2", {"fancy.py": "n = 1\n"})
        self.write({os.path.join("venv", SITE, "x.pth"):
                    self.path("src") + "\nimport sys; sys.from_pth = 5\n", "src/edited.py": "n = 2\n", "extra/by_path.py": "n = 3\n",
                    "s/train.py": "import fancy, edited, by_path, sys\n"
                                  "def f(): return [fancy.n, edited.n, by_path.n, sys.from_pth, sys.prefix, sys.executable]\n"})
        worker = Worker(python=python, env={"PYTHONPATH": "relative:" + self.path("extra")})
        self.addCleanup(worker.close)
        load = worker.load(self.path("s"), name="f", packages=[{"name": "fancy", "version": "1.2"}])
        found = worker.call(load)
        self.assertEqual(json.loads(found.value), [1, 2, 3, 5, self.path("venv"), python])
        load = worker.load(self.path("s"), name="f", packages=[{"name": "Fancy", "version": "1.3"}])
        self.assertIn("Fancy 1.2", worker.call(load).error["message"])

    def test_a_package_of_another_version_needs_a_fresh_runner(self):
        python = self.environment()
        self.install("Fancy", "1.2", {"fancy.py": "n = 1\n"})
        self.write({"s/train.py": "def f(): return __import__('fancy').n\n"})
        site = self.path("venv", SITE)
        for isolation in BOTH:
            worker = Worker(python=python)
            self.addCleanup(worker.close)
            old = worker.load(self.path("s"), name="f", packages=[{"name": "fancy", "version": "1.2"}])
            self.assertEqual(worker.call(old, isolation=isolation).value, b"1")
            os.rename(os.path.join(site, "Fancy-1.2.dist-info"), os.path.join(site, "Fancy-1.3.dist-info"))
            self.install("Fancy", "1.3", {"fancy.py": "n = 2\n"})
            new = {"name": "f", "packages": [{"name": "fancy", "version": "1.3"}]}
            worker.begin(worker.load(self.path("s"), **new), isolation=isolation)
            self.assertIsNone(worker.frame())
            self.assertEqual(worker.close(), 71)
            worker = Worker(python=python)
            self.addCleanup(worker.close)
            self.assertEqual(worker.call(worker.load(self.path("s"), **new), isolation=isolation).value, b"2")
            os.rename(os.path.join(site, "Fancy-1.3.dist-info"), os.path.join(site, "Fancy-1.2.dist-info"))
            self.install("Fancy", "1.2", {"fancy.py": "n = 1\n"})

    def test_the_seed_of_hashes_is_the_tasks(self):
        self.write({"s/train.py": "import os, sys\ndef f():\n    return [hash('x'), sys.path, sorted(n for n in os.environ if 'PYTHON' in n or 'SEED' in n)]\n"})
        said = []
        for env in [{"PYTHONHASHSEED": "7", "PYTHONPATH": "/extra:", "PYTHONSTARTUP": "/x"}] * 2 + [{"PYTHONPATH": "/extra:"}]:
            worker = Worker(env=env)
            self.addCleanup(worker.close)
            said.append(json.loads(worker.call(worker.load(self.path("s"), name="f")).value))
            self.assertEqual(said[-1][2], sorted(env))
        self.assertEqual(said[0], said[1])
        self.assertEqual(said[0][1], said[2][1])
        self.assertNotEqual(said[0][0], said[2][0])

    def test_every_python_of_this_machine_serves(self):
        self.write({"s/train.py": "import os, sys\nclass C: pass\ndef f(x, *more):\n    print('p')\n    os.write(2, b'e')\n"
                                  "    if x == 1: raise ValueError(x)\n    if x == 2: return C()\n    return [x, sys.version_info[1]]\n"
                                  "async def g(): return 1\n"})
        for minor, path in pythons():
            with self.subTest(minor=minor):
                worker = Worker(python=path)
                self.addCleanup(worker.close)
                load = worker.load(self.path("s"), name="f")
                for isolation in (SHARED, FORK):
                    found = worker.call(load, 0, isolation=isolation)
                    self.assertEqual((found.value, found.out, found.err), (b"[0,%d]" % minor, b"p\n", b"e"), found)
                    error = worker.call(load, 1, isolation=isolation).error
                    self.assertEqual((error["type"], error["traceback"].count("File")), ("ValueError", 1), error)
                    self.assertEqual(worker.call(load, 2, isolation=isolation).kind, PICKLE)
                    self.assertEqual(worker.call(load, Ref(PICKLE, pickle.dumps(5, 4)), isolation=isolation).value, b"[5,%d]" % minor)
                    self.assertEqual(worker.call(worker.load(self.path("s"), name="g"), isolation=isolation).value, b"1")


if __name__ == "__main__":
    unittest.main()
