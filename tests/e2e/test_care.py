"""The care of a store: gc, clear, rm, invalidate, pins, fsck; while work goes on, and through crashes."""

import glob
import os
import signal
import sqlite3
import struct
import subprocess
import threading
import time
import unittest

from harness import BIN, SiteTest, main, until

CHAIN = """
version: 1
tasks:
  prep:
    run: "cat ${inputs.src} > p; head -c 100000 /dev/urandom >> p; echo prep >> RAN"
    inputs: {src: {file: src.txt}}
    outputs: {p: p}
    tags: {stage: prep}
  train:
    run: "echo ${p.s} > w; cat ${inputs.p} >> w; echo train-${p.s} >> RAN"
    inputs: {p: {ref: prep.p}}
    sweep: {params: {s: {range: [0, 3]}}}
    outputs: {w: w}
    tags: {stage: train}
  report:
    run: "cat ${inputs.w} | wc -c; echo report >> RAN"
    inputs: {w: {ref: "train.*.w"}}
"""


class Care(SiteTest):
    def chain(self):
        self.site.write("src.txt", "source\n")
        return self.site.write("chain.yaml", CHAIN.replace("RAN", self.site.path("ran")))

    def start(self):
        self.broker = self.site.broker()
        self.site.worker(wait=True)

    def json(self, *argv, code=0):
        done = self.site.run(*argv, "--json")
        self.assertEqual(done.code, code, done.err + done.out + self.site.logs())
        return done.json

    def objects(self):
        return [p for p in glob.glob(os.path.join(self.site.store, "objects", "*", "*"))]

    def commits(self, result, name=None):
        return [t["commit"] for t in result["tasks"] if name is None or t["name"] == name]

    def fine(self):
        self.assertEqual(self.json("fsck", "--read-data", "100")["problems"], 0)

    def flip(self, path):
        os.chmod(path, 0o600)
        with open(path, "r+b") as f:
            f.seek(os.path.getsize(path) // 2)
            byte = f.read(1)[0]
            f.seek(-1, os.SEEK_CUR)
            f.write(bytes([byte ^ 4]))


class Gc(Care):
    def test_it_keeps_what_is_fresh_and_clear_leaves_nothing(self):
        self.start()
        result = self.site.submit(self.chain())
        before = len(self.objects())
        gone = self.json("gc")
        self.assertEqual((gone["commits"], gone["results"]), (0, 0), gone)
        self.assertEqual(len(self.objects()), before)
        dry = self.json("clear", "--dry-run")
        self.assertEqual(dry["commits"], 5, dry)
        self.assertEqual(len(self.objects()), before)
        gone = self.json("clear", "--yes")
        self.assertEqual((gone["commits"], gone["batches"]), (5, 1), gone)
        self.assertGreater(gone["compute_ms"], 0)
        self.assertGreater(gone["bytes"], 400000)
        self.assertEqual(self.objects(), [])
        self.assertEqual(self.site.run("get", self.commits(result)[0]).code, 5)
        self.fine()
        self.assert_counts(self.site.submit(self.chain()), executed=5)

    def test_clear_is_asked_about_unless_yes(self):
        self.start()
        self.site.submit(self.chain())
        done = self.site.run("clear")
        self.assertEqual(done.code, 2)
        self.assertIn("--yes", done.err)
        self.assertEqual(self.json("gc")["results"], 0)

    def test_a_dropped_intermediate_does_not_make_its_finished_descendants_run_again(self):
        self.start()
        result = self.site.submit(self.chain())
        self.json("pin", self.commits(result, "report")[0], "--name", "best")
        self.json("clear", "--yes")
        # Of prep only the record is left, since what was made of it is.
        again = self.site.submit(self.chain())
        self.assertEqual(self.ran().get("report"), 1, self.ran())
        self.assert_counts(again, cached=5)
        self.assertNotIn("prep", [k for k, n in self.ran().items() if n > 1])
        self.fine()

    def test_max_size_takes_the_least_recently_used(self):
        self.start()
        file = self.site.write("big.yaml", """
version: 1
tasks:
  t:
    run: "head -c 100000 /dev/urandom > o; echo ${p.i} >> %s"
    sweep: {params: {i: {range: [0, 8]}}}
    outputs: {o: o}
""" % self.site.path("ran"))
        one = self.site.write("one.yaml", open(file).read().replace("[0, 8]", "[0, 2]"))
        first = self.site.submit(file)
        self.assert_counts(self.site.submit(one), cached=2)  # these are used later
        gone = self.json("gc", "--max-size", "350k")
        self.assertEqual(gone["results"], 5, gone)
        self.assertLessEqual(gone["store_bytes"], 350000)
        self.assert_counts(self.site.submit(one), cached=2)
        again = self.site.submit(file)
        self.assert_counts(again, executed=5, cached=3)
        self.assertEqual(self.commits(first)[0], self.commits(again)[0])
        self.fine()

    def test_max_size_frees_enough_and_no_more_on_a_sweep_whoever_serves_the_store(self):
        self.start()
        self.site.write("src.bin", "s" * 30000)
        self.site.submit(self.site.write("sweep.yaml", """
version: 1
tasks:
  prep:
    run: "cat ${inputs.src} > p; head -c 20000 /dev/urandom >> p"
    inputs: {src: {file: src.bin}}
    outputs: {p: p}
  train:
    run: "head -c 3000 /dev/urandom > w; echo '{\\"loss\\": ${p.s}}' > m.json; wc -c < ${inputs.p}"
    inputs: {p: {ref: prep.p}}
    sweep: {params: {s: {range: [0, 12]}}}
    outputs: {w: w}
    metrics: {from: m.json, best: {loss: min}}
"""))
        whole = self.json("gc", "--dry-run")["store_bytes"]
        sizes = [self.json("gc", "--dry-run", "--max-size", str(n)) for n in range(0, whole + 2000, 1500)]
        for n, gone in zip(range(0, whole + 2000, 1500), sizes):
            self.assertLessEqual(gone["store_bytes"], n)
            self.assertEqual(gone["store_bytes"] + gone["bytes"], whole)
            if gone["results"] > 1:
                self.assertGreater(gone["store_bytes"] + 5000, n, "no more than one result too much")
        self.assertEqual(len({g["results"] for g in sizes}), 14, "one after the other")
        self.broker.popen.terminate()
        self.assertEqual(self.broker.wait(), 0)
        self.site.url = None
        store = ("--store", self.site.store)
        dry = self.json("gc", "--max-size", "25k", "--dry-run", *store)
        gone = self.json("gc", "--max-size", "25k", *store)
        for key in ("commits", "results", "blobs", "bytes", "store_bytes"):
            self.assertEqual(gone[key], dry[key], key)
        self.assertLessEqual(gone["store_bytes"], 25000)
        self.assertGreater(gone["store_bytes"], 20000)
        best = self.site.run("best", *store)
        self.assertEqual(best.code, 0)
        self.assertIn("removed from the store, so not ranked: ", best.err)
        self.json("clear", "--yes", *store)

    def test_best_says_that_results_were_removed(self):
        self.start()
        self.site.submit(self.site.write("m.yaml", """
version: 1
tasks:
  t:
    run: "echo '{\\"loss\\": ${p.s}}' > m.json"
    sweep: {params: {s: {range: [0, 3]}}}
    metrics: {from: m.json, best: {loss: min}}
"""))
        self.assertEqual(self.json("best")["tasks"][0]["index"], 0)
        self.json("gc", "--max-size", "0")
        for _ in range(2):
            done = self.site.run("best")
            self.assertEqual(done.code, 5)
            self.assertIn("were removed from the store", done.err)
            self.assertIn("cashet retry", done.err)
            self.assertIn("removed", self.site.run("results").out)
            task = self.json("results")["batch"][:8] + ":1"
            for ask in (["logs", task], ["pin", task, "--name", "gone"]):
                told = self.site.run(*ask)
                self.assertEqual(told.code, 5)
                self.assertIn("its commit was removed from the store", told.err)
            self.site.run("retry")
            self.assertEqual(self.site.run("best").code, 0)
            self.json("rm", *[t["commit"] for t in self.json("results")["tasks"]])

    def test_older_than_looks_at_the_last_use(self):
        self.start()
        self.site.submit(self.chain())
        self.assertEqual(self.json("gc", "--older-than", "1h")["results"], 0)
        self.assertEqual(self.json("gc", "--older-than", "0s")["commits"], 5)
        self.assertEqual(self.objects(), [])
        self.assertEqual(self.site.run("gc", "--older-than", "soon").code, 2)
        self.assertEqual(self.site.run("gc", "--max-size", "-3").code, 2)

    def test_what_has_expired_goes_at_any_gc(self):
        self.start()
        file = self.site.write("ttl.yaml", """
version: 1
tasks:
  short: {run: "head -c 5000 /dev/urandom", cache: {ttl: 1s}}
  long: {run: "head -c 5001 /dev/urandom", cache: {ttl: 1h}}
""")
        self.site.submit(file)
        gone = until(lambda: (lambda g: g["results"] and g)(self.json("gc")), "the ttl to be over")
        self.assertEqual(gone["commits"], 1, gone)
        self.assert_counts(self.site.submit(file), cached=1, executed=1)

    def test_logs_and_blobs_that_nobody_names_go(self):
        self.start()
        # Attempts that failed leave their logs in the store, and no commit.
        self.site.submit(self.site.write("retry.yaml", """
version: 1
tasks:
  t:
    run: "head -c 30000 /dev/urandom; test -e %s || { touch %s; exit 1; }"
    retries: 1
""" % (self.site.path("once"), self.site.path("once"))))
        before = len(self.objects())
        gone = self.json("gc")
        self.assertGreaterEqual(gone["blobs"], 1, gone)
        self.assertLess(len(self.objects()), before)
        self.fine()

    def test_without_a_store_it_says_so_and_makes_none(self):
        for command in (["gc"], ["pins"], ["fsck"], ["clear", "--yes"], ["rm", "abcd"]):
            self.assertEqual(self.site.run(*command, "--store", self.site.path("none")).code, 5)
        self.assertFalse(os.path.exists(self.site.path("none")))


class ThreeFaults(Care):
    """Of comparable systems; see docs/store.md."""

    def test_gc_and_rm_race_with_a_running_task_that_needs_the_blob(self):
        self.start()
        self.site.write("src.txt", "source\n")
        go = self.site.path("go")
        file = self.site.write("race.yaml", """
version: 1
tasks:
  prep: {run: "cat ${inputs.src}; head -c 50000 /dev/urandom", inputs: {src: {file: src.txt}}}
  use:
    run: "while ! test -e %s; do sleep 0.05; done; wc -c < ${inputs.p}; cat ${inputs.s}"
    inputs: {p: {ref: prep}, s: {file: src.txt}}
  later:
    run: "cat ${inputs.u} ${inputs.p} ${inputs.s} | wc -c"
    inputs: {u: {ref: use}, p: {ref: prep}, s: {file: src.txt}}
""" % go)
        submit = self.site.start_submit(file)
        batch = until(lambda: [b for b in self.site.run("ps", "--json").json["batches"]
                               if b["counts"].get("running") and b["counts"]["executed"]],
                      "use to run")[0]["batch"]
        gone = self.json("clear", "--yes")
        self.assertGreaterEqual(gone["kept_in_use"], 1, gone)
        self.assertEqual(gone["results"], 0, gone)
        gone = self.json("rm", f"{batch}:0")
        self.assertEqual((gone["commits"], gone["kept_in_use"]), (0, 1), gone)
        self.json("invalidate", "--func", "prep")
        self.json("clear", "--yes")
        self.site.write("go", "")
        self.assert_counts(submit.finish(), failed=0, skipped=0)
        self.fine()

    def test_a_run_again_leaks_no_old_blob(self):
        self.start()
        file = self.site.write("again.yaml", """
version: 1
tasks:
  t: {run: "head -c 100000 /dev/urandom > o", outputs: {o: o}}
""")
        for _ in range(5):
            self.site.submit(file, "--force")
        self.assertEqual(len(self.objects()), 5)
        gone = self.json("gc", "--max-size", "150k")
        self.assertEqual(len(self.objects()), 1, gone)
        self.assert_counts(self.site.submit(file), cached=1)
        self.json("clear", "--yes")
        self.assertEqual(self.objects(), [])

    def test_odd_characters_in_tags_neither_miss_nor_match_too_much(self):
        self.start()
        odd = ["a.b", "a'b", 'a"b', "a%b", "a_b", "a[b]", "a*b", "a\\b", "ä b", "a=b", "a;--", "(a)", ""]
        tasks = "".join('  t%d: {run: "echo %d", tags: {"k.[\\"\'%%]": %s, n: "x"}}\n'
                        % (i, i, '"' + v.replace("\\", "\\\\").replace('"', '\\"') + '"')
                        for i, v in enumerate(odd))
        self.site.submit(self.site.write("tags.yaml", "version: 1\ntasks:\n" + tasks))
        key = "k.[\"'%]"
        for value in odd:
            gone = self.json("invalidate", "--dry-run", "--tag", f"{key}={value}")
            self.assertEqual(gone["commits"], 1, value)
        self.assertEqual(self.json("invalidate", "--dry-run", "--tag", key)["commits"], len(odd))
        for near in ("k", "k.", "k_[\"'%]", key.upper(), key + " ", "%", "*"):
            self.assertEqual(self.json("invalidate", "--dry-run", "--tag", near)["commits"], 0, near)
        for near in ("A.B", "a.", "a%", "a?b", "aXb"):
            self.assertEqual(self.json("invalidate", "--dry-run", "--tag", f"{key}={near}")["commits"],
                             0, near)
        gone = self.json("invalidate", "--tag", f"{key}=a'b", "--tag", "n=x")
        self.assertEqual(gone["commits"], 1)
        self.assertEqual(self.json("invalidate", "--tag", f"{key}=a'b", "--tag", "n=y")["commits"], 0)
        self.assert_counts(self.site.submit("tags.yaml"), executed=1, cached=len(odd) - 1)


class Remove(Care):
    def test_rm_takes_commits_and_the_next_gc_their_bytes(self):
        self.start()
        result = self.site.submit(self.chain())
        first = self.commits(result, "train")[0]
        self.assertEqual(self.json("rm", first.upper()[:12])["commits"], 1)
        self.assertEqual(self.site.run("rm", first).code, 5)
        self.assertEqual(self.site.run("get", first).code, 5)
        before = len(self.objects())
        self.json("gc")
        self.assertLess(len(self.objects()), before)
        self.assert_counts(self.site.submit(self.chain()), executed=1, cached=4)
        self.assertEqual(self.ran()["train-0"], 2)
        self.fine()

    def test_bad_names_are_told_apart(self):
        self.start()
        self.site.submit(self.chain())
        self.assertEqual(self.site.run("rm", "zz zz").code, 2)
        self.assertEqual(self.site.run("rm", "abc").code, 5)
        self.assertEqual(self.site.run("rm", "0" * 64).code, 5)
        self.assertEqual(self.site.run("invalidate").code, 2)
        self.assertEqual(self.site.run("invalidate", "--func", "").code, 2)
        done = self.site.run("invalidate", "--func", "", "--tag", "a")  # a variable that was not set
        self.assertEqual(done.code, 2)
        self.assertIn("--func takes the name of a task", done.err)
        self.assertEqual(self.site.run("log", "--func", "").code, 2)
        self.assertEqual(self.site.run("invalidate", "--tag", "=x").code, 2)
        self.assertEqual(self.site.run("invalidate", "--worker", "me").code, 2)
        self.assertEqual(self.site.run("invalidate", "--downstream", "0" * 64).code, 5)

    def test_invalidate_by_func_worker_and_all_of_them(self):
        self.start()
        self.site.submit(self.chain())
        key = self.site.workers()[0]["key"]
        self.assertEqual(self.json("invalidate", "--dry-run", "--func", "trai")["commits"], 0)
        self.assertEqual(self.json("invalidate", "--dry-run", "--worker", key)["commits"], 5)
        self.assertEqual(self.json("invalidate", "--dry-run", "--worker", "00" * 32)["commits"], 0)
        self.assertEqual(self.json("invalidate", "--dry-run", "--worker", key, "--func", "train",
                                   "--tag", "stage=prep")["commits"], 0)
        self.assertEqual(self.json("invalidate", "--worker", key, "--func", "train", "--tag",
                                   "stage=train")["commits"], 3)
        self.assertEqual(self.json("invalidate", "--func", "train")["commits"], 0, "twice")
        self.assert_counts(self.site.submit(self.chain()), executed=3, cached=2)
        self.fine()

    def test_downstream_goes_through_files_and_lists(self):
        self.start()
        result = self.site.submit(self.chain())
        prep, report = self.commits(result, "prep")[0], self.commits(result, "report")[0]
        self.assertEqual(self.json("invalidate", "--dry-run", "--downstream", report)["commits"], 1)
        self.assertEqual(self.json("invalidate", "--dry-run", "--downstream", prep)["commits"], 5)
        self.assertEqual(self.json("invalidate", "--downstream", prep, "--func", "train")["commits"],
                         3)

    def test_more_than_a_hundred_are_asked_about(self):
        self.start()
        self.site.submit(self.site.write("many.yaml", """
version: 1
tasks:
  t: {run: [echo, "${p.i}"], sweep: {params: {i: {range: [0, 101]}}}}
"""))
        done = self.site.run("invalidate", "--func", "t")
        self.assertEqual(done.code, 2)
        self.assertIn("101", done.err)
        self.assertEqual(self.json("invalidate", "--func", "t", "--yes")["commits"], 101)


class Pins(Care):
    def test_a_pin_keeps_a_result_with_its_inputs_until_it_is_taken_away(self):
        self.start()
        result = self.site.submit(self.chain())
        train = self.commits(result, "train")[1]
        self.assertEqual(self.site.run("pin", train[:10], "--name", "best-model").code, 0)
        want = subprocess.run([os.path.join(BIN, "cashet"), "get", train], env=self.site.env(),
                              capture_output=True).stdout
        self.json("clear", "--yes")
        got = subprocess.run([os.path.join(BIN, "cashet"), "get", train], env=self.site.env(),
                             capture_output=True).stdout
        self.assertEqual(got, want)
        self.assertEqual(len(self.objects()), 3, "the source, what it read, and its output")
        self.assertEqual([p["name"] for p in self.json("pins")["pins"]], ["best-model"])
        self.assertEqual(self.site.run("unpin", "best-model").code, 0)
        self.assertEqual(self.site.run("unpin", "best-model").code, 5)
        self.json("clear", "--yes")
        self.assertEqual(self.objects(), [])

    def test_names(self):
        self.start()
        result = self.site.submit(self.chain())
        commit = self.commits(result)[0]
        for bad in ("", "abcd", "BEEF12", "a b", ".x", "-x", "--", "x" * 129, "ä"):
            self.assertEqual(self.site.run("pin", commit, "--name", bad).code, 2, bad)
        self.assertEqual(self.site.run("pin", commit).code, 2)
        self.assertIn("no pin called", self.site.run("unpin", commit).err)
        for good in ("abc", "v1.2", "x" * 128, "beef-12"):
            self.assertEqual(self.site.run("pin", commit, "--name", good).code, 0, good)
        self.assertEqual(self.site.run("pin", commit, "--name", "abc").code, 0, "again")
        done = self.site.run("pin", self.commits(result)[1], "--name", "abc")
        self.assertEqual(done.code, 1)
        self.assertIn("unpin abc first", done.err)
        self.assertEqual({p["commit"] for p in self.json("pins")["pins"]}, {commit})

    def test_what_is_pinned_is_not_removed_and_invalidate_leaves_the_pin(self):
        self.start()
        result = self.site.submit(self.chain())
        pinned, other = self.commits(result, "train")[:2]
        self.json("pin", pinned, "--name", "best-model")
        for words in ([pinned], [pinned[:8].upper()], ["best-model"], [other, pinned],
                      [f"{result['batch'][:8]}:1"]):
            for dry in ([], ["--dry-run"]):
                done = self.site.run("rm", *words, *dry)
                self.assertEqual(done.code, 1, words)
                self.assertIn("pinned as best-model", done.err)
                self.assertIn("unpin best-model first", done.err)
        self.assertEqual(len(self.json("log")["commits"]), 5, "nothing was removed")
        self.assertEqual(self.json("invalidate", "--func", "train")["commits"], 3)
        again = self.site.submit(self.chain())
        self.assert_counts(again, executed=3, cached=2)
        self.assertEqual(self.json("pins")["pins"][0]["commit"], pinned)
        self.assertFalse(self.json("pins")["pins"][0]["gone"])
        self.json("clear", "--yes")
        self.assertEqual(self.json("show", "best-model")["commit"], pinned)
        self.assertEqual(self.site.run("get", "best-model", "-o", "best").code, 0)
        self.json("unpin", "best-model")
        self.assertEqual(self.json("rm", pinned)["commits"], 1)
        self.fine()

    def test_a_pin_of_nothing_is_found_and_repaired(self):
        self.start()
        self.site.submit(self.chain())
        self.broker.popen.terminate()
        self.assertEqual(self.broker.wait(), 0)
        db = sqlite3.connect(os.path.join(self.site.store, "meta.db"))
        db.execute("INSERT INTO pins SELECT 'lost', x'00112233' || zeroblob(28), 1")
        db.commit()
        db.close()
        self.broker = self.site.broker()
        self.assertTrue(self.json("pins")["pins"][0]["gone"])
        self.assertEqual(self.json("fsck", code=1)["problems"], 1)
        self.assertEqual(self.json("fsck", "--repair", code=1)["repaired"], 1)
        self.assertEqual(self.json("pins")["pins"], [])
        self.fine()

    def test_pins_and_fsck_need_no_broker(self):
        self.start()
        result = self.site.submit(self.chain())
        self.json("pin", self.commits(result)[0], "--name", "first")
        self.broker.popen.terminate()
        self.assertEqual(self.broker.wait(), 0)
        self.site.url = None
        for p in self.site.processes[1:]:
            p.kill()
        store = ("--store", self.site.store)
        self.assertEqual(self.json("pins", *store)["pins"][0]["commit"], self.commits(result)[0])
        self.assertEqual(self.json("fsck", "--read-data", "100", *store)["problems"], 0)
        self.assertFalse(os.path.exists(os.path.join(self.site.store, "run", "broker.sock")))
        self.flip(self.objects()[0])
        self.assertEqual(self.json("fsck", "--read-data", "100", *store, code=1)["problems"], 1)
        self.assertEqual(len(self.objects()), 5, "reading changes nothing")


class Fsck(Care):
    def test_a_flipped_bit_is_found_and_the_task_named(self):
        self.start()
        result = self.site.submit(self.chain())
        largest = max(self.objects(), key=os.path.getsize)
        self.flip(largest)
        self.assertEqual(self.json("fsck")["problems"], 0, "not read")
        found = self.json("fsck", "--read-data", "100", code=1)
        kinds = [f["kind"] for f in found["findings"]]
        self.assertEqual(kinds.count("file-corrupt"), 1, found)
        again = [f for f in found["findings"] if f["kind"] == "runs-again"]
        self.assertEqual(len(again), 1, found)
        self.assertIn(again[0]["name"], ("prep", "train"))
        self.assertIn(again[0]["commit"], self.commits(result))
        self.assertEqual(len(os.listdir(os.path.join(self.site.store, "quarantine"))), 1)
        self.fine()
        self.site.submit(self.chain())

    def test_files_that_somebody_removed_are_told_with_the_tasks_and_made_again(self):
        self.start()
        file = self.site.write("l.yaml", "version: 1\ntasks:\n  lost: {run: seq 1 3000}\n"
                               "  kept: {run: seq 1 4000}\n")
        task = self.site.submit(file)["tasks"][0]
        lost = os.path.join(self.site.store, "objects", task["result"][:2], task["result"][2:])

        def told(*options):
            found = self.json("fsck", *options, code=1)["findings"]
            self.assertEqual([(f["kind"], f["name"]) for f in found],
                             [("runs-again", "lost"), ("counters-wrong", "")])
            self.assertEqual(found[0]["commit"], task["commit"])

        self.broker.popen.terminate()
        self.assertEqual(self.broker.wait(), 0)
        self.broker = self.site.broker()  # closed in order: what is recorded is believed
        os.unlink(lost)
        told()
        self.assert_counts(self.site.submit(file), cached=1, executed=1)
        self.assertTrue(os.path.exists(lost))
        task = self.site.submit(file)["tasks"][0]
        os.unlink(lost)
        told("--repair")
        self.fine()
        self.assert_counts(self.site.submit(file), cached=1, executed=1)
        task = self.site.submit(file)["tasks"][0]
        self.broker.popen.terminate()
        self.assertEqual(self.broker.wait(), 0)
        os.unlink(lost)
        self.site.url = None
        told("--store", self.site.store)

    def test_damaged_records_are_removed_by_repair_and_made_again(self):
        self.start()
        file = self.site.write("s.yaml", SWEEP % 20)  # the last few are looked at by any start
        self.site.submit(file)
        db = sqlite3.connect(f"file:{self.site.store}/meta.db?mode=ro", uri=True)
        self.json("pin", db.execute("SELECT hash FROM commits WHERE seq=2").fetchone()[0].hex(),
                  "--name", "damaged")
        db.close()
        self.broker.popen.terminate()
        self.assertEqual(self.broker.wait(), 0)
        db = sqlite3.connect(os.path.join(self.site.store, "meta.db"))
        body = bytearray(db.execute("SELECT body FROM commits WHERE seq=2").fetchone()[0])
        body[-20] ^= 1
        db.execute("UPDATE commits SET body=? WHERE seq=2", (bytes(body),))
        db.execute("UPDATE inline SET bytes=x'00' WHERE seq=(SELECT min(seq) FROM inline)")
        db.commit()
        db.close()
        self.broker = self.site.broker()
        kinds = {f["kind"] for f in self.json("fsck", code=1)["findings"]}
        self.assertLessEqual({"commit-damaged", "blob-damaged"}, kinds)
        repair = self.json("fsck", "--repair", code=1)
        self.assertGreaterEqual(repair["repaired"], 3)
        self.assertIn("pin-dangling", [f["kind"] for f in repair["findings"]], "in the same run")
        self.fine()
        self.assert_counts(self.site.submit(file), failed=0, skipped=0)
        self.fine()


class Stats(Care):
    def counted(self):
        """What stats says of files, once it is what a walk finds; and the rest of it."""
        def agree():
            found = self.objects()
            stats = self.json("stats")
            sizes = 0
            for path in found:
                with open(path, "rb") as f:
                    sizes += struct.unpack("<Q", f.read(24)[16:])[0]
            want = (len(found), sizes, sum(os.path.getsize(p) for p in found))
            got = (stats["blobs"], stats["blob_bytes"], stats["blob_stored_bytes"])
            return stats if got == want else None
        return until(agree, "stats to be what is in objects/")

    def test_what_it_says_is_what_a_walk_finds_whatever_happened(self):
        self.start()
        self.assertEqual(self.counted()["blobs"], 0)
        file = self.chain()
        result = self.site.submit(file)
        stats = self.counted()
        self.assertEqual((stats["blobs"], stats["misses"], stats["hits"]), (5, 5, 0), stats)
        self.site.submit(file)
        stats = self.counted()
        self.assertEqual(stats["hits"], 5)
        self.assertGreater(stats["saved_ms"], 0)
        self.assertAlmostEqual(stats["saved_ms"], stats["compute_ms"], delta=5)
        self.assertAlmostEqual(stats["compression"], stats["blob_bytes"] / stats["blob_stored_bytes"])
        self.assertGreaterEqual(stats["deduplication"], 1)
        self.assertEqual(stats["logical_bytes"], stats["blob_bytes"] + stats["inline_bytes"])
        archive = self.site.path("archive")
        self.json("export", archive)
        self.json("rm", self.commits(result, "train")[0])
        self.counted()
        self.json("gc")
        self.assertEqual(self.counted()["blobs"], 4)
        self.json("import", archive)
        self.assertEqual(self.counted()["blobs"], 5)
        self.flip(max(self.objects(), key=os.path.getsize))
        self.json("fsck", "--read-data", "100", code=1)
        self.assertEqual(self.counted()["blobs"], 4)
        self.site.submit(file, "--force")
        # A kill loses what was not recorded yet; as if that had been the removal of two files.
        self.broker.kill()
        for path in self.objects()[:2]:
            os.unlink(path)
        self.broker = self.site.broker()
        self.counted()
        self.fine()
        self.json("clear", "--yes")
        self.assertEqual(self.counted()["blobs"], 0)
        # In order: nothing is counted anew, so what was changed by hand is found by fsck alone.
        self.site.submit(file)
        before = self.counted()["blobs"]
        self.broker.popen.terminate()
        self.assertEqual(self.broker.wait(), 0)
        os.unlink(min(self.objects(), key=os.path.getsize))
        self.broker = self.site.broker()
        self.assertEqual(self.json("stats")["blobs"], before)
        kinds = [f["kind"] for f in self.json("fsck", code=1)["findings"]]
        self.assertEqual(kinds.count("counters-wrong"), 1, kinds)
        self.json("fsck", "--repair", code=1)
        self.assertEqual(self.counted()["blobs"], before - 1)
        self.fine()


SWEEP = """
version: 1
tasks:
  make:
    run: "head -c 3000 /dev/urandom > o; echo ${p.i}"
    sweep: {params: {i: {range: [0, %d]}}}
    outputs: {o: o}
  use:
    run: "cat ${inputs.o} | wc -c"
    inputs: {o: {ref: "make.*.o"}}
"""


class Crash(Care):
    def test_the_broker_dies_in_the_middle_of_gc_or_rm_and_the_next_one_finishes(self):
        self.start()
        file = self.site.write("s.yaml", SWEEP % 150)
        result = self.site.submit(file)
        for delay, command in ((0.0, "clear"), (0.005, "rm"), (0.02, "clear"), (0.02, "rm"),
                               (0.05, "clear"), (0.05, "rm"), (0.1, "clear")):
            words = self.commits(result) if command == "rm" else []
            gc = subprocess.Popen([os.path.join(BIN, "cashet"), command, *words, "--yes"],
                                  env=self.site.env(), cwd=self.site.dir,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            end = time.monotonic() + delay
            while time.monotonic() < end and gc.poll() is None:
                pass
            self.broker.kill()
            gc.kill()
            gc.communicate()
            self.broker = self.site.broker()
            self.fine()
            result = self.site.submit(file)
            self.assert_counts(result, failed=0, skipped=0)
        self.json("clear", "--yes")
        self.assertEqual(self.objects(), [])
        self.fine()

    def test_the_list_that_a_waiting_task_reads_stays(self):
        """No record names it until that task has ended."""
        self.start()
        submit = self.site.start_submit(self.site.write(
            "s.yaml", SWEEP % 5 + "    resources: {gpus: 1}\n"))
        until(lambda: self.json("broker", "status")["ready"] == 1, "the last task to wait")
        for _ in range(3):
            self.assertEqual(self.json("clear", "--yes")["commits"], 0)
        self.site.worker("node-2", 1, "--gpus", "1")
        self.assert_counts(submit.finish(), executed=6)
        self.assertNotIn("input missing", self.broker.text())
        self.fine()

    def test_sweeps_and_gc_at_the_same_time(self):
        self.start()
        self.site.worker("node-2", wait=True)
        stop = threading.Event()
        problems = []

        def collect():
            commands = (["clear", "--yes"], ["gc", "--max-size", "20k"], ["gc", "--older-than", "0s"],
                        ["invalidate", "--func", "make", "--yes"], ["gc"])
            n = 0
            while not stop.is_set():
                done = self.site.run(*commands[n % len(commands)], "--json")
                if done.code:
                    problems.append(done.err)
                n += 1

        collector = threading.Thread(target=collect)
        collector.start()
        try:
            for n in range(12):
                file = self.site.write("s.yaml", SWEEP % (10 + n % 4))
                self.site.write("code.sh", "echo %d\n" % (n % 3))
                with_code = self.site.write("c.yaml", """
version: 1
tasks:
  t: {run: [sh, code.sh], code: [code.sh], sweep: {params: {i: {range: [0, 5]}}}}
""")
                for f in (file, with_code):
                    result = self.site.submit(f, code=None)
                    if not isinstance(result, dict):
                        # The last safety: an input that went while it was submitted.
                        self.assertIn("submit it again", result.err)
                        continue
                    self.assert_counts(result, failed=0, skipped=0)
        finally:
            stop.set()
            collector.join()
        self.assertEqual(problems, [])
        self.fine()
        self.assert_counts(self.site.submit("s.yaml"), failed=0, skipped=0)

    def test_an_interrupted_gc_says_so_and_leaves_the_store_whole(self):
        self.start()
        self.site.submit(self.site.write("s.yaml", SWEEP % 200))
        gc = subprocess.Popen([os.path.join(BIN, "cashet"), "clear", "--yes"], env=self.site.env(),
                              cwd=self.site.dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(0.03)
        gc.send_signal(signal.SIGINT)
        gc.communicate()
        self.assertIn(gc.returncode, (0, 130, -signal.SIGINT))
        self.fine()
        self.json("clear", "--yes")
        self.assertEqual(self.objects(), [])


if __name__ == "__main__":
    main()
