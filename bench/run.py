#!/usr/bin/env python3
"""Prints each figure that cashet is judged by, beside a reference that was measured in the same run.

  bench/run.py [--quick] [--only WORD] [--dir DIR]

A figure here is a ratio wherever it can be: absolute times say more about the machine. --quick
takes a tenth of the tasks. DIR is where the stores go (default: a temporary folder); use a real
disk, since durability is part of what is measured.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import calls  # noqa: E402
import store  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("CASHET_BUILD", os.path.join(ROOT, "build"))
BIN = os.path.join(BUILD, "bin")
TOOLS = os.path.join(BUILD, "bench")


def tool(*argv, env=None, name="reference"):
    """Run a bench program; return {name: value} of its lines, or its one number."""
    out = subprocess.run([os.path.join(TOOLS, name), *map(str, argv)], check=True, text=True,
                         stdout=subprocess.PIPE, env=env).stdout.split("\n")
    if len(out) == 2 and " " not in out[0]:
        return float(out[0])
    return dict(line.split(" ", 1) for line in out if line)


def rss(pid, field="VmRSS"):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith(field))


def until(condition, what, patience=300):
    end = time.monotonic() + patience
    while not (value := condition()):
        if time.monotonic() > end:
            raise SystemExit(f"bench: waited {patience} s for {what}")
        time.sleep(0.005)
    return value


class Cluster:
    """A broker on a fresh store, and whatever workers the benchmark wants."""

    def __init__(self, folder):
        self.dir = tempfile.mkdtemp(prefix="cashet-bench-", dir=folder)
        self.url = f"ipc://{self.dir}/b.sock"
        self.env = {**os.environ, "CASHET_BROKER": self.url, "HOME": self.dir, "NO_COLOR": "1"}
        self.started = []
        self.start_broker()

    def start(self, name, *argv):
        with open(os.path.join(self.dir, f"{name}.log"), "ab") as log:
            p = subprocess.Popen([*argv], env=self.env, stdin=subprocess.DEVNULL, stdout=log,
                                 stderr=log)
        self.started.append(p)
        return p

    def start_broker(self):
        self.broker = self.start("broker", os.path.join(BIN, "cashet-broker"), "--listen", self.url,
                                 "--store", os.path.join(self.dir, "store"), "--log-level", "warn")
        until(lambda: self.status() or self.broker.poll() is not None, "the broker")
        if self.broker.poll() is not None:
            raise SystemExit("bench: the broker ended: " +
                             open(os.path.join(self.dir, "broker.log")).read())

    def status(self):
        done = subprocess.run([os.path.join(BIN, "cashet"), "broker", "status", "--json"],
                              env=self.env, capture_output=True, text=True)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def noop_worker(self, slots=20000, bytes=0):
        return self.start("noop", os.path.join(TOOLS, "noop_worker"), self.url, str(slots),
                          str(bytes))

    def worker(self, cpus):
        return self.start("worker", os.path.join(BIN, "cashet-worker"), "--broker", self.url,
                          "--cpus", str(cpus), "--name", "bench", "--work-dir",
                          os.path.join(self.dir, "work"), "--log-level", "warn")

    def load(self, *argv):
        return tool(*argv, env=self.env, name="load")

    def submit(self, file, *options):
        start = time.monotonic()
        done = subprocess.run([os.path.join(BIN, "cashet-submit"), file, *options], env=self.env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
        if done.returncode:
            raise SystemExit(f"bench: cashet-submit: {done.stderr.decode()[-2000:]}")
        return time.monotonic() - start, done.stdout

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def close(self):
        for p in reversed(self.started):
            if p.poll() is None:
                p.terminate() if p is not self.broker else p.kill()
        for p in self.started:
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
        shutil.rmtree(self.dir, ignore_errors=True)


class Bench:
    def __init__(self, options):
        self.o = options
        self.scale = 0.1 if options.quick else 1
        self.rows = []

    def n(self, count):
        return int(count * self.scale)

    def row(self, name, figure, reference, ratio, bar, ok):
        self.rows.append((name, figure, reference, ratio, bar, "yes" if ok else "NO"))
        print(f"{name}: {figure}   (reference: {reference}; ratio {ratio}; bar {bar}: "
              f"{'met' if ok else 'NOT met'})", flush=True)

    # ---- each benchmark is a method bench_NAME ----

    def bench_commands(self):
        count = self.n(3000)
        ours, theirs = [], []
        for turn in range(3):
            with_cluster = Cluster(self.o.dir)
            try:
                with_cluster.worker(2)
                file = with_cluster.write("true.yaml", f"""
