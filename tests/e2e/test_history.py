"""log, show, history, get, stats; of a store directory that nobody serves, and through a broker: the
same answers, and no trace of having looked."""

import json
import os
import pty
import re
import select
import signal
import sqlite3
import subprocess
import threading
import time
import unittest

from harness import BIN, PATIENCE, Process, SiteTest, main, until

DIGITS = """
version: 1
name: digits
tasks:
  prep:
    run: "cat ${inputs.src} > p; echo >> p"
    inputs: {src: {file: src.txt}}
    outputs: {p: p}
    tags: {stage: prep, "odd key": "it's [x].\\"y\\" %_*"}
  train:
    run: "echo ${p.lr} > w; cat ${inputs.data} >> w; echo trained ${p.lr}"
    inputs: {data: {ref: prep.p}}
    sweep: {params: {lr: [0.1, 0.2, 0.3]}}
    outputs: {w: w}
    tags: {stage: train}
  report:
    run: "cat ${inputs.all} | wc -l"
    inputs: {all: {ref: "train.*.w"}}
  bad:
    run: |
      seq 30 >&2; printf 'red \\033[31m\\n' >&2; exit 3
    retries: 1
  blob:
    run: |
      printf 'a\\000b\\377' > o
    outputs: {o: o}
    cache: {ttl: 30d}
"""


class History(SiteTest):
    """Each test that reads runs twice: see `both`."""

    def setUp(self):
        super().setUp()
        self.site.write("src.txt", "source\n")
        self.file = self.site.write("digits.yaml", DIGITS)

    def fill(self):
        """A store in which the batch has run, that nobody serves."""
        self.broker = self.site.broker()
        self.workers = self.site.worker()
        self.result = self.site.submit(self.file, code=1)
        self.tasks = {(t["name"], t["params"].get("lr")): t for t in self.result["tasks"]}
        self.stop()

    def stop(self):
        self.broker.popen.terminate()
        self.assertEqual(self.broker.wait(), 0, self.broker.text())
        self.url, self.site.url = self.site.url, None
        self.site.variables["CASHET_DIR"] = self.site.store

    def start(self):
        self.site.url = self.url
        self.broker = self.site.broker()

    def both(self, check):
        """`check` on the directory, then through a broker."""
        before = self.files()
        with self.subTest("directory"):
            check()
        self.assertEqual(self.files(), before, "reading left something in the store")
        self.start()
        with self.subTest("broker"):
            check()

    def files(self):
        found = {}
        for folder, _, names in os.walk(self.site.store):
            for name in names:
                path = os.path.join(folder, name)
                st = os.lstat(path)
                found[path] = (st.st_size, st.st_mtime_ns, st.st_ino)
        return found

    def json(self, *argv, code=0):
        done = self.site.run(*argv, "--json")
        self.assertEqual(done.code, code, done.err)
        return done.json

    def names(self, *options):
        return [c["name"] for c in self.json("log", *options)["commits"]]

    def commit(self, name, lr=None):
        return self.tasks[name, lr]["commit"]

    def on_terminal(self, *argv, env=None):
        """What a person sees, and the exit code."""
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(os.path.join(BIN, "cashet"), ["cashet", *argv],
                      self.site.env(TERM="dumb", **(env or {})))
        out, end = b"", time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if not select.select([fd], [], [], 1)[0]:
                continue
            try:
                data = os.read(fd, 65536)
            except OSError:
                break
            if not data:
                break
            out += data
        os.close(fd)
        _, status = os.waitpid(pid, 0)
        return out.replace(b"\r\n", b"\n"), os.waitstatus_to_exitcode(status)


