"""The store with a million commits: reading it, why, gc; and archives of a gigabyte. Parts of run.py."""

import json
import os
import shutil
import statistics
import subprocess
import threading
import time


def clock(argv, env, times=30):
    """Median of whole processes, seconds."""
    took = []
    for _ in range(times):
        start = time.monotonic()
        subprocess.run(argv, env=env, check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL)
        took.append(time.monotonic() - start)
    return statistics.median(took)


def ask(run, env, *argv):
    done = subprocess.run([os.path.join(run.BIN, "cashet"), *argv, "--json"], env=env, check=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def fill(cluster, count, name):
    """So many new commits of small results, in batches of 100,000 at most."""
    batch = None
    while count:
        part = min(count, 100000)
        batch = cluster.load("tasks", part, f"{name}{count}")["batch"]
        count -= part
    return batch


def commands(bench, run, env, db, where, count):
    newest = ask(run, env, "log", "-n", "1")["commits"][0]["commit"]
    middle = ask(run, env, "log", "-n", str(min(count, 5000)))["commits"][-1]["commit"]
    true = clock(["/bin/true"], env)
    base = true + run.tool("open", db) / 1e6
    for argv in (["log", "-n", "20"], ["show", newest], ["show", middle[:10]], ["stats"],
                 ["get", middle]):
        took = clock([os.path.join(run.BIN, "cashet"), *argv], env)
        said = argv[0] if len(argv) < 3 else " ".join(argv)
        said += {64: " of the newest", 10: " by a prefix"}.get(len(argv[-1]), "")
        bench.row(f"cashet {said}, {where}, {count} commits", f"{took * 1e3:.2f} ms",
                  f"/bin/true and one SQLite open: {base * 1e3:.2f} ms", f"{took / base:.2f}",
                  "<= 3", took / base <= 3)


def collect(run, cluster, env):
    """Remove half with gc while tasks run. Seconds for one entry, worst latency, entries."""
    before = ask(run, env, "gc", "--dry-run")["store_bytes"]
    calm = float(cluster.load("fresh", 200, f"calm{time.time()}")["max_us"])
    worst, over = [0.0], threading.Event()

    def work():
        while not over.is_set():
            got = cluster.load("fresh", 100, f"work{time.time()}")
            worst[0] = max(worst[0], float(got["max_us"]))

    thread = threading.Thread(target=work)
    thread.start()
    start = time.monotonic()
    done = ask(run, env, "gc", "--max-size", str(before // 2))
    took = time.monotonic() - start
    over.set()
    thread.join()
    return took / max(done["commits"], 1), worst[0] - calm, done["commits"], took


def history(bench, run):
    count = bench.n(1000000)
    cluster = run.Cluster(bench.o.dir)
    folder = os.path.join(cluster.dir, "store")
    try:
        cluster.noop_worker(bytes=64)
        fill(cluster, count // 2, "a")
        small, _, small_count, _ = collect(run, cluster, cluster.env)
        fill(cluster, count - count // 4, "b")
        batch = fill(cluster, bench.n(100000), "why")
        env = cluster.env
        commands(bench, run, env, os.path.join(folder, "meta.db"), "through a broker", count)
        middle = f"{batch}:{bench.n(50000)}"
        took = clock([os.path.join(run.BIN, "cashet"), "why", middle], env)
        bench.row(f"cashet why, in a batch of {bench.n(100000)}", f"{took * 1e3:.1f} ms", "-", "-",
                  "<= 50 ms", took <= 0.05)
        large, delay, removed, whole = collect(run, cluster, env)
        bench.row(f"gc --max-size that removes {removed} of {count}",
                  f"{large * 1e6:.1f} us an entry, {whole:.1f} s",
                  f"of {small_count}: {small * 1e6:.1f} us", f"{large / small:.2f}",
                  "linear: <= 1.5", large / small <= 1.5)
        bench.row("the longest delay of running work by it", f"{delay / 1e3:.0f} ms", "-", "-",
                  "<= 100 ms", delay <= 100e3)
        cluster.broker.terminate()
        cluster.broker.wait()
        env = {k: v for k, v in env.items() if k != "CASHET_BROKER"} | {"CASHET_DIR": folder}
        left = ask(run, env, "stats")["completed"]
        commands(bench, run, env, os.path.join(folder, "meta.db"), "of a directory", left)
    finally:
        cluster.close()


def peak(argv, env):
    """Seconds, and the most memory of the process in MiB."""
    start = time.monotonic()
    p = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    if p.returncode:
        raise SystemExit(f"bench: {argv} ended with {p.returncode}")
    return time.monotonic() - start, used.ru_maxrss / 1024


def remove(run, cashet, folder, env):
    """A store with its private broker, which is let end first."""
    with open(os.path.join(folder, "run", "lock")) as f:
        pid = int(f.read())
    subprocess.run([cashet, "broker", "drain"], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, env={**env, "CASHET_DIR": folder})
    run.until(lambda: not os.path.exists(f"/proc/{pid}"), "the private broker to end")
    shutil.rmtree(folder)


def files(path):
    if os.path.isfile(path):
        return [path]
    return [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]


def warm(path):
    """Have the page cache hold what is going to be read."""
    piece = bytearray(1 << 20)
    for file in files(path):
        with open(file, "rb", buffering=0) as f:
            while f.readinto(piece):
                pass


def cool(path):
    for file in files(path):
        with open(file, "rb") as f:
            os.fsync(f.fileno())
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def copy_direct(source, target, size):
    """What the disk does: bytes per second of a copy that no page cache takes part in."""
    start = time.monotonic()
    subprocess.run(["dd", f"if={source}", f"of={target}", "bs=1M", "iflag=direct", "oflag=direct",
                    "conv=fsync"], check=True, stderr=subprocess.DEVNULL)
    took = time.monotonic() - start
    os.unlink(target)
    return size / took


def archive(bench, run):
    """What is written is on the disk in the end. What is read is in the page cache, as is SHA-256's, in
    the rows that have a bar; and, in those beside them, on the disk, which then bounds it."""
    size = bench.n(1 << 30)
    cluster = run.Cluster(bench.o.dir)
    folder, cashet = os.path.join(cluster.dir, "store"), os.path.join(run.BIN, "cashet")
    env = {k: v for k, v in cluster.env.items() if k != "CASHET_BROKER"}
    env.update(CASHET_DIR=folder, CASHET_PRIVATE_IDLE="5")
    data, out = os.path.join(cluster.dir, "data"), os.path.join(cluster.dir, "archive")
    try:
        with open(data, "wb") as f:
            for _ in range(0, size, 1 << 20):
                f.write(os.urandom(1 << 20))
        cluster.worker(1)
        cluster.submit(cluster.write("copy.yaml", f"""
version: 1
tasks: {{copy: {{run: [cp, {data}, out], outputs: {{out: out}}}}}}
"""))
        objects = os.path.join(folder, "objects")
        elsewhere = {k: v for k, v in env.items() if k != "CASHET_DIR"}
        speeds = {}
        for turn in range(6):
            where, prepare = [("cache", warm), ("disk", cool)][turn % 2]
            other = os.path.join(cluster.dir, f"other{turn}")
            for name, source, argv, its in (
                    ("export", objects, ["export", out], env),
                    ("import", out, ["import", out, "--store", other], elsewhere)):
                reference = (run.tool("hash", data) if where == "cache" else
                             copy_direct(data, out + ".copy", size))
                prepare(source)
                took, memory = peak([cashet, *argv, "--quiet"], its)
                speeds.setdefault((name, where), []).append(
                    (size / took / reference, size / took, reference, memory))
            remove(run, cashet, other, env)
        for (name, where), all_ in speeds.items():
            ratio, speed, reference, memory = sorted(all_)[1]
            bar = where == "cache"
            what = "SHA-256" if bar else "dd, from disk to disk"
            bench.row(f"{name} of {size >> 20} MiB, from the {where}", f"{speed / 1e6:.0f} MB/s",
                      f"{what}: {reference / 1e6:.0f} MB/s", f"{ratio:.2f}",
                      ">= 0.6" if bar else "-", ratio >= 0.6 or not bar)
            if bar:
                bench.row(f"memory of {name}, most", f"{memory:.0f} MiB", "-", "-", "<= 64 MiB",
                          memory <= 64)
    finally:
        cluster.close()
