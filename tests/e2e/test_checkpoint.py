"""What a task leaves in $CASHET_CHECKPOINT is there for its next attempt, wherever that is."""

import os
import signal
import unittest

from harness import SiteTest, main, until, with_enough_time

# Counts up in its checkpoint, stops at `stop` until the file `go` is there, and says where it began.
COUNT = """
import os, sys, time
place = os.path.join(os.environ["CASHET_CHECKPOINT"], "deep", "count")
os.makedirs(os.path.dirname(place), exist_ok=True)
first = n = int(open(place).read()) if os.path.exists(place) else 0
while n < 10:
    n += 1
    open(place + ".new", "w").write(str(n))
    os.rename(place + ".new", place)
    open(sys.argv[1], "a").write(f"{n}\\n")
    while n == 5 and not os.path.exists(sys.argv[2]):
        time.sleep(0.05)
print("began at", first)
"""


class Checkpoint(SiteTest):
    def count(self, **more):
        self.site.write("count.py", COUNT)
        lines = "".join(f"    {k}: {v}\n" for k, v in more.items())
        return self.site.write("count.yaml", f"""
version: 1
tasks:
  t:
    run: [python3, count.py, "{self.site.path('ran')}", "{self.site.path('go')}"]
    code: [count.py]
    grace: 1s
{lines}""")

    def got(self, result):
        return self.site.run("get", f"{result['batch']}:0").out

    def drained_in_the_middle(self, *options):
        """The batch, whose task has counted to 5 on a worker that has ended since."""
        first = self.site.worker("node-1", 1, "--drain-timeout", "100ms", *options)
        submit = self.site.start_submit(self.count())
        until(lambda: self.site.read("ran").endswith("5\n"), "the task to count to 5")
        first.signal(signal.SIGTERM)
        self.assertEqual(first.wait(), 0, first.text())
        self.site.write("go", "")
        return submit

    def test_another_worker_goes_on_where_a_drained_one_stopped(self):
        self.site.broker()
        submit = self.drained_in_the_middle()
        self.site.worker("node-2", 1)
        result = submit.finish()
        self.assertEqual(self.got(result), "began at 5\n")
        self.assertEqual(self.ran(), {str(n): 1 for n in range(1, 11)})
        self.assertEqual(result["tasks"][0]["attempts"], 1)

    def test_second_sigterm_keeps_it_too(self):
        self.site.broker()
        first = self.site.worker("node-1", 1)
        submit = self.site.start_submit(self.count())
        until(lambda: self.site.read("ran").endswith("5\n"), "the task to count to 5")
        first.signal(signal.SIGTERM)
        until(lambda: any(w["draining"] for w in self.site.workers()), "the drain")
        first.signal(signal.SIGTERM)
        self.assertEqual(first.wait(), 0, first.text())
        self.site.write("go", "")
        self.site.worker("node-2", 1)
        self.assertEqual(self.got(submit.finish()), "began at 5\n")

    def test_it_survives_the_broker(self):
        broker = self.site.broker()
        submit = self.drained_in_the_middle()
        broker.kill()
        self.site.broker()
        self.site.worker("node-2", 1)
        self.assertEqual(self.got(submit.finish()), "began at 5\n")

    def test_worker_does_not_wait_for_ever_for_a_broker_that_is_away(self):
        broker = self.site.broker()
        first = self.site.worker("node-1", 1, "--drain-timeout", "100ms")
        submit = self.site.start_submit(self.count())
        until(lambda: self.site.read("ran").endswith("5\n"), "the task to count to 5")
        broker.kill()
        first.signal(signal.SIGTERM)
        self.assertEqual(first.wait(), 3, first.text())
        self.site.write("go", "")
        self.site.broker()
        self.site.worker("node-2", 1)
        self.assertEqual(self.got(submit.finish()), "began at 0\n")

    def test_a_failed_attempt_and_one_that_timed_out_leave_it_as_well(self):
        self.site.broker()
        self.site.worker()
        batch = """
version: 1
tasks:
  fails:
    run: "cd $CASHET_CHECKPOINT; echo x >> n; test $(wc -l < n) = 3 && cat n"
    retries: 2
  slow:
    run: "cd $CASHET_CHECKPOINT; test -e n || { touch n; exec sleep 1000; }"
    timeout: %gs
    grace: 100ms
    retries: 1
  cleans:
    run: "cd $CASHET_CHECKPOINT; case $CASHET_ATTEMPT in 1) touch n; exit 1;; 2) rm n; exit 1;; 3) ! test -e n;; esac"
    retries: 2
  forgets:
    run: "test -e $CASHET_CHECKPOINT/n && touch out; touch $CASHET_CHECKPOINT/n"
    outputs: {o: out}
    retries: 1
"""

        def attempt(seconds):
            result = self.site.submit(self.site.write("fails.yaml", batch % seconds), "--force", code=None)
            if result["tasks"][1]["status"] != "completed":
                return False
            self.assertEqual([t["attempts"] for t in result["tasks"]], [3, 2, 3, 2])
            self.assertEqual(self.got(result), "x\nx\nx\n")
            return True

        with_enough_time(attempt, 2)

    def test_it_ends_with_the_task(self):
        self.site.broker()
        self.site.worker()
        file = self.site.write("ends.yaml", """
version: 1
tasks: {t: {run: "cd $CASHET_CHECKPOINT; ls >&2; touch n; exit 1", retries: 1}}
""")
        for _ in range(2):
            result = self.site.submit(file, code=1)
            logs = self.site.run("logs", f"{result['batch']}:0", "--stderr")
            self.assertEqual(logs.out, "n\n")
        again = self.site.run("retry", result["batch"], "--json")
        logs = self.site.run("logs", f"{again.json['batch']}:0", "--stderr")
        self.assertEqual(logs.out, "n\n")

    def test_one_that_is_too_large_is_left_out_and_the_log_says_so(self):
        self.site.broker()
        submit = self.drained_in_the_middle("--checkpoint-max", "1")
        self.site.write("go", "")
        self.site.worker("node-2", 1)
        result = submit.finish()
        self.assertEqual(self.got(result), "began at 5\n")  # one byte is not too large
        file = self.site.write("large.yaml", """
version: 1
tasks:
  t:
    run: "cd $CASHET_CHECKPOINT; case $CASHET_ATTEMPT in 1) echo small > a; exit 1;; 2) cat a >&2; truncate -s 1T b; exit 1;; 3) ls;; esac"
    retries: 2
  odd: {run: "mkfifo $CASHET_CHECKPOINT/f; exit 1", retries: 1}
""")
        result = self.site.submit(file, code=1)
        large, odd = result["tasks"]
        self.assertEqual((large["status"], odd["attempts"]), ("completed", 2))
        self.assertEqual(self.got(result), "a\n")
        said = "cashet: the checkpoint of the last attempt was left out: "
        for index, why in ((0, "more than 4 GiB\n"), (1, "f is neither a file nor a folder\n")):
            logs = self.site.run("logs", f"{result['batch']}:{index}", "--stderr")
            self.assertTrue(logs.out.startswith(said + why), logs.out)

    def test_one_that_is_gone_from_the_store_is_done_without(self):
        self.site.broker()
        submit = self.drained_in_the_middle()
        objects = os.path.join(self.site.store, "objects")
        gone = 0
        for folder, _, names in os.walk(objects):
            for name in names:
                if os.path.getsize(os.path.join(folder, name)) < 64:
                    os.remove(os.path.join(folder, name))
                    gone += 1
        self.assertGreater(gone, 0)
        self.site.worker("node-2", 1)
        result = submit.finish()
        self.assertEqual(self.got(result), "began at 0\n")
        logs = self.site.run("logs", f"{result['batch']}:0", "--stderr")
        self.assertIn("starting without the checkpoint", logs.out)


if __name__ == "__main__":
    main()