class Log(History):
    def test_newest_first_with_filters(self):
        self.fill()

        def check():
            commits = self.json("log")["commits"]
            self.assertEqual(len(commits), 7)
            self.assertEqual({c["name"] for c in commits},
                             {"prep", "train", "report", "bad", "blob"})
            names = [c["name"] for c in commits]  # in the order in which they were recorded
            self.assertEqual([n for n in names if n not in ("bad", "blob")],
                             ["report"] + ["train"] * 3 + ["prep"])
            self.assertEqual(self.json("log", "-n", "2")["commits"], commits[:2])
            self.assertEqual(self.names("--func", "train"), ["train"] * 3)
            self.assertEqual(self.names("--since", "0s"), [])
            self.assertEqual(len(self.names("--since", "2d")), 7)
            self.assertEqual(self.names("--status", "failed"), ["bad"])
            self.assertEqual(len(self.names("--status", "completed")), 6)
            self.assertEqual(self.names("--tag", "stage=prep"), ["prep"])
            self.assertEqual(sorted(self.names("--tag", "stage")), ["prep"] + ["train"] * 3)
            self.assertEqual(self.names("--tag", "stage", "--func", "prep"), ["prep"])
            self.assertEqual(self.names("--tag", "stage=train", "--status", "failed"), [])
            self.assertEqual(len(self.names("--since", "1h")), 7)
            self.assertEqual(len(self.names("--batch", self.result["batch"][:6])), 7)
            done = self.site.run("log", "-n", "1")
            self.assertEqual(done.out.split()[:7], ["commit", "function", "status", "size",
                                                    "time", "when", "tags"])
            self.assertEqual(done.out.splitlines()[1].split()[0], commits[0]["commit"][:8])

        self.both(check)

    def test_odd_characters_in_tags_neither_miss_nor_match_too_much(self):
        self.fill()

        def check():
            odd = "odd key=it's [x].\"y\" %_*"
            self.assertEqual(self.names("--tag", odd), ["prep"])
            self.assertEqual(self.names("--tag", "odd key"), ["prep"])
            for near in ("odd key=it's [x].\"y\" %_", "odd key=it's%", "odd ke", "%", "odd_key",
                         "stage=%", "stage=PREP", "stage=", "stage=prep'--", "stage=pre"):
                self.assertEqual(self.names("--tag", near), [], near)
            tags = self.json("log", "--func", "prep")["commits"][0]["tags"]
            self.assertIn({"key": "odd key", "value": "it's [x].\"y\" %_*"}, tags)

        self.both(check)

    def test_a_tag_finds_what_its_task_only_hit(self):
        self.fill()
        self.start()
        again = self.site.write("again.yaml", DIGITS.replace("stage: prep", "stage: again"))
        self.site.submit(again, code=1)
        self.stop()

        def check():
            found = self.json("log", "--tag", "stage=again")["commits"]
            self.assertEqual([c["commit"] for c in found], [self.commit("prep")])
            self.assertIn({"key": "stage", "value": "again"}, found[0]["tags"])

        self.both(check)

    def test_bad_filters(self):
        self.fill()
        for argv in (["--status", "maybe"], ["--tag", ""], ["--tag", "=x"], ["-n", "0"],
                     ["--since", "yesterday"], ["--batch", "xyz"]):
            self.assertEqual(self.site.run("log", *argv).code, 2, argv)
        self.assertEqual(self.site.run("log", "--batch", "ffffffff").code, 5)

    def test_pages_of_a_long_history(self):
        """More rows than a page, in each of the three ways to walk; each once, in one order."""
        self.site.broker()
        self.site.worker(cpus=2)
        many = self.site.write("many.yaml", """
version: 1
tasks:
  t: {run: ["true", "${p.i}"], sweep: {params: {i: {range: [0, 450]}}}, tags: {k: v}}
""")
        result = self.site.submit(many)
        every = [c["commit"] for c in self.json("log")["commits"]]
        self.assertEqual(len(set(every)), 450)
        for options in (["--func", "t"], ["--tag", "k"], ["--batch", result["batch"]]):
            self.assertEqual([c["commit"] for c in self.json("log", *options)["commits"]], every)
        self.assertEqual([c["commit"] for c in self.json("log", "-n", "333")["commits"]],
                         every[:333])

    def test_a_pager_on_a_terminal_only(self):
        self.fill()
        out, code = self.on_terminal("log", env={"CASHET_PAGER": "sed s/^/P:/"})
        self.assertEqual(code, 0)
        self.assertEqual(out.count(b"P:"), 8)
        out, code = self.on_terminal("log", env={"PAGER": "head -n 1", "CASHET_PAGER": ""})
        self.assertEqual(len(out.splitlines()), 8, "an empty one means none")
        out, code = self.on_terminal("log", env={"PAGER": "head -n 1"})
        self.assertEqual((len(out.splitlines()), code), (1, 0))
        self.assertNotIn("P:", self.site.run("log", env={"CASHET_PAGER": "sed s/^/P:/"}).out)


