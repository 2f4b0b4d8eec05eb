"""Secrets: tasks name them, workers have them, and nothing else ever does."""

import contextlib
import hashlib
import json
import os
import stat

from harness import SiteTest, main, processes_with, until

CANARY = "canary-5d0e7b19f4"
TELL = ["python3", "-c", "import os, hashlib; "
        "print(hashlib.sha256(os.environ['TOKEN'].encode()).hexdigest())"]
FILE = f"""
version: 1
tasks:
  good: {{run: {json.dumps(TELL)}, secrets: [TOKEN]}}
  bad: {{run: 'test -n "$TOKEN" && exit 3', secrets: [TOKEN], retries: 1}}
  none: {{run: 'echo $${{TOKEN-nothing}}'}}
  large: {{run: 'test -n "$TOKEN" && echo ok', secrets: [TOKEN], env: {{BIG: {'x' * 70000}}}}}
"""
HASH = hashlib.sha256(CANARY.encode()).hexdigest()


class SecretsTest(SiteTest):
    def put(self, name, value, mode=0o600):
        path = self.site.path(f"config/secrets/{name}")
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(path, "w", opener=lambda p, f: os.open(p, f, mode)) as f:
            f.write(value)
        os.chmod(path, mode)
        return path

    def file(self, text=FILE):
        return self.site.write("s.yaml", text)

    def holders(self):
        """Files of the site that contain the canary."""
        found = []
        for at, _, names in os.walk(self.site.dir):
            for name in names:
                path = os.path.join(at, name)
                with contextlib.suppress(OSError):
                    if stat.S_ISREG(os.lstat(path).st_mode):
                        with open(path, "rb") as f:
                            if CANARY.encode() in f.read():
                                found.append(path)
        return found

    def processes(self):
        """(pid, cmdline or environ) of the site's processes that show the canary."""
        shown = []
        for pid in processes_with(self.site.dir):
            for name in ("cmdline", "environ"):
                with contextlib.suppress(OSError), open(f"/proc/{pid}/{name}", "rb") as f:
                    if CANARY.encode() in f.read():
                        shown.append((pid, name))
        return shown

    def name_of(self, pid):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/comm") as f:
            return f.read().strip()

    def memory_of(self, pid):
        """What the process could write to; nothing if we may not look."""
        found = b""
        with contextlib.suppress(OSError), open(f"/proc/{pid}/maps") as maps, \
                open(f"/proc/{pid}/mem", "rb", 0) as memory:
            for line in maps:
                where, mode = line.split()[:2]
                start, end = (int(text, 16) for text in where.split("-"))
                if mode.startswith("rw") and end - start < 64 << 20:
                    with contextlib.suppress(OSError):
                        memory.seek(start)
                        found += memory.read(end - start)
        return found

    def check_output(self, result):
        batch = result["batch"]
        for words in (("results", batch, "--json"), ("describe", f"{batch}:0"), ("describe", f"{batch}:1"),
                      ("logs", f"{batch}:0"), ("logs", f"{batch}:1"), ("why", f"{batch}:0"),
                      ("why", f"{batch}:1"), ("show", result["tasks"][0]["commit"]),
                      ("show", result["tasks"][0]["commit"], "--json"), ("log", "--json"),
                      ("ps", "-a", "--json"), ("worker", "ls", "--json"), ("broker", "status", "--json")):
            done = self.site.run(*words)
            self.assertNotIn(CANARY, done.out + done.err, words)

    def check(self, result):
        good, bad, none, large = result["tasks"]
        self.assertEqual((good["status"], bad["status"], none["status"], large["status"]),
                         ("completed", "failed", "completed", "completed"), self.site.logs())
        self.assertEqual((bad["attempts"], bad["exit_code"]), (2, 3))
        batch = result["batch"]
        self.assertEqual(self.site.run("get", f"{batch}:0").out.strip(), HASH)
        self.assertEqual(self.site.run("get", f"{batch}:2").out.strip(), "nothing")


