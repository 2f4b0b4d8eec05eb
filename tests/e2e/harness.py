"""Real processes in a temporary directory: what the end-to-end tests share.

A Site is one folder with a store, keys and batch files; it starts brokers and workers, submits, and
takes everything down again, by pid. Tests wait on conditions (`until`), never for a duration.
CASHET_BIN is the folder of the programs.
"""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

BIN = os.path.abspath(os.environ.get("CASHET_BIN", "build/bin"))
PATIENCE = float(os.environ.get("CASHET_TEST_PATIENCE", "60"))
SANITIZER = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error: |"
                       r"Assertion .* failed")


def until(condition, what, patience=PATIENCE):
    """Wait until condition() is true; return its value; fail with `what` after `patience` s. One that
    takes long to tell is asked less often, so that waiting leaves the machine to what is waited for."""
    end = time.monotonic() + patience
    while True:
        begin = time.monotonic()
        value = condition()
        if value:
            return value
        now = time.monotonic()
        if now > end:
            raise AssertionError(f"waited {patience:.0f} s for: {what}\n" +
                                 "\n".join(site.logs() for site in Site.live))
        time.sleep(min(0.2, max(0.02, 2 * (now - begin))))


def alive(pid):
    """True if the process runs (a zombie does not)."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def processes_with(text):
    """Pids of live processes whose command line or environment names `text`."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) == os.getpid():
            continue
        for name in ("cmdline", "environ"):
            try:
                with open(f"/proc/{pid}/{name}", "rb") as f:
                    if text.encode() in f.read() and alive(pid):
                        found.append(int(pid))
                        break
            except OSError:
                pass
    return found


taken = []  # names of the ports that are ours, until this process ends


