"""Archives: what a store exports, another one imports, all or nothing; hostile ones are refused."""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import unittest

from harness import BIN, Process, Site, SiteTest, alive, main, until

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden"))
import forms  # noqa: E402

DIGITS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples", "digits")


class Archives(SiteTest):
    def setUp(self):
        super().setUp()
        self.other = Site(self)  # an empty machine
        self.addCleanup(self.other.close)
        self.archive = self.site.path("x.archive")

    def json(self, site, *argv, code=0):
        done = site.run("--store", site.store, *argv, "--json")
        self.assertEqual(done.code, code, done.err + done.out + site.logs())
        return done.json if done.out.startswith("{") else done

    def submit(self, site, file, **more):
        return site.submit(file, "--store", site.store, **more)

    def good(self, result):
        self.assertEqual({t["status"] for t in result["tasks"]}, {"completed"}, result)
        return result

    def hashes(self, site, *options):
        return [c["commit"] for c in self.json(site, "log", *options)["commits"]]

    def nobody_serves(self, site):
        said = site.read(os.path.join(site.store, "run", "lock")).split()  # its pid; later that it has ended
        until(lambda: not said or not alive(int(said[0])), "the private broker to end")

    def is_empty(self, site):
        """Nothing is seen of an import that failed."""
        if os.path.exists(os.path.join(site.store, "meta.db")):
            self.assertEqual(self.hashes(site), [])
            self.assertEqual(self.json(site, "pins")["pins"], [])
            self.assertEqual(self.json(site, "fsck", "--read-data", "100")["problems"], 0)


class Digits(Archives):
    """The sweep of examples/digits, reduced; exported, imported on an empty machine."""

    def write(self, site):
        with open(os.path.join(DIGITS, "sweep.yaml")) as f:
            text = f.read()
        text = (text.replace("../../build/bin/digits", os.path.join(BIN, "digits"))
                .replace("n: 3}", "n: 2}").replace("[8, 16, 24]", "[8]")
                .replace('"8",', '"2",'))
        self.assertIn("n: 2}", text)
        shutil.copy(os.path.join(DIGITS, "digits.csv.gz"), site.path("digits.csv.gz"))
        return site.write("sweep.yaml", text)

    def test_everything_works_on_the_other_side(self):
        first = self.good(self.submit(self.site, self.write(self.site)))
        total = len(first["tasks"])
        best = self.json(self.site, "best")["tasks"][0]["commit"]
        self.assertEqual(self.json(self.site, "pin", best, "--name", "best")["pinned"], True)
        out = self.json(self.site, "export", self.archive)
        self.assertEqual((out["commits"], out["absent"], out["pins"]), (total, 0, 1))
        self.assertEqual(out["archive_bytes"], os.path.getsize(self.archive))

        checked = self.json(self.other, "import", self.archive, "--dry-run")
        self.assertEqual(checked["commits"], total)
        self.assertFalse(os.path.exists(self.other.store))
        got = self.json(self.other, "import", self.archive)
        self.assertEqual((got["commits"], got["known"], got["pins"]), (total, 0, 1))

        self.assertEqual(self.hashes(self.other), self.hashes(self.site))
        shown = self.json(self.other, "show", "best")
        self.assertTrue(shown["current"])
        self.assertEqual(shown["pins"], ["best"])
        self.assertIsNotNone(shown["function"])
        graph = self.json(self.other, "history", "best", "--graph")["nodes"]
        self.assertEqual([n["name"] for n in graph], ["train", "prep"])
        report = first["tasks"][-1]["commit"]
        self.assertEqual(self.other.run("--store", self.other.store, "get", report).out,
                         self.site.run("--store", self.site.store, "get", report).out)
        others = [t["commit"] for t in first["tasks"] if t["name"] == "train"]
        diff = self.json(self.other, "diff", others[0], others[1])
        self.assertIn("seed", [c["name"] for c in diff["changes"] if c["how"] == "changed"])
        self.assertEqual(self.json(self.other, "fsck", "--read-data", "100")["problems"], 0)

        again = self.submit(self.other, self.write(self.other))
        self.assert_counts(again, total=total, cached=total)
        once_more = self.json(self.other, "import", self.archive)
        self.assertEqual((once_more["commits"], once_more["known"]), (0, total))

    def test_what_it_needs_to_run_again_comes_along(self):
        file = self.write(self.site)
        total = len(self.good(self.submit(self.site, file))["tasks"])
        self.json(self.site, "export", self.archive)
        self.json(self.other, "import", self.archive)
        again = self.submit(self.other, self.write(self.other))
        self.assert_counts(again, cached=total)
        retried = self.other.run("--store", self.other.store, "submit", file, "--force", "--json")
        self.assertEqual(retried.code, 0, retried.err)
        self.assert_counts(retried.json, executed=total)