class Show(History):
    HEAD = ["Hash:", "Function:", "Status:", "Output:", "Created:", "Duration:", "Worker:",
            "Parent:", "Tags:", "Expires:"]

    def test_all_lines_in_order(self):
        self.fill()

        def check():
            lines = self.site.run("show", self.commit("train", 0.2)[:10]).out.splitlines()
            heads = [line.split()[0] for line in lines if line[:1].strip()]
            self.assertEqual(heads, self.HEAD + ["Source:", "Args:", "Inputs:"])
            text = "\n".join(lines)
            self.assertIn(f"Hash:     {self.commit('train', 0.2)}", lines)
            self.assertIn("Function: train", lines)
            self.assertIn("Status:   completed", lines)
            self.assertIn("Worker:   node-1", lines)
            self.assertIn("Parent:   none", lines)
            self.assertIn("Tags:     stage=train", lines)
            self.assertIn("Expires:  never", lines)
            self.assertIn("  lr = 0.2", lines)
            self.assertIn("echo ${p.lr} > w", text)
            self.assertRegex(text, r"\n  data  p  [0-9a-f]{8}  from " + self.commit("prep")[:8] +
                             " prep")
            expires = self.site.run("show", self.commit("blob")).out
            self.assertRegex(expires, r"Expires:  20\d\d-")

        self.both(check)

    def test_where_inputs_came_from(self):
        self.fill()

        def check():
            prep = self.json("show", self.commit("prep"))["inputs"]
            self.assertEqual((prep[0]["name"], prep[0]["files"], prep[0]["supplied"],
                              prep[0]["commits"]), ("src", ["src.txt"], 1, []))
            self.assertIn("src  src.txt", self.site.run("show", self.commit("prep")).out)
            self.assertIn("supplied by the client",
                          self.site.run("show", self.commit("prep")).out)
            report = self.json("show", self.commit("report"))["inputs"][0]
            self.assertEqual(report["commits"], [self.commit("train", lr)
                                                 for lr in (0.1, 0.2, 0.3)])
            self.assertEqual(report["parts"], 3)

        self.both(check)

    def test_a_failure_with_the_tail_of_its_standard_error(self):
        self.fill()

        def check():
            out = self.site.run("show", self.commit("bad")).out
            error = out[out.index("Error:"):].splitlines()
            self.assertEqual(error[1].strip(), "exit 3")
            self.assertEqual(error[2:4], ["  | 12", "  | 13"])
            self.assertEqual(error[-2:], ["  | 30", "  | red \033[31m"])
            self.assertIn("Status:   failed (2 attempts)", out)
            self.assertIn("Output:   none", out)
            shown, _ = self.on_terminal("show", self.commit("bad"))
            self.assertIn(rb"| red \x1b[31m", shown)
            self.assertNotIn(b"\033", shown)

        self.both(check)

    def test_names_of_commits(self):
        self.fill()
        commit = self.commit("report")

        def check():
            batch = self.result["batch"]
            index = self.tasks["report", None]["index"]
            for what in (commit, commit[:8].upper(), commit[:5], f"{batch[:7]}:{index}"):
                self.assertEqual(self.json("show", what)["commit"], commit)
            for what, code in (("nosuchpin", 5), ("ffffffff", 5), ("abc", 5), ("x" * 65, 5),
                               ("not a name", 2), (commit + "0", 2), (f"{batch}:99", 5),
                               (f"{batch}:x", 2), ("", 2)):
                done = self.site.run("show", what)
                self.assertEqual(done.code, code, what)
                self.assertIn("cashet: ", done.err)
                self.assertEqual(done.out, "")

        self.both(check)
        self.assertEqual(self.site.run("pin", commit, "--name", "best.v1").code, 0)
        self.stop()
        self.both(lambda: self.assertEqual(self.json("show", "best.v1")["pins"], ["best.v1"]))
        self.assertIn("pinned as best.v1", self.site.run("show", "best.v1").out)

    def test_ambiguous_prefixes_list_their_candidates(self):
        self.site.broker()
        self.site.worker()
        # 16**4 hashes and 700 commits: some pair begins alike, almost always
        many = self.site.write("many.yaml", """
version: 1
tasks: {t: {run: ["true", "${p.i}"], sweep: {params: {i: {range: [0, 700]}}}}}
""")
        self.site.submit(many)
        commits = [c["commit"] for c in self.json("log")["commits"]]
        first = {}
        for commit in commits:
            first.setdefault(commit[:4], []).append(commit)
        alike = [c for c in first.values() if len(c) > 1]
        if not alike:
            self.skipTest("no two of 700 hashes begin alike")
        for argv in (["show"], ["get"], ["history"]):
            done = self.site.run(*argv, alike[0][0][:4])
            self.assertEqual(done.code, 6)
            for candidate in alike[0]:
                self.assertIn(candidate, done.err)