def free_port():
    """A TCP port p with p and p + 1 free: none that the kernel gives to others, and of all tests that run
    at once ours alone."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        first = int(f.read().split()[0])
    while True:
        port = random.SystemRandom().randrange(*((10000, first - 1) if first > 12000 else (61000, 65535)), 2)
        name = socket.socket(socket.AF_UNIX)
        try:
            name.bind(f"\0cashet-test-port-{port}")
            for p in (port, port + 1):
                with socket.socket() as s:
                    s.bind(("127.0.0.1", p))
        except OSError:
            name.close()
            continue
        taken.append(name)
        return port


def with_enough_time(attempt, first=0.5):
    """attempt(seconds) with limits that grow until one is enough: it returns False if the time was too
    short for what should happen in it. For limits of tasks on a machine of any speed."""
    seconds = first
    while attempt(seconds) is False:
        seconds *= 4
        if seconds > PATIENCE:
            raise AssertionError(f"{seconds / 4:g} s were not enough")


class Run:
    """A finished program: code, out, err, and the object that --json printed."""

    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    @property
    def json(self):
        return json.loads(self.out)


class Process:
    """A running program whose standard error is kept in a file."""

    def __init__(self, site, name, argv, **options):
        self.site = site
        self.log = os.path.join(site.dir, f"{name}-{len(site.processes)}.log")
        with open(self.log, "wb") as log:
            self.popen = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=options.pop("stdout", log), stderr=log,
                env=site.env(), cwd=site.dir, **options)
        self.pid = self.popen.pid
        site.processes.append(self)

    def text(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def signal(self, number):
        self.popen.send_signal(number)

    def kill(self):
        self.popen.kill()
        self.popen.wait()

    def wait(self, patience=PATIENCE):
        try:
            return self.popen.wait(patience)
        except subprocess.TimeoutExpired as e:
            raise AssertionError(f"{e}\n{self.site.logs()}") from None

    def running(self):
        return self.popen.poll() is None


class Site:
    live = []  # whose logs tell more about a wait that was in vain

    def __init__(self, test):
        Site.live.append(self)
        self.dir = tempfile.mkdtemp(prefix="cashet-e2e-")
        self.store = os.path.join(self.dir, "store")
        self.processes = []
        self.reports = []  # of sanitizers and assertions, of programs that have ended
        self.variables = {}
        self.url = None
        self.test = test

    def env(self, **more):
        env = {k: v for k, v in os.environ.items() if not k.startswith("CASHET_")}
        env.update(HOME=self.dir, CASHET_CONFIG=os.path.join(self.dir, "config"),
                   CASHET_PRIVATE_IDLE="2", NO_COLOR="1")
        for name in ("XDG_RUNTIME_DIR", "XDG_CACHE_HOME"):
            env.pop(name, None)
        if self.url:
            env["CASHET_BROKER"] = self.url
        env.update(self.variables)
        env.update(more)
        return env

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, content, mode=None):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb" if isinstance(content, bytes) else "w") as f:
            f.write(content)
        if mode:
            os.chmod(path, mode)
        return path

    def read(self, name):
        try:
            with open(self.path(name)) as f:
                return f.read()
        except FileNotFoundError:
            return ""

    # ---- processes ----

    def broker(self, *options, listen="ipc", wait=True, prefix=()):
        if listen == "ipc":
            self.url = f"ipc://{self.dir}/b.sock"
        elif listen == "tcp" and not (self.url or "").startswith("tcp"):
            self.url = f"tcp://127.0.0.1:{free_port()}"
        if "--insecure" in options:
            self.variables["CASHET_INSECURE"] = "1"
        broker = Process(self, "broker", [*prefix, os.path.join(BIN, "cashet-broker"), "--listen",
                                          self.url, "--store", self.store, *options])
        if wait:
            until(lambda: not broker.running() or self.run("broker", "status").code == 0,
                  "the broker to answer")
            if not broker.running():
                raise AssertionError(f"the broker ended: {broker.text()}")
        return broker

    def worker(self, name="node-1", cpus=2, *options, prefix=(), wait=False):
        worker = Process(self, name, [
            *prefix, os.path.join(BIN, "cashet-worker"), "--broker", self.url, "--cpus", str(cpus),
            "--name", name, "--work-dir", self.path(f"work-{name}"), *options])
        if wait:
            until(lambda: any(w["name"] == name for w in self.workers()), f"{name} to join")
        return worker

    def workers(self):
        done = self.run("worker", "ls", "--json")
        return done.json["workers"] if done.code == 0 else []

    # ---- commands ----

    def run(self, *argv, program="cashet", timeout=PATIENCE * 3, env=None, **options):
        try:
            done = Run(subprocess.run([os.path.join(BIN, program), *argv], stdin=subprocess.DEVNULL,
                                      capture_output=True, text=True, timeout=timeout,
                                      cwd=options.pop("cwd", self.dir), env=self.env(**(env or {})),
                                      **options))
        except subprocess.TimeoutExpired as e:
            raise AssertionError(f"{e}\n{e.stderr}\n{self.logs()}") from None
        if SANITIZER.search(done.err):
            self.reports.append(f"{program} {' '.join(argv)}\n{done.err}")
        return done

    def submit(self, file, *options, code=0, **more):
        done = self.run(file, "--json", *options, program="cashet-submit", **more)
        if code is not None and done.code != code:
            raise AssertionError(f"cashet-submit: exit {done.code}, not {code}\n{done.err}\n"
                                 f"{done.out[:2000]}\n{self.logs()}")
        return done.json if done.out.startswith("{") else done

    def start_submit(self, file, *options):
        """Like submit, in the background; finish() gives the object."""
        process = Process(self, "submit", [os.path.join(BIN, "cashet-submit"), file, "--json",
                                           *options], stdout=subprocess.PIPE)

        def finish(code=0):
            try:
                out, _ = process.popen.communicate(timeout=PATIENCE * 3)
            except subprocess.TimeoutExpired as e:
                raise AssertionError(f"{e}\n{self.logs()}") from None
            if code is not None and process.popen.returncode != code:
                raise AssertionError(f"cashet-submit: exit {process.popen.returncode}\n"
                                     f"{process.text()}\n{self.logs()}")
            return json.loads(out) if out.startswith(b"{") else None

        process.finish = finish
        return process

    def logs(self):
        return "\n".join(f"--- {p.log}\n{p.text()[-3000:]}" for p in self.processes)

    def found(self):
        """What sanitizers and assertions said, in every log of this site; a private broker's too."""
        found = list(self.reports)
        for folder, _, names in os.walk(self.dir):
            for name in filter(lambda n: n.endswith(".log"), names):
                with contextlib.suppress(OSError), \
                        open(os.path.join(folder, name), errors="replace") as f:
                    text = f.read(64 << 20)
                    if at := SANITIZER.search(text):
                        found.append(f"{name}\n{text[max(0, at.start() - 500):at.start() + 8000]}")
        return found

    def close(self):
        Site.live.remove(self)
        for p in self.processes:
            if p.running():
                try:
                    p.signal(signal.SIGCONT)
                    p.popen.kill()
                    p.popen.wait()
                except ProcessLookupError:
                    pass
        for pid in processes_with(self.dir):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        found = self.found()
        shutil.rmtree(self.dir, ignore_errors=True)
        if found:
            raise AssertionError("\n".join(found))


class SiteTest(unittest.TestCase):
    """A test with a Site of its own in self.site."""

    maxDiff = None

    def setUp(self):
        self.site = Site(self)
        self.addCleanup(self.site.close)

    def assert_counts(self, result, **wanted):
        counts = result["counts"]
        ended = ("cached", "executed", "deduplicated", "failed", "skipped", "cancelled")
        self.assertEqual(counts["total"], sum(counts[k] for k in ended), counts)
        for key, value in wanted.items():
            self.assertEqual(counts[key], value, f"{key} in {counts}")

    def ran(self, name="ran"):
        """How often tasks that append a line to the file `name` have run: {line: times}."""
        times = {}
        for line in self.site.read(name).splitlines():
            times[line] = times.get(line, 0) + 1
        return times


def main():
    unittest.main(verbosity=2)