class Parts(Archives):
    FILE = """
    version: 1
    tasks:
      make:
        run: "mkdir -p d/sub; printf '%s' ${p.n} > d/a; printf x > d/sub/b; head -c 5000 /dev/zero > d/c; echo e >&2; echo o"
        sweep: {params: {n: {range: [0, 3]}}}
        outputs: {d: d}
        tags: {kind: "odd \\"tag\\" [a.b]", "only": ""}
      all:
        run: "cat ${inputs.d} >/dev/null 2>&1; find inputs -type f | wc -l"
        inputs: {d: {ref: "make.*.d"}}
      bad:
        run: "echo no >&2; exit 3"
    """

    def setUp(self):
        super().setUp()
        file = self.site.write("parts.yaml", "\n".join(
            line[4:] for line in self.FILE.splitlines()))
        self.first = self.submit(self.site, file, code=1)
        self.by_name = {t["name"]: t["commit"] for t in self.first["tasks"]}

    def test_failures_and_superseded_ones_come_with_all(self):
        self.assertEqual(self.json(self.site, "export", self.archive)["commits"], 4)
        self.assertEqual(self.json(self.site, "export", self.archive, "--all")["commits"], 5)
        self.assertEqual(self.json(self.site, "export", self.archive, "--status",
                                   "failed")["commits"], 1)
        self.json(self.other, "import", self.archive)
        shown = self.json(self.other, "show", self.by_name["bad"])
        self.assertEqual(shown["status"], "failed")
        self.assertIn("no", shown["stderr_tail"])

    def test_a_parent_that_comes_after_its_child_is_no_fault(self):
        file = self.site.write("once.yaml", "version: 1\ntasks: {once: {run: [echo, '1']}}\n")
        parent = self.submit(self.site, file)["tasks"][0]["commit"]
        forced = self.site.run("--store", self.site.store, "submit", file, "--force", "--json").json
        child = forced["tasks"][0]["commit"]
        for named in (child, parent):
            self.json(self.site, "export", self.archive, named)
            self.assertEqual(self.json(self.other, "import", self.archive)["commits"], 1)
        self.assertEqual(self.json(self.other, "show", child)["parent"], parent)
        self.assertEqual(self.json(self.other, "fsck")["findings"], [])

    def test_conditions_and_names_choose(self):
        for options, count in ((["--func", "make"], 3), (["--tag", "kind"], 3),
                               (["--tag", 'kind=odd "tag" [a.b]'], 3), (["--tag", "kin"], 0),
                               (["--batch", self.first["batch"]], 4), (["--since", "1h"], 4),
                               ([self.by_name["all"]], 1),
                               ([f"{self.first['batch']}:0", self.by_name["bad"]], 2)):
            with self.subTest(options):
                self.assertEqual(self.json(self.site, "export", self.archive,
                                           *options)["commits"], count)
        self.json(self.site, "export", self.archive, "--func", "make", self.by_name["all"], code=2)
        self.json(self.site, "export", self.archive, "feedfeed", code=5)

    def test_tags_are_found_on_the_other_side(self):
        self.json(self.site, "export", self.archive)
        self.json(self.other, "import", self.archive)
        self.assertEqual(len(self.hashes(self.other, "--tag", 'kind=odd "tag" [a.b]')), 3)
        self.assertEqual(len(self.hashes(self.other, "--tag", "only")), 3)
        self.assertEqual(self.hashes(self.other, "--tag", "kind=odd"), [])
        self.json(self.other, "export", self.archive, "--tag", "only")
        third = Site(self)
        self.addCleanup(third.close)
        self.json(third, "import", self.archive)
        self.assertEqual(len(self.hashes(third, "--tag", "kind")), 3)

    def test_logs_may_stay_behind(self):
        self.assertGreater(self.json(self.site, "export", self.archive, "--no-logs")["absent"], 0)
        self.json(self.other, "import", self.archive)
        self.assertEqual(len(self.hashes(self.other)), 4)

    def test_through_pipes(self):
        whole = subprocess.run([os.path.join(BIN, "cashet"), "--store", self.site.store, "export",
                                "-"], capture_output=True, env=self.site.env(), check=True)
        self.assertIn(b"exported 4 commits", whole.stderr)
        done = subprocess.run([os.path.join(BIN, "cashet"), "--store", self.other.store, "import",
                               "-", "--json"], input=whole.stdout, capture_output=True,
                              env=self.other.env(), check=True)
        self.assertEqual(json.loads(done.stdout)["commits"], 4)

    def test_without_a_broker_the_same_is_exported(self):
        self.json(self.site, "export", self.archive)
        with open(self.archive, "rb") as f:
            served = {what for kind, what, _ in forms.entries(f.read()) if kind in "BCAP"}
        self.nobody_serves(self.site)
        self.json(self.site, "export", self.archive)
        with open(self.archive, "rb") as f:
            alone = {what for kind, what, _ in forms.entries(f.read()) if kind in "BCAP"}
        self.assertEqual(served, alone)
        self.assertFalse(os.path.exists(os.path.join(self.site.store, "run", "broker.sock")))

    def test_blobs_that_are_gone_are_told_to_be(self):
        self.nobody_serves(self.site)
        for folder, _, names in os.walk(os.path.join(self.site.store, "objects")):
            for name in names:
                os.chmod(os.path.join(folder, name), 0o600)
                with open(os.path.join(folder, name), "r+b") as f:
                    f.seek(os.path.getsize(f.name) - 1)
                    f.write(b"?")
        out = self.json(self.site, "export", self.archive)
        self.assertGreater(out["absent"], 0)
        self.assertEqual(self.json(self.other, "import", self.archive)["commits"], 4)

    def test_what_a_link_stands_for_is_written(self):
        link = self.site.path("link")
        self.site.write("x.archive", "old")
        os.symlink(self.archive, link)
        os.chmod(self.archive, 0o600)
        self.json(self.site, "export", link)
        self.assertTrue(os.path.islink(link))
        self.assertEqual(os.stat(link).st_mode & 0o777, 0o600)  # nobody else's, as it was
        self.json(self.other, "import", self.archive, "--dry-run")
        os.unlink(self.archive)
        self.json(self.site, "export", link, code=1)
        self.assertEqual(self.json(self.site, "export", self.archive)["commits"], 4)

    def test_a_store_that_is_not_there(self):
        self.json(self.other, "export", self.archive, code=5)
        self.assertFalse(os.path.exists(self.other.store))
        self.assertFalse(os.path.exists(self.archive))

    def test_what_is_here_stays(self):
        self.json(self.site, "pin", self.by_name["all"], "--name", "mine")
        self.json(self.site, "export", self.archive)
        file = self.other.write("parts.yaml", self.site.read("parts.yaml"))
        mine = self.submit(self.other, file, code=1)
        names = {t["name"]: t["commit"] for t in mine["tasks"]}
        self.json(self.other, "pin", names["make"], "--name", "mine")
        before = self.hashes(self.other)
        got = self.json(self.other, "import", self.archive)
        self.assertEqual((got["commits"], got["pins"], got["pins_kept"]), (4, 0, ["mine"]))
        self.assertEqual(self.json(self.other, "show", "mine")["commit"], names["make"])
        self.assertEqual(self.hashes(self.other)[4:], before)
        for commit in before:
            if commit != names["bad"]:
                self.assertTrue(self.json(self.other, "show", commit)["current"])
        for task in self.first["tasks"]:
            if task["name"] != "bad":
                self.assertFalse(self.json(self.other, "show", task["commit"])["current"])
        self.assert_counts(self.submit(self.other, file, code=1), cached=4)

    def test_an_interrupted_export_leaves_nothing(self):
        os.mkfifo(self.site.path("fifo"))
        folder = self.site.path("out")
        os.mkdir(folder)
        self.site.write("big.yaml", "version: 1\ntasks: {big: {run: 'head -c 300000000 "
                        "/dev/urandom > b', outputs: {b: b}}}\n")
        self.good(self.submit(self.site, self.site.path("big.yaml")))
        for number in (signal.SIGINT, signal.SIGKILL):
            p = Process(self.site, "export", [os.path.join(BIN, "cashet"), "--store",
                                              self.site.store, "export", f"{folder}/a"])
            until(lambda: not p.running() or any(file.startswith(folder) for file in self.files(p.pid)),
                  "the file to be open")
            p.signal(number)
            p.wait()
            if p.popen.returncode == 0 or os.listdir(folder):  # it was as good as done
                self.json(self.other, "import", f"{folder}/a", "--dry-run")
                os.unlink(f"{folder}/a")
            self.assertEqual(os.listdir(folder), [])

    @staticmethod
    def files(pid):
        """What the process has open, as far as it stays open while we look."""
        with contextlib.suppress(OSError):
            for fd in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    yield os.readlink(f"/proc/{pid}/fd/{fd}")