class Lineage(History):
    def test_runs_of_the_same_work(self):
        self.fill()
        self.start()
        self.site.submit(self.file, "--force", code=1)
        self.stop()

        def check():
            runs = self.json("history", self.commit("train", 0.1))["commits"]
            self.assertEqual(len(runs), 2)
            self.assertEqual(runs[1]["commit"], self.commit("train", 0.1))
            self.assertEqual(runs[0]["parent"], runs[1]["commit"])
            newest = self.site.run("show", runs[0]["commit"]).out
            self.assertIn(f"Parent:   {runs[1]['commit']}", newest)
            self.assertIn("no longer current", self.site.run("show", runs[1]["commit"]).out)
            self.assertEqual(len(self.json("history", self.commit("bad"))["commits"]), 2)

        self.both(check)

    def test_graph_to_the_roots_draws_each_commit_once(self):
        self.fill()

        def check():
            out = self.site.run("history", self.commit("report"), "--graph").out
            lines = out.splitlines()
            self.assertTrue(lines[0].startswith(self.commit("report")[:8]))
            for lr in (0.1, 0.2, 0.3):
                self.assertEqual(out.count(self.commit("train", lr)[:8]), 1)
            self.assertEqual(out.count(self.commit("prep")[:8]), 3)
            self.assertEqual(out.count("(drawn above)"), 2)
            self.assertEqual(out.count("supplied by the client"), 1)
            nodes = self.json("history", self.commit("report"), "--graph")["nodes"]
            self.assertEqual({n["name"] for n in nodes}, {"report", "train", "prep"})
            self.assertEqual(len(nodes), 5)
            dot = self.site.run("history", self.commit("report"), "--dot").out
            self.assertTrue(dot.startswith("digraph"))
            self.assertEqual(dot.count(" -> "), 3 + 3 + 1)
            self.assertEqual(len(re.findall(r"^  c\d+ \[", dot, re.M)), 5)

        self.both(check)

    def test_a_graph_of_files_with_odd_names(self):
        names = ['a"b\\c', "new\nline", "\x1b[31m"]
        for name in names:
            self.site.write(name, name)
        file = self.site.write("odd.json", json.dumps({"version": 1, "tasks": [{
            "run": "true", "inputs": {f"i{k}": {"file": n} for k, n in enumerate(names)}}]}))
        commit = self.site.submit(file)["tasks"][0]["commit"]
        dot = self.site.run("history", commit, "--dot").out
        self.assertEqual(len(dot.splitlines()), 3 + 1 + 2 * len(names) + 1)
        label = re.compile(r'label="((?:[^"\\]|\\.)*)"\]$')  # strings end where they should
        labels = [label.search(line)[1] for line in dot.splitlines() if "label" in line]
        self.assertEqual([at.rpartition(r"\n")[0] for at in labels if not at.startswith("i")][1:],
                         [r'a\"b\\c', r"new\\nline", r"\\x1b[31m"])

    def test_a_commit_that_was_removed_is_no_origin(self):
        self.fill()
        self.start()
        prep = next(t for t in self.result["tasks"] if t["name"] == "prep")
        self.assertEqual(self.site.run("rm", prep["commit"]).code, 0)
        self.stop()
        task = f"{self.result['batch'][:8]}:{prep['index']}"

        def check():
            train = self.commit("train", 0.2)
            graph = self.site.run("history", train, "--graph").out
            self.assertEqual(len(graph.splitlines()), 2, graph)
            self.assertIn("from where is not recorded here", graph)
            self.assertIn("not recorded here", self.site.run("show", train).out)
            self.assertEqual(len(self.json("history", train, "--graph")["nodes"]), 1)
            self.assertNotIn("c1 [", self.site.run("history", train, "--dot").out)  # a hash may have c1
            for argv in (["show"], ["why"], ["history"]):
                done = self.site.run(*argv, task)
                self.assertEqual((done.code, done.out), (5, ""), argv)
                self.assertIn("was removed", done.err)
                self.assertIn("cashet retry", done.err)

        self.both(check)