version: 1
tasks: {{t: {{run: [/bin/true], env: {{I: "${{p.i}}"}}, sweep: {{params: {{i: {{range: [0, {count}]}}}}}}}}}}
""")
                until(lambda: with_cluster.status()["workers"], "the worker")
                ours.append(count / with_cluster.submit(file)[0])
            finally:
                with_cluster.close()
            start = time.monotonic()
            subprocess.run(f"seq {count} | xargs -P2 -n1 /bin/true", shell=True, check=True)
            theirs.append(count / (time.monotonic() - start))
        ratio = statistics.median(a / b for a, b in zip(ours, theirs))
        self.row(f"command tasks, {count} x /bin/true, 2 slots",
                 f"{statistics.median(ours):.0f}/s",
                 f"xargs -P2 -n1: {statistics.median(theirs):.0f}/s", f"{ratio:.2f}", ">= 0.9",
                 ratio >= 0.9)

    def bench_throughput(self):
        count = self.n(200000)
        fresh, hits, bare = [], [], []
        cluster = Cluster(self.o.dir)
        try:
            cluster.noop_worker()
            for turn in range(3):
                fresh.append(float(cluster.load("tasks", count, f"t{turn}")["tasks_per_second"]))
                again = cluster.load("tasks", count, f"t{turn}")
                assert int(again["cached"]) == count, again
                hits.append(float(again["tasks_per_second"]))
                bare.append(tool("journal", cluster.dir, count))
        finally:
            cluster.close()
        rate, hit, loop = map(statistics.median, (fresh, hits, bare))
        self.row(f"{count} new no-op tasks, durable", f"{rate:.0f}/s",
                 f"bare ZeroMQ and journal loop: {loop:.0f}/s", f"{rate / loop:.2f}", ">= 60000/s",
                 rate >= 60000)
        self.row(f"the same {count} again, all cached", f"{hit:.0f}/s",
                 f"bare loop: {loop:.0f}/s", f"{hit / loop:.2f}", ">= 120000/s", hit >= 120000)

    def bench_latency(self):
        cluster = Cluster(self.o.dir)
        cached, fresh = [], []
        try:
            cluster.noop_worker()
            for turn in range(3):
                rtt = tool("rtt", cluster.dir)
                sync = tool("fsync", cluster.dir)
                hit = float(cluster.load("cached")["p50_us"])
                new = float(cluster.load("fresh", self.n(2000), f"f{turn}")["p50_us"])
                cached.append((hit / rtt, hit, rtt))
                fresh.append((new / (2 * rtt + sync), new, rtt, sync))
        finally:
            cluster.close()
        ratio, hit, rtt = sorted(cached)[1]
        self.row("one cached task, submit to result, p50", f"{hit:.0f} us",
                 f"ZeroMQ round trip: {rtt:.0f} us", f"{ratio:.2f}", "<= 2", ratio <= 2)
        ratio, new, rtt, sync = sorted(fresh)[1]
        self.row("one new task, durable, p50", f"{new:.0f} us",
                 f"four hops and one fsync: {2 * rtt:.0f} + {sync:.0f} us", f"{ratio:.2f}",
                 "<= 1.5", ratio <= 1.5)

    def bench_processes(self):
        cluster = Cluster(self.o.dir)
        env = {k: v for k, v in cluster.env.items() if k != "CASHET_BROKER"}
        env.update(CASHET_DIR=os.path.join(cluster.dir, "private"), CASHET_PRIVATE_IDLE="30")
        try:
            file = cluster.write("one.yaml", "version: 1\ntasks: {t: {run: [echo, hi]}}\n")
            argv = [os.path.join(BIN, "cashet-submit"), file, "--quiet"]

            def clock(argv, times=60):
                took = []
                for _ in range(times):
                    start = time.monotonic()
                    subprocess.run(argv, env=env, check=True, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                    took.append(time.monotonic() - start)
                return statistics.median(took)

            clock(argv, 5)
            pairs = [(clock(argv), clock(["/bin/true"])) for _ in range(3)]
            ratio, ours, true = sorted((a / b, a, b) for a, b in pairs)[1]
            self.row("cashet-submit of one cached task, whole process", f"{ours * 1e3:.2f} ms",
                     f"/bin/true: {true * 1e3:.2f} ms", f"{ratio:.1f}", "<= 8", ratio <= 8)

            count = self.n(20000)
            cluster.noop_worker()
            many = cluster.write("many.jsonl", "".join(
                json.dumps({"run": ["true", str(i)]}) + "\n" for i in range(count)))
            cluster.submit(many, "--json")
            took = statistics.median(cluster.submit(many, "--json")[0] for _ in range(5))
            self.row(f"cashet-submit --json of {count} cached tasks from JSONL", f"{took:.2f} s",
                     "-", f"{count / took:.0f}/s", ">= 40000/s", count / took >= 40000)
        finally:
            cluster.close()

    def bench_memory(self):
        count = self.n(1000000)
        cluster = Cluster(self.o.dir)
        try:
            warm = cluster.noop_worker()
            cluster.load("tasks", 2000, "warm")
            warm.kill()
            until(lambda: not cluster.status()["workers"], "the worker to be forgotten")
            before = rss(cluster.broker.pid)
            cluster.load("enqueue", count, "m")
            time.sleep(1)
            queued = rss(cluster.broker.pid)
            each = (queued - before) / count
            self.row(f"broker memory at {count} queued tasks", f"{each:.0f} bytes a task", "-", "-",
                     "<= 400", each <= 400)

            cluster.broker.kill()
            cluster.broker.wait()
            cluster.noop_worker()
            start = time.monotonic()
            cluster.start_broker()
            until(lambda: cluster.status()["commits"] > 2000, "the first result")
            took = time.monotonic() - start
            self.row(f"restart with {count} queued, to the first lease", f"{took:.1f} s", "-", "-",
                     "<= 10 s", took <= 10)
            until(lambda: cluster.status()["batches"] == 0, "the end")
            after = until(lambda: (lambda m: m if m < before + (16 << 20) else 0)(
                rss(cluster.broker.pid)) or (time.monotonic() - start > 120 and
                                             rss(cluster.broker.pid)), "memory to come back")
            self.row("broker memory when they are done, above the start",
                     f"{(after - before) / 1e6:.0f} MB", "-", "-", "about 0",
                     after < before + (32 << 20))
        finally:
            cluster.close()

    def bench_graph(self):
        small, large = self.n(100000), self.n(1000000)
        for shape, what in (("plain", "independent tasks"), ("chain", "tasks in one chain"),
                            ("layers", "tasks in 1000-wide layers")):
            one, two = (tool(shape, n, name="graph") for n in (small, large))
            ratio = float(two["ns_per_task"]) / float(one["ns_per_task"])
            self.row(f"core alone: {large} {what}", f"{two['ns_per_task']} ns a task",
                     f"{small} of them: {one['ns_per_task']} ns", f"{ratio:.2f}",
                     "linear: <= 1.5", ratio <= 1.5)
        cluster = Cluster(self.o.dir)
        try:
            cluster.noop_worker()
            rate = float(cluster.load("chain", self.n(20000), "c")["tasks_per_second"])
            rtt, sync = tool("rtt", cluster.dir), tool("fsync", cluster.dir)
            bare = 1e6 / (rtt + sync)
            self.row(f"chain of {self.n(20000)} tasks, each durable before the next",
                     f"{rate:.0f}/s", f"one round trip and one fsync: {bare:.0f}/s",
                     f"{rate / bare:.2f}", "-", True)
            took = []
            for layers in (self.n(100), self.n(1000)):
                text = ["version: 1", "tasks:"]
                for i in range(layers):
                    reads = (f', "${{inputs.all.list}}"], inputs: {{all: {{ref: "l{i - 1}.*"}}}}'
                             if i else "]")
                    text.append(f'  l{i}: {{run: [noop, "${{p.x}}"{reads}, '
                                f"sweep: {{params: {{x: {{range: [0, 1000]}}}}}}}}")
                file = cluster.write("layers.yaml", "\n".join(text) + "\n")
                took.append(cluster.submit(file, "--quiet", "--no-cache")[0] / (layers * 1000))
            self.row(f"{self.n(1000)} layers of 1000 tasks joined by wildcards",
                     f"{1 / took[1]:.0f}/s", f"a tenth of the layers: {1 / took[0]:.0f}/s",
                     f"{took[0] / took[1]:.2f}", "linear: >= 0.5", took[0] / took[1] >= 0.5)
        finally:
            cluster.close()

    def bench_blobs(self):
        size = self.n(1 << 30)
        cluster = Cluster(self.o.dir)
        text, noise = (os.path.join(cluster.dir, n) for n in ("text", "noise"))
        try:
            words = subprocess.run(["sh", "-c", "cat /usr/include/*.h /usr/include/*/*.h | head -c 8000000"],
                                   capture_output=True).stdout
            with open(text, "wb") as f, open(noise, "wb") as g:
                for i in range(0, size, 1 << 20):
                    at = (i * 7919) % (len(words) - (1 << 20))
                    f.write(words[at:at + (1 << 20) - 8] + b"%8d" % (i >> 20))
                    g.write(os.urandom(1 << 20))
            idle = rss(cluster.broker.pid)
            for name, path in (("text-like", text), ("random", noise)):
                reference = tool("hash-zstd", path)
                put = cluster.load("put", path)
                get = cluster.load("get", put["digest"])
                for verb, done in (("put", put), ("get", get)):
                    rate = float(done["bytes_per_second"])
                    ratio = rate / reference
                    self.row(f"{size >> 20} MiB {name}, {verb}", f"{rate / 1e6:.0f} MB/s",
                             f"SHA-256 then zstd: {reference / 1e6:.0f} MB/s", f"{ratio:.2f}",
                             ">= 0.7", ratio >= 0.7)
            above = (rss(cluster.broker.pid, "VmHWM") - idle) / 1048576
            self.row("broker memory above idle, most", f"{above:.0f} MiB", "-", "-", "<= 64 MiB",
                     above <= 64)
        finally:
            cluster.close()

    def bench_history(self):
        store.history(self, sys.modules[__name__])

    def bench_archive(self):
        store.archive(self, sys.modules[__name__])

    def bench_calls(self):
        calls.calls(self, sys.modules[__name__])

    def table(self):
        head = ("what", "figure", "reference in the same run", "ratio", "bar", "met")
        widths = [max(len(r[i]) for r in [head, *self.rows]) for i in range(6)]
        line = lambda r: "| " + " | ".join(c.ljust(w) for c, w in zip(r, widths)) + " |"
        print("\n" + line(head) + "\n|" + "|".join("-" * (w + 2) for w in widths) + "|")
        for r in self.rows:
            print(line(r))


def main():
    parser = argparse.ArgumentParser(description="measure cashet")
    parser.add_argument("--quick", action="store_true", help="a tenth of the tasks")
    parser.add_argument("--only", default="", metavar="WORD", help="commands, throughput, ...")
    parser.add_argument("--dir", default=None, help="where the stores go")
    bench = Bench(parser.parse_args())
    start = time.monotonic()
    for name in ("commands", "throughput", "latency", "processes", "memory", "graph", "blobs", "history",
                 "archive", "calls"):
        if bench.o.only not in name:
            continue
        begin = time.monotonic()
        try:
            getattr(bench, "bench_" + name)()
        except (Exception, SystemExit) as why:  # the others are measured all the same
            traceback.print_exc()
            bench.row(f"{name}: could not be measured", f"{type(why).__name__}: {why}"[:80], "-", "-",
                      "-", False)
        print(f"-- {name}: {time.monotonic() - begin:.0f} s", flush=True)
    bench.table()
    print(f"\nin {time.monotonic() - start:.0f} s; load of the machine now: {os.getloadavg()[0]:.1f}")
    return any(r[5] == "NO" for r in bench.rows)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    sys.exit(main())