class Broker(Archives):
    """Through a broker that is named by its URL. On this machine large blobs are read from files all
    the same, on both sides; test_blobs_come_over_the_socket does without."""

    def setUp(self):
        super().setUp()
        self.site.broker()
        self.site.worker(wait=True)
        self.site.write("in.txt", "hello\n" * 1000)
        self.site.write("one.yaml", """
version: 1
tasks:
  one:
    run: "cat ${inputs.i} ${inputs.i} > o; head -c 3000000 /dev/urandom > r"
    inputs: {i: {file: in.txt}}
    outputs: {o: o, r: r}
""")
        self.good(self.site.submit(self.site.path("one.yaml")))

    def blobs_arrive(self):
        until(lambda: any(names for _, _, names in os.walk(os.path.join(self.other.store, "objects"))),
              "blobs to arrive")

    def carried_over(self):
        """One blob is random, one compresses, both are large: as they are, and packed."""
        file = self.site.write("two.yaml", "version: 1\ntasks: {two: {run: 'seq 700000 > t; "
                               "head -c 3000000 /dev/urandom > r', outputs: {t: t, r: r}}}\n")
        self.good(self.site.submit(file))
        done = self.site.run("export", self.archive, "--json")
        self.assertEqual(done.code, 0, done.err)
        self.assertEqual(done.json["absent"], 0)
        got = self.other.run("import", self.archive, "--json")
        self.assertEqual(got.code, 0, got.err)
        self.assertEqual(got.json["commits"], 2)
        check = self.other.run("fsck", "--read-data", "100", "--json")
        self.assertEqual(check.json["problems"], 0, check.out)
        again = self.other.run("import", self.archive, "--json")
        self.assertEqual(again.json["known"], 2, again.err)

    def test_blobs_come_from_files(self):
        self.other.broker()
        self.carried_over()

    def test_blobs_come_over_the_socket(self):
        for p in reversed(self.site.processes):
            p.kill()
        self.site.broker("--insecure", listen="tcp")
        self.site.worker(wait=True)
        self.other.broker("--insecure", listen="tcp")
        self.carried_over()

    def test_kill_9_in_between_leaves_nothing_to_be_seen(self):
        self.site.run("export", self.archive, "--json")
        with open(self.archive, "rb") as f:
            data = f.read()
        broker = self.other.broker()
        p = subprocess.Popen([os.path.join(BIN, "cashet"), "import", "-"], stdin=subprocess.PIPE,
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                             env=self.other.env())
        p.stdin.write(data[:-60])  # all but the end: every commit is on its way
        p.stdin.flush()
        self.blobs_arrive()
        broker.kill()
        p.stdin.write(data[-60:])
        p.stdin.close()
        self.other.broker()
        p.wait()
        found = self.other.run("log", "--json").json["commits"]
        # Either it had been told nothing, and says so; or it began anew and all is there.
        self.assertEqual(found == [], p.returncode != 0, p.stderr.read())
        p.stderr.close()
        self.assertEqual(self.other.run("import", self.archive, "--json").code, 0)
        self.assertEqual(len(self.other.run("log", "--json").json["commits"]), 1)

    def test_work_that_is_done_here_meanwhile_stays_what_is_hit(self):
        file = self.site.write("many.yaml", "version: 1\ntasks: {t: {run: 'echo ${p.i}', sweep: "
                               "{params: {i: {range: [0, 200]}}}}}\n")
        self.good(self.site.submit(file))
        self.site.run("export", self.archive, "--func", "t")
        with open(self.archive, "rb") as f:
            data = f.read()
        self.other.broker()
        self.other.worker(wait=True)
        p = subprocess.Popen([os.path.join(BIN, "cashet"), "import", "-"], stdin=subprocess.PIPE,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             env=self.other.env())
        p.stdin.write(data[:-60])
        p.stdin.flush()
        db = sqlite3.connect(f"file:{self.other.store}/meta.db?mode=ro", uri=True)
        self.addCleanup(db.close)
        until(lambda: db.execute("SELECT count(*) FROM staged").fetchone()[0], "commits to be staged")
        self.assertEqual(self.other.run("log", "--json").json["commits"], [])
        mine = self.other.submit(self.other.write("many.yaml", self.site.read("many.yaml")))
        self.assert_counts(mine, executed=200)
        p.stdin.write(data[-60:])
        p.stdin.close()
        self.assertEqual(p.wait(), 0)
        self.assertEqual(db.execute("SELECT count(*) FROM staged").fetchone()[0], 0)
        self.assertEqual(len(self.other.run("log", "--json").json["commits"]), 400)
        again = self.other.submit(self.other.path("many.yaml"))
        self.assert_counts(again, cached=200)
        self.assertEqual({t["commit"] for t in again["tasks"]}, {t["commit"] for t in mine["tasks"]})

    def test_a_second_import_waits_its_turn(self):
        self.site.run("export", self.archive, "--json")
        with open(self.archive, "rb") as f:
            data = f.read()
        self.other.broker()
        p = subprocess.Popen([os.path.join(BIN, "cashet"), "import", "-"], stdin=subprocess.PIPE,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             env=self.other.env())
        p.stdin.write(data[:-60])
        p.stdin.flush()
        self.blobs_arrive()
        second = self.other.run("import", self.archive)
        self.assertEqual(second.code, 1)
        self.assertIn("another import is going on", second.err)
        p.stdin.write(data[-60:])
        p.stdin.close()
        self.assertEqual(p.wait(), 0)
        self.assertEqual(self.other.run("import", self.archive, "--json").json["known"], 1)