class Get(History):
    def test_exact_bytes_when_piped(self):
        self.fill()

        def check():
            done = subprocess.run([os.path.join(BIN, "cashet"), "get", self.commit("blob")],
                                  env=self.site.env(), cwd=self.site.dir, capture_output=True)
            self.assertEqual((done.returncode, done.stdout), (0, b"a\0b\xff"))
            out = self.site.path("out")
            self.assertEqual(self.site.run("get", self.commit("prep"), "-o", out).code, 0)
            self.assertEqual(self.site.read("out"), "source\n\n")
            os.unlink(out)
            self.assertEqual(self.site.run("get", self.commit("train", 0.3), "--stdout").out,
                             "trained 0.3\n")
            # What it read, up to what the client supplied.
            self.assertEqual(self.site.run("get", self.commit("train", 0.3), "--input",
                                           "data").out, "source\n\n")
            self.assertEqual(self.site.run("get", self.commit("prep"), "--input", "src", "-o",
                                           out).code, 0)
            self.assertEqual(self.site.read("out"), "source\n")
            os.unlink(out)
            for name, code in (("all", 2), ("none", 5)):
                got = self.site.run("get", self.commit("report"), "--input", name)
                self.assertEqual((got.code, got.out), (code, ""), got.err)
            self.assertIn("its inputs: all", got.err)

        self.both(check)

    def test_a_file_takes_the_place_of_a_file_only(self):
        self.fill()
        blob, path = self.commit("blob"), self.site.path
        get = lambda name: self.site.run("get", blob, "-o", path(name))
        for folder in ("far", "near"):
            os.mkdir(path(folder))
        self.site.write("far/file", "old")
        # A link stays what it is, and what it stands for is replaced.
        os.symlink("../far/file", path("near/link"))
        os.chmod(path("far/file"), 0o600)
        self.assertEqual(get("near/link").code, 0)
        self.assertTrue(os.path.islink(path("near/link")))
        with open(path("far/file"), "rb") as f:
            self.assertEqual(f.read(), b"a\0b\xff")
            self.assertEqual(os.fstat(f.fileno()).st_mode & 0o777, 0o600)  # nobody else's, as it was
        os.symlink("nowhere", path("near/lost"))
        self.assertEqual(get("near/lost").code, 1)
        self.assertEqual((os.listdir(path("far")), sorted(os.listdir(path("near")))),
                         (["file"], ["link", "lost"]))
        self.assertIn("Is a directory", get("far").err)
        # Closed, it is no place for what is opened next.
        shut = subprocess.run([os.path.join(BIN, "cashet"), "get", blob], env=self.site.env(), cwd=self.site.dir,
                              stderr=subprocess.PIPE, preexec_fn=lambda: os.close(1))
        self.assertEqual(shut.returncode, 1)
        self.assertIn(b"Bad file descriptor", shut.stderr)
        # Standard output by a name of its own goes on where it is.
        os.symlink("/proc/self/fd/1", path("stdout"))
        with open(path("all"), "wb") as f:
            f.write(b"before ")
            f.flush()
            done = subprocess.run([os.path.join(BIN, "cashet"), "get", blob, "-o", path("stdout")],
                                  env=self.site.env(), cwd=self.site.dir, stdout=f)
            f.seek(0, os.SEEK_END)
            f.write(b" behind")
        self.assertEqual(done.returncode, 0)
        self.assertTrue(os.path.islink(path("stdout")))
        with open(path("all"), "rb") as f:
            self.assertEqual(f.read(), b"before a\0b\xff behind")

    def test_a_terminal_is_shown_text_and_told_of_the_rest(self):
        self.fill()

        def check():
            out, code = self.on_terminal("get", self.commit("prep"))
            self.assertEqual((out, code), (b"source\n\n", 0))
            out, code = self.on_terminal("get", self.commit("blob"))
            self.assertEqual(code, 0)
            self.assertIn(b"binary, 4 B", out)
            self.assertIn(b"-o FILE", out)
            self.assertNotIn(b"\0", out)

        self.both(check)

    def test_what_a_failed_task_printed_is_no_result(self):
        file = self.site.write("half.yaml", """
version: 1
tasks:
  half: {run: "echo half; echo why >&2; echo 1 > o; mkdir d; exit 3", outputs: {o: o, d: d}}
  missing: {run: "true", outputs: {o: o}}
  two: {run: "echo 1 > o; mkdir -p d/e; head -c 300 /dev/zero | tee d/e/f > d/g", outputs: {o: o, d: d}}
""")
        self.broker, self.workers = self.site.broker(), self.site.worker()
        batch = self.site.submit(file, code=1)["batch"]
        self.stop()

        def check():
            for index, why in ((0, "exit 3"), (1, "o was not created")):
                for target in (["-o", self.site.path("out")], []):
                    got = self.site.run("get", f"{batch}:{index}", *target)
                    self.assertEqual((got.code, got.out), (5, ""), got.err)
                    self.assertIn("there is no result: the task failed", got.err)
                    self.assertIn(why, got.err)
            self.assertFalse(os.path.exists(self.site.path("out")))
            for options, want in ((["--stdout"], "half\n"), (["--stderr"], "why\n")):
                got = self.site.run("get", f"{batch}:0", *options)
                self.assertEqual((got.code, got.out), (0, want))
            for options in ([], ["--output", "d"]):  # a folder is no stream
                got = self.site.run("get", f"{batch}:2", "-o", "-", *options)
                self.assertEqual((got.code, got.out), (2, ""), got.err)
            self.assertFalse(os.path.exists(self.site.path("-")))
            self.assertRegex(self.site.run("show", f"{batch}:2").out,
                             r"Output: +[0-9a-f]{64}  602 B\n +d  d  [0-9a-f]{64}  600 B in 2 files\n")
            self.assertEqual(self.site.run("show", f"{batch}:2", "--json").json["folders"],
                             {"d": {"files": 2, "size": 600}})

        self.both(check)

    def test_any_size_in_bounded_memory(self):
        big = self.site.write("big.yaml", """
version: 1
tasks: {big: {run: "head -c 100000000 /dev/zero > o", outputs: {o: o}}}
""")
        self.fill()
        self.start()
        commit = self.site.submit(big)["tasks"][0]["commit"]
        self.stop()

        def check():
            out = self.site.path("o")
            process = Process(self.site, "get", [os.path.join(BIN, "cashet"), "get", commit, "-o",
                                                 out])
            _, status, usage = os.wait4(process.pid, 0)
            process.popen.returncode = os.waitstatus_to_exitcode(status)
            self.assertEqual(process.popen.returncode, 0, process.text())
            self.assertEqual(os.path.getsize(out), 100000000)
            if not os.environ.get("ASAN_OPTIONS") and "sanitize" not in BIN:
                self.assertLess(usage.ru_maxrss, 90000)  # KiB
            os.unlink(out)

        self.both(check)


