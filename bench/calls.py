"""Functions by source: how many calls a second, what describing costs, how large arguments arrive."""

import json
import os
import statistics
import subprocess
import sys
import time

C = """
#include <cashet/task.h>
#include <stdio.h>
#include <string.h>

int noop(struct cashet_task *task)
{
	return cashet_failed(task);
}

static long own_kb(void)
{
	char line[256];
	long kb = -1;
	FILE *file = fopen("/proc/self/status", "r");

	while (file && fgets(line, sizeof line, file))
		if (!strncmp(line, "RssAnon:", 8))
			sscanf(line + 8, "%ld", &kb);
	if (file)
		fclose(file);
	return kb;
}

/* Touch every page of it, and say how much memory of its own that took. */
int read_all(struct cashet_task *task)
{
	long before = own_kb(), sum = 0;
	size_t size;
	const unsigned char *data = cashet_bytes(cashet_arg(task, "data"), &size);

	for (size_t i = 0; i < size; i += 4096)
		sum += data[i];
	cashet_json_object(task);
	cashet_json_key(task, "kb");
	cashet_json_int(task, own_kb() - before);
	cashet_json_key(task, "sum");
	cashet_json_int(task, sum);
	cashet_json_end(task);
	return 0;
}
"""

PYTHON = """
import os


def noop(i, turn):
    pass


def make(size):
    return os.urandom(size)


def measure(data, i, turn):
    return len(data)
"""

LOOP = "import sys\nfor line in sys.stdin.buffer: sys.stdout.buffer.write(b'null\\n'); sys.stdout.buffer.flush()"


def pipe_loop(count):
    """Calls a second of one Python process that answers each line at once."""
    with subprocess.Popen([sys.executable, "-c", LOOP], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as p:
        p.stdin.write(b"warm\n")
        p.stdin.flush()
        p.stdout.readline()
        start = time.monotonic()
        feed = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdout.write('call\\n' * %d)" % count],
                                stdout=p.stdin)
        for _ in range(count):
            p.stdout.readline()
        took = time.monotonic() - start
        feed.wait()
        p.stdin.close()
    return count / took


def sweep(cluster, call, count, turn, extra=""):
    file = cluster.write("calls.yaml", f"""
version: 1
tasks:
  t: {{call: "{call}", kwargs: {{turn: {turn}{extra}}}, sweep: {{params: {{i: {{range: [0, {count}]}}}}}}}}
""")
    return count / cluster.submit(file, "--quiet")[0]


def rates(bench, run):
    count = bench.n(100000)
    cluster, own = run.Cluster(bench.o.dir), run.Cluster(bench.o.dir)
    fresh = {"noop.c": [], "noop.py": []}
    bare, loops = [], []
    try:
        cluster.write("noop.c", C)
        cluster.write("noop.py", PYTHON)
        cluster.worker(2)
        own.noop_worker()
        run.until(lambda: cluster.status()["workers"], "the worker")
        for name in fresh:
            sweep(cluster, f"{name}:noop", 1000, -1)
        for turn in range(3):
            bare.append(float(own.load("tasks", count, f"t{turn}")["tasks_per_second"]))
            fresh["noop.c"].append(sweep(cluster, "noop.c:noop", count, turn))
            loops.append(pipe_loop(count))
            fresh["noop.py"].append(sweep(cluster, "noop.py:noop", count, turn))
    finally:
        cluster.close()
        own.close()
    rate, reference = statistics.median(fresh["noop.c"]), statistics.median(bare)
    ratio = statistics.median(a / b for a, b in zip(fresh["noop.c"], bare))
    bench.row(f"{count} no-op C calls, 2 slots, durable", f"{rate:.0f}/s",
              f"a worker that runs nothing: {reference:.0f}/s", f"{ratio:.2f}",
              ">= 40000/s and >= 0.5", rate >= 40000 and ratio >= 0.5)
    rate, reference = statistics.median(fresh["noop.py"]), statistics.median(loops)
    ratio = statistics.median(a / b for a, b in zip(fresh["noop.py"], loops))
    bench.row(f"{count} no-op Python calls, 2 slots, durable", f"{rate:.0f}/s",
              f"a loop over a pipe to one Python: {reference:.0f}/s", f"{ratio:.2f}", ">= 15000/s",
              rate >= 15000)


def large_source(helpers=50, lines=1000):
    """A file of so many lines, whose first function reaches all helpers."""
    each = lines // helpers
    text = ["def helper%d(x):\n%s    return x\n" % (n, "".join(
        "    x = x * %d + len(str(x)) if x %% 2 else x - %d\n" % (i, n) for i in range(each - 4)))
        for n in range(helpers)]
    text.append("def all_of_them(x):\n    return [%s]\n" % ", ".join("helper%d(x)" % n for n in range(helpers)))
    return "\n\n".join(text)


def describe(bench, run):
    cluster = run.Cluster(bench.o.dir)
    try:
        text = large_source()
        file = cluster.write("large.py", text)
        argv = [os.path.join(run.BIN, "cashet-runner-python"), "describe", file + ":all_of_them"]
        start_up = [sys.executable, "-I", "-S", "-c", ""]

        def clock(argv):
            start = time.monotonic()
            subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
            return time.monotonic() - start

        pairs = [(clock(argv), clock(start_up)) for _ in range(10)]
        took, start = (statistics.median(p[i] for p in pairs) for i in (0, 1))
        bench.row(f"describe {text.count(chr(10)) + 1} lines of Python with 50 helpers", f"{took * 1e3:.0f} ms",
                  f"Python's start: {start * 1e3:.0f} ms", f"{took / start:.1f}", "<= 150 ms", took <= 0.15)
    finally:
        cluster.close()


def large(bench, run, size=100 << 20, calls=10):
    """What a task made, as an argument of others that run on the same worker."""
    cluster = run.Cluster(bench.o.dir)
    try:
        cluster.write("noop.c", C)
        cluster.write("noop.py", PYTHON)
        cluster.worker(1)
        run.until(lambda: cluster.status()["workers"], "the worker")

        def both(turn):
            file = cluster.write("large.yaml", f"""
version: 1
tasks:
  make: {{call: "noop.py:make", args: [{size}]}}
  c: {{call: "noop.c:read_all", kwargs: {{data: {{ref: make}}, turn: {turn}}}}}
""")
            read = json.loads(cluster.submit(file, "--json")[1])
            shown = subprocess.run([os.path.join(run.BIN, "cashet"), "get", read["tasks"][1]["commit"]],
                                   env=cluster.env, check=True, capture_output=True).stdout
            file = cluster.write("measure.yaml", f"""
version: 1
tasks:
  make: {{call: "noop.py:make", args: [{size}]}}
  py: {{call: "noop.py:measure", args: [{{ref: make}}], kwargs: {{turn: {turn}}},
       sweep: {{params: {{i: {{range: [0, {calls}]}}}}}}}}
""")
            return json.loads(shown)["kb"], size * calls / cluster.submit(file, "--quiet")[0]

        both(0)
        own, rate = zip(*(both(turn) for turn in (1, 2, 3)))
        bench.row(f"an argument of {size >> 20} MiB, read by a C function: memory of its own",
                  f"{max(own)} KiB", "-", "-", "mapped: <= 1 MiB", max(own) <= 1024)
        rate = statistics.median(rate)
        bench.row(f"an argument of {size >> 20} MiB, as bytes of a Python function", f"{rate / 1e6:.0f} MB/s",
                  "-", "-", ">= 1000 MB/s", rate >= 1e9)
    finally:
        cluster.close()


def calls(bench, run):
    rates(bench, run)
    describe(bench, run)
    large(bench, run)