class Hostile(Archives):
    """Each is refused, says so, and leaves nothing that can be seen."""

    def setUp(self):
        super().setUp()
        f = dict(argv=["true"], shell=None, env={}, params=[], inputs=[], outputs=[], metrics=None,
                 salt=None, code=[])
        self.function = forms.function(f)
        self.args = forms.args(dict(values=[], inputs=[]))
        self.out = b"output of it\n"

    def body(self, **more):
        out = forms.sha256(self.out).hex()
        c = dict(status="completed", name="t", func_hash=forms.sha256(self.function).hex(),
                 args=self.args.hex(), nonce=None, parent=None,
                 result=dict(type="file", digest=out), result_size=len(self.out), stdout=out,
                 stderr=forms.sha256(b"").hex(), stdout_size=len(self.out), stderr_size=0,
                 outputs=[], metrics=[], exit_code=0, term_signal=0, error="",
                 ended_wall_ms=1_700_000_000_000, duration_ns=5, cpu_user_ns=1, cpu_system_ns=1,
                 max_rss_bytes=1, attempts=1, worker_name="w", worker_key="00" * 32, epoch=1,
                 batch="11" * 32, index=0, ttl_s=0, options="")
        return forms.commit(dict(c, **more))

    def good_one(self):
        return (forms.Archive().blob(self.function, forms.FUNCTION).blob(self.out)
                .commit(self.body(), tags=[("k", "v")]))

    def write(self, data):
        with open(self.archive, "wb") as f:
            f.write(data)
        return self.archive

    def refused(self, data, says=None, *options):
        done = self.other.run("--store", self.other.store, "import", self.write(data), *options)
        self.assertEqual(done.code, 2, (says, done.out, done.err))
        if says:
            self.assertIn(says, done.err)

    def test_what_the_format_says_is_what_is_read(self):
        a = self.good_one()
        a.pin("p", forms.sha256(self.body()))
        self.write(a.finish())
        got = self.json(self.other, "import", self.archive)
        self.assertEqual((got["commits"], got["blobs"], got["pins"]), (1, 2, 1))
        self.assertEqual(self.other.run("--store", self.other.store, "get", "p").out,
                         self.out.decode())
        self.json(self.other, "export", self.archive)
        with open(self.archive, "rb") as f:
            kinds = [kind for kind, _, _ in forms.entries(f.read())]
        self.assertEqual(kinds, ["H", "B", "B", "C", "P", "M", "Z"])

    def test_cut_at_any_place(self):
        data = self.good_one().finish()
        for size in range(len(data)):
            self.refused(data[:size], None, "--dry-run") if size % 16 else \
                self.refused(data[:size])
        self.refused(data + b"x", "more behind its end")
        self.is_empty(self.other)

    def test_any_byte_that_was_changed(self):
        data = self.good_one().finish()
        for at in range(0, len(data), 7):
            wrong = bytearray(data)
            wrong[at] ^= 0x20
            done = self.other.run("--store", self.other.store, "import", "--dry-run",
                                  self.write(bytes(wrong)))
            self.assertEqual(done.code, 2, (at, done.out, done.err))

    def test_entries_that_lie(self):
        f, out, body = self.function, self.out, self.body()
        tree = forms.tree([dict(path="a", type="file", size=1, digest="ab" * 32)])
        escape = forms.cbor(["cashet.tree", 1, [["../../etc/passwd", 1, len(out),
                                                 forms.sha256(out)]]])
        link = forms.cbor(["cashet.tree", 1, [["link", 9, len(out), forms.sha256(out)]]])
        twice = forms.cbor(["cashet.tree", 1, [["a", 1, len(out), forms.sha256(out)]] * 2])
        base = forms.Archive
        for says, a in (
                ("name", base().blob(f, forms.FUNCTION).blob(out, digest=b"\1" * 32)),
                ("did not come before", base().blob(f, forms.FUNCTION).commit(body)),
                ("did not come before", base().blob(out).commit(body)),
                ("twice", self.good_one().blob(out)),
                ("twice", self.good_one().commit(body)),
                ("did not come before", base().blob(tree, forms.TREE)),
                ("malformed", base().blob(out).blob(escape, forms.TREE)),
                ("malformed", base().blob(out).blob(link, forms.TREE)),
                ("malformed", base().blob(out).blob(twice, forms.TREE)),
                ("malformed", base().blob(out, forms.FUNCTION)),
                ("without a name", base().blob(out, 9)),
                ("a piece", base().blob(out, pieces=forms.piece(out, claim=1 << 30))),
                ("a piece", base().blob(out, pieces=forms.piece(out, form=7))),
                ("unpack", base().blob(out, pieces=forms.piece(out, form=1))),
                ("as long as", base().blob(out, total=5)),
                ("no bytes", base().blob(b"", pieces=b"")),
                ("absent", self.good_one().absent(forms.sha256(out))),
                ("twice", base().absent(forms.sha256(out)).absent(forms.sha256(out))),
                ("twice", base().absent(forms.sha256(out)).blob(out)),
                ("what its hash says", base().blob(f, forms.FUNCTION).blob(out)
                 .commit(body, digest=b"\2" * 32)),
                ("no commit", base().commit(b"nonsense")),
                ("no commit", base().blob(f, forms.FUNCTION).blob(out).commit(body + b"\0")),
                ("current", base().blob(f, forms.FUNCTION).blob(out)
                 .commit(self.body(status="failed", result=None, result_size=0, exit_code=1))),
                ("malformed", base().blob(f, forms.FUNCTION).blob(out)
                 .commit(self.body(args="80"))),
                ("commit", self.good_one().pin("p", b"\3" * 32)),
                ("name", self.good_one().pin("../p", forms.sha256(body))),
                ("kind", base().entry("L", ["/etc/passwd"])),
                ("order", base().entry("H", [0, "x"])),
                ("order", base(begin=False).blob(out)),
                ("too large", base().raw(b"C" + b"\xff" * 4)),
                ("manifest", self.good_one().manifest(commits=1 << 60)),
                ("manifest", self.good_one().manifest(blobs=1)),
                ("order", self.good_one().manifest().blob(b"late")),
                ("end", self.good_one()),  # without a manifest
        ):
            with self.subTest(says):
                data = a.end().data if says in ("manifest", "end") else a.finish()
                self.refused(data, says)
        self.is_empty(self.other)

    def test_entries_out_of_order(self):
        parts = forms.entries(self.good_one().pin("p", forms.sha256(self.body())).finish())
        self.assertEqual(forms.rebuild(parts), self.good_one().pin(
            "p", forms.sha256(self.body())).finish())
        for i in range(len(parts) - 1):
            if parts[i][0] == parts[i + 1][0] == "B":
                continue  # the order of these two does not matter
            wrong = parts[:i] + [parts[i + 1], parts[i]] + parts[i + 2:]
            with self.subTest(f"{parts[i + 1][0]} before {parts[i][0]}"):
                self.refused(forms.rebuild(wrong))

    def test_another_version_of_the_format(self):
        data = self.good_one().finish()
        self.refused(data.replace(b"archive 1", b"archive 2", 1), "newer cashet")
        self.refused(b"PK\3\4" + data, "begin like one")
        self.refused(b"", "too early")


class Bombs(Archives):
    def bomb(self, size):
        """A blob of zeros that the store has compressed, as an export has it."""
        self.site.write("z.yaml", f"version: 1\ntasks: {{z: {{run: 'head -c {size} /dev/zero > z', "
                        "outputs: {z: z}}}\n")
        self.good(self.submit(self.site, self.site.path("z.yaml")))
        self.json(self.site, "export", self.archive)

    def test_what_unpacks_to_too_much_is_refused_unless_asked_for(self):
        self.bomb(1200 << 20)
        self.assertLess(os.path.getsize(self.archive), 1 << 20)
        done = self.other.run("--store", self.other.store, "import", "--dry-run", self.archive)
        self.assertEqual(done.code, 2, done.out)
        self.assertIn("--max-size", done.err)
        done = self.other.run("--store", self.other.store, "import", "--dry-run", "--max-size",
                              "2G", self.archive)
        self.assertEqual(done.code, 0, done.err)


if __name__ == "__main__":
    main()