class Store(History):
    READING = (["log"], ["show", "abcd"], ["get", "abcd"], ["history", "abcd"], ["stats"], ["ps"],
               ["results"], ["best"], ["logs", "abcd:0"], ["wait"])

    def test_a_missing_store_is_said_and_not_made(self):
        for argv in self.READING:
            done = self.site.run("--store", self.site.store, *argv)
            self.assertEqual(done.code, 5, argv)
            self.assertIn(self.site.store, done.err)
            self.assertEqual(done.out, "")
            self.assertFalse(os.path.exists(self.site.store), argv)
        os.mkdir(self.site.store)
        for argv in self.READING:
            self.assertEqual(self.site.run("--store", self.site.store, *argv).code, 5, argv)
            self.assertEqual(os.listdir(self.site.store), [])

    def test_no_broker_is_started_by_reading(self):
        self.fill()
        batch, index = self.result["batch"], self.tasks["bad", None]["index"]
        before = self.files()
        for argv in (["log"], ["ps", "--all"], ["results", batch], ["stats"], ["wait", batch],
                     ["logs", f"{batch}:{index}"], ["get", self.commit("prep")],
                     ["show", self.commit("prep")], ["best", batch]):
            self.site.run(*argv)
            self.assertEqual(self.files(), before, argv)
        self.assertEqual(self.site.run("wait", batch).code, 1)
        self.assertEqual(self.site.run("logs", f"{batch}:{index}").err.splitlines()[:2],
                         ["1", "2"])
        results = self.json("results", batch)
        self.assertEqual(results["counts"], {k: v for k, v in self.result["counts"].items()})

    def test_what_a_crash_left_is_read(self):
        self.fill()
        self.start()
        more = self.site.write("more.yaml", "version: 1\ntasks: {more: {run: 'echo more'}}\n")
        self.site.submit(more)
        self.broker.kill()
        self.site.url = None
        before = self.files()
        self.assertEqual(self.names("-n", "1"), ["more"])
        self.assertEqual(self.site.run("get", self.json("log", "-n", "1")["commits"][0]["commit"])
                         .out, "more\n")
        self.assertEqual({p: f[0] for p, f in self.files().items()},
                         {p: f[0] for p, f in before.items()})

    def test_versions(self):
        self.fill()
        for version, words in ((99, "version of cashet that wrote it"), (1, "migrates it")):
            db = sqlite3.connect(os.path.join(self.site.store, "meta.db"))
            db.execute(f"PRAGMA user_version = {version}")
            db.commit()
            db.close()
            done = self.site.run("log")
            self.assertEqual(done.code, 1)
            self.assertIn(words, done.err)

    @unittest.skipIf(os.getuid() == 0, "root may write anywhere")
    def test_a_store_that_cannot_be_written(self):
        self.fill()
        for folder, _, names in os.walk(self.site.store, topdown=False):
            for name in names:
                os.chmod(os.path.join(folder, name), 0o400)
            os.chmod(folder, 0o500)
        try:
            self.assertEqual(len(self.names()), 7)
            self.assertEqual(self.site.run("get", self.commit("prep")).out, "source\n\n")
        finally:
            for folder, _, _ in os.walk(self.site.store):
                os.chmod(folder, 0o700)

    def test_a_batch_that_has_not_ended(self):
        self.broker = self.site.broker()
        slow = self.site.write("slow.yaml", "version: 1\ntasks: {slow: {run: 'sleep 1000'}}\n")
        batch = self.site.run(slow, "--detach", program="cashet-submit").out.strip()
        self.stop_hard()

        def check():
            self.assertEqual(self.json("results", batch)["counts"]["waiting"], 1)
            done = self.site.run("logs", f"{batch}:0")
            self.assertEqual(done.code, 5)
            self.assertIn("has not ended", done.err)
            self.assertEqual(self.site.run("show", f"{batch}:0").code, 5)

        check()

    def stop_hard(self):
        self.broker.kill()
        self.site.url = None
        self.site.variables["CASHET_DIR"] = self.site.store

    def test_interrupted_reading_leaves_the_store_whole(self):
        self.fill()
        before = self.files()
        for argv in (["log"], ["get", self.commit("prep"), "-o", self.site.path("out")],
                     ["stats"], ["history", self.commit("report"), "--graph"]):
            for number in (signal.SIGINT, signal.SIGKILL):
                process = Process(self.site, "reader", [os.path.join(BIN, "cashet"), *argv])
                process.signal(number)
                process.wait()
                self.assertEqual(self.files(), before, argv)
        self.assertEqual(len(self.names()), 7)

    def test_readers_while_brokers_come_and_go(self):
        """Every answer is right, whoever gives it."""
        self.fill()
        stop = False
        answers = []

        def read():
            while not stop:
                done = self.site.run("log", "--json", env={"CASHET_DIR": self.site.store})
                answers.append((done.code, len(done.json["commits"]) if done.code == 0
                                else done.err))

        readers = [threading.Thread(target=read) for _ in range(2)]
        for r in readers:
            r.start()
        try:
            for _ in range(4):
                broker = Process(self.site, "broker", [
                    os.path.join(BIN, "cashet-broker"), "--listen",
                    f"ipc://{self.site.dir}/b.sock", "--store", self.site.store])
                until(lambda: "broker ready" in broker.text(), "the broker")
                count = len(answers)
                until(lambda: len(answers) >= count + 4, "answers with a broker")
                broker.popen.terminate()
                self.assertEqual(broker.wait(), 0, broker.text())
                until(lambda: len(answers) >= count + 8, "answers without")
        finally:
            stop = True
            for r in readers:
                r.join()
        self.assertEqual(set(answers), {(0, 7)})


class Stats(History):
    def test_counts(self):
        self.fill()
        self.start()
        self.site.submit(self.file, code=1)
        self.stop()

        def check():
            stats = self.json("stats")
            self.assertEqual((stats["completed"], stats["failed"]), (6, 2))
            self.assertEqual(stats["hits"], 6)
            self.assertEqual(stats["misses"], 8)
            self.assertEqual(stats["batches"], 2)
            self.assertGreater(stats["inline"], 0)
            out = self.site.run("stats").out
            for word in ("Commits:", "Hits:", "Misses:", "Time saved:", "Stored:", "Logical:",
                         "Deduplication:", "Compression:", "Blobs:", "Inline:"):
                self.assertIn(word, out)

        self.both(check)


if __name__ == "__main__":
    main()