class Canary(SecretsTest):
    def test_the_value_is_in_the_task_s_environment_and_nowhere_else(self):
        path = self.put("TOKEN", CANARY + "\n")
        self.site.broker("--log-level", "debug")
        self.site.worker("node-1", 2, "--log-level", "debug")
        result = self.site.submit(self.file(), code=1)
        self.check(result)
        self.check_output(result)
        # while a task has it, only that task shows it
        pid = self.site.path("pid")
        running = self.site.start_submit(self.site.write("r.yaml", f"""
version: 1
tasks: {{r: {{run: "echo $$ > {pid}; exec sleep 600", secrets: [TOKEN]}}}}
"""))
        until(lambda: self.site.read("pid").endswith("\n"), "the task to run")
        sleeper = int(self.site.read("pid"))
        until(lambda: (sleeper, "environ") in self.processes(), "the task to have it")
        self.assertEqual(set(self.processes()), {(sleeper, "environ")})
        slots = [pid for pid in processes_with(self.site.dir) if self.name_of(pid) == "cashet-slot"]
        self.assertTrue(slots)
        for pid in slots:
            until(lambda: CANARY.encode() not in self.memory_of(pid), "a slot to forget it")
        self.assertEqual(self.holders(), [path])
        self.site.run("cancel", self.site.run("ps", "--json").json["batches"][0]["batch"])
        running.finish(code=None)
        until(lambda: self.processes() == [], "the task to be gone")
        self.assertEqual(self.holders(), [path])

    def test_of_a_private_broker_too(self):
        path = self.put("TOKEN", CANARY)
        result = self.site.submit(self.file(), code=1)
        self.check(result)
        self.check_output(result)
        self.assertEqual(self.processes(), [])
        self.assertEqual(self.holders(), [path])
        until(lambda: not processes_with(self.site.path(".cashet")), "the private broker to leave")
        self.assertEqual(self.holders(), [path])

    def test_from_the_worker_s_environment(self):
        self.site.broker("--log-level", "debug")
        self.site.variables["TOKEN"] = CANARY
        worker = self.site.worker("node-1", 2, "--log-level", "debug")
        del self.site.variables["TOKEN"]
        result = self.site.submit(self.file(), code=1)
        self.check(result)
        self.check_output(result)
        self.assertEqual(self.holders(), [])
        self.assertNotIn(CANARY, worker.text())


class Missing(SecretsTest):
    def error(self, text, **wanted):
        result = self.site.submit(self.file(text), code=1)
        task = result["tasks"][0]
        self.assertEqual(task["status"], "failed")
        for key, value in wanted.items():
            self.assertEqual(task[key], value)
        self.assertEqual(self.ran(), {}, "something ran")
        return task["error"]

    def text(self, **more):
        extra = "".join(f", {k}: {v}" for k, v in more.items())
        return (f"version: 1\ntasks: {{t: {{run: 'echo x >> {self.site.path('ran')}', "
                f"secrets: [OTHER, TOKEN]{extra}}}}}\n")

    def test_one_that_is_missing_fails_the_task_before_it_runs(self):
        self.put("OTHER", "o")
        self.site.broker()
        self.site.worker()
        error = self.error(self.text())
        for word in ("TOKEN", "node-1", self.site.path("config/secrets/TOKEN"), "environment"):
            self.assertIn(word, error)
        # ... and is found as soon as it is there, without a restart of anything
        self.put("TOKEN", "t")
        self.assert_counts(self.site.submit(self.file(self.text())), executed=1)
        self.assertEqual(self.ran(), {"x": 1})

    def test_another_worker_may_have_it(self):
        self.put("OTHER", "o")
        self.site.broker()
        self.site.worker("poor")
        self.error(self.text(retries=2), attempts=3)
        self.site.variables["TOKEN"] = "t"
        self.site.worker("rich", wait=True)
        self.site.run("worker", "drain", "poor")
        self.assert_counts(self.site.submit(self.file(self.text())), executed=1)

    def test_a_file_that_others_can_read_is_refused(self):
        self.put("OTHER", "o")
        path = self.put("TOKEN", CANARY, 0o644)
        self.site.broker()
        self.site.worker()
        error = self.error(self.text())
        for word in ("TOKEN", "node-1", path, "chmod 600", "644"):
            self.assertIn(word, error)
        self.assertNotIn(CANARY, error)

    def test_a_private_broker_does_not_take_them_from_whoever_started_it(self):
        self.put("OTHER", "o")
        self.site.variables["TOKEN"] = CANARY
        error = self.error(self.text())
        for word in ("TOKEN", self.site.path("config/secrets/TOKEN"), "private broker"):
            self.assertIn(word, error)


class Identity(SecretsTest):
    def test_a_secret_is_no_part_of_the_fingerprint(self):
        self.put("TOKEN", CANARY)
        self.site.broker()
        self.site.worker()
        text = "version: 1\ntasks: {t: {run: 'echo hi'%s}}\n"
        first = self.site.submit(self.file(text % ""))
        self.assert_counts(first, executed=1)
        second = self.site.submit(self.file(text % ", secrets: [TOKEN]"))
        self.assert_counts(second, cached=1)
        self.assertEqual(second["tasks"][0]["commit"], first["tasks"][0]["commit"])

    def test_a_retry_has_them_again(self):
        self.site.broker()
        self.site.worker()
        result = self.site.submit(self.file(), code=1)
        self.assertEqual([t["status"] for t in result["tasks"]],
                         ["failed", "failed", "completed", "failed"])
        self.put("TOKEN", CANARY)
        done = self.site.run("retry", result["batch"], "--json")
        self.assertEqual(done.code, 1, done.err)
        self.check(self.site.run("results", done.json["batch"], "--json").json)


if __name__ == "__main__":
    main()
