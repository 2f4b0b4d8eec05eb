"""Whose store it is, and what may be seen: folders of others, file systems that cannot be written,
disks that fill up in the middle of an upload, secrets."""

import contextlib
import json
import os
import pwd
import subprocess
import unittest

from harness import BIN, SiteTest, main, processes_with, until

ROOT = os.getuid() == 0
ECHO = "version: 1\ntasks: {t: {run: [echo, '%s']}}\n"


class Users(SiteTest):
    def as_nobody(self, program, *argv):
        """Runs a program as another user, who may look into the site's folder."""
        os.chmod(self.site.dir, 0o755)
        user = pwd.getpwnam("nobody")
        env = self.site.env(HOME="/nonexistent", CASHET_CONFIG="/nonexistent")
        return subprocess.run([os.path.join(BIN, program), *argv], capture_output=True, text=True,
                              cwd="/", env=env, user=user.pw_uid, group=user.pw_gid, extra_groups=[],
                              timeout=60, stdin=subprocess.DEVNULL)

    def refused(self, done, *words):
        self.assertNotEqual(done.returncode if hasattr(done, "returncode") else done.code, 0)
        said = (done.stderr if hasattr(done, "stderr") else done.err)
        for word in words:
            self.assertIn(word, said)
        self.assertLess(len(said), 1500, said)

    @unittest.skipUnless(ROOT, "only root can be two users")
    def test_the_store_of_another_is_refused(self):
        if not os.access(BIN, os.X_OK) or self.as_nobody("cashet", "version").returncode:
            self.skipTest(f"nobody may not run the programs in {BIN}")
        self.site.submit(self.site.write("e.yaml", ECHO % "hi"))
        store = self.site.path(".cashet")
        self.assertEqual(os.stat(store).st_mode & 0o777, 0o700)
        for argv in (("cashet-submit", self.site.path("e.yaml"), "--store", store),
                     ("cashet", "ps", "--store", store),
                     ("cashet-broker", "--store", store)):
            self.refused(self.as_nobody(*argv), store)
        new = self.site.path("sub/dir")  # nobody may not make this
        os.makedirs(self.site.path("sub"), 0o755)
        self.refused(self.as_nobody("cashet-submit", self.site.path("e.yaml"), "--store", new), new)
        self.assert_counts(self.site.submit(self.site.path("e.yaml")), cached=1)

    @unittest.skipUnless(ROOT, "only root can be two users")
    def test_root_leaves_nothing_of_its_own_in_the_store_of_another(self):
        if self.as_nobody("cashet", "version").returncode:
            self.skipTest(f"nobody may not run the programs in {BIN}")
        home = self.site.path("theirs")
        os.mkdir(home)
        os.chown(home, pwd.getpwnam("nobody").pw_uid, -1)
        store = os.path.join(home, "store")
        self.site.write("e.yaml", ECHO % "hi")
        self.assertEqual(self.as_nobody("cashet-submit", self.site.path("e.yaml"), "--store",
                                        store).returncode, 0)
        until(lambda: not processes_with(store), "the private broker to leave")
        done = self.site.run(self.site.path("e.yaml"), "--store", store, program="cashet-submit")
        self.refused(done, store, "nobody")
        owners = {os.stat(os.path.join(at, name)).st_uid for at, dirs, files in os.walk(store)
                  for name in dirs + files}
        self.assertEqual(owners, {pwd.getpwnam("nobody").pw_uid})

    def test_a_task_may_not_look_into_what_runs_it(self):
        # the worker's memory has its key and the values of secrets; a task has the worker's user
        file = self.site.write("e.yaml", """
version: 1
tasks:
  look: {run: "for p in $PPID $(cut -d' ' -f4 /proc/$PPID/stat); do cat /proc/$p/environ >/dev/null 2>&1 && echo open || echo closed; done; cat /proc/$PPID/oom_score_adj; cat /proc/self/environ >/dev/null && echo own"}
""")
        if ROOT:  # may look anywhere
            if self.as_nobody("cashet", "version").returncode:
                self.skipTest(f"nobody may not run the programs in {BIN}")
            home = self.site.path("theirs")
            os.mkdir(home)
            os.chown(home, pwd.getpwnam("nobody").pw_uid, -1)
            store = os.path.join(home, "store")
            done = self.as_nobody("cashet-submit", file, "--json", "--store", store)
            result = json.loads(done.stdout)
            got = self.as_nobody("cashet", "get", f"{result['batch']}:0", "--store", store).stdout
        else:
            result = self.site.submit(file)
            got = self.site.run("get", f"{result['batch']}:0").out
        self.assertEqual(got, "closed\nclosed\n500\nown\n")

    @unittest.skipUnless(ROOT, "mounts a file system")
    def test_a_file_system_that_cannot_be_written(self):
        folder = self.site.path("disk")
        os.mkdir(folder)
        mount = lambda *argv: subprocess.run(["mount", *argv], check=True)
        mount("-t", "tmpfs", "-o", "size=80m,mode=755", "none", folder)
        self.addCleanup(subprocess.run, ["umount", "-l", folder])
        file = self.site.write("disk/e.yaml", ECHO % "hi")
        store = os.path.join(folder, "store")
        self.site.submit(file, "--store", store)
        until(lambda: not processes_with(store), "the private broker to leave")
        # One that is ending has no command line any more, but its files.
        until(lambda: subprocess.run(["mount", "-o", "remount,ro", folder], stderr=subprocess.DEVNULL)
              .returncode == 0, "the file system to be left alone")
        for done in (self.site.run(file, "--store", store, program="cashet-submit"),
                     self.site.run("--store", store, program="cashet-broker")):
            self.refused(done, store, "ead-only file system")
        # the batch file may be there all the same
        other = self.site.submit(file, "--store", self.site.path("other"))
        self.assert_counts(other, executed=1)


class Full(SiteTest):
    @contextlib.contextmanager
    def small(self, name, size):
        folder = self.site.path(name)
        os.makedirs(folder, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "none", folder], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", folder])
        yield folder

    @unittest.skipUnless(ROOT, "mounts a small tmpfs")
    def test_the_broker_s_disk_fills_up_while_a_client_uploads(self):
        with self.small("store", "90m"):
            broker = self.site.broker()
            self.site.worker()
            self.site.write("big", os.urandom(200 << 20))
            file = self.site.write("b.yaml", "version: 1\ntasks: {t: {run: 'wc -c < ${inputs.b}', "
                                   "inputs: {b: {file: big}}}}\n")
            done = self.site.run(file, program="cashet-submit")
            self.assertNotEqual(done.code, 0)
            self.assertIn("no room left in the store", done.err)
            self.assertTrue(broker.running())
            self.assertEqual(self.site.run("ps", "-a", "--json").json["batches"], [])
            # what did not fit is gone again, and work goes on
            small = self.site.write("e.yaml", ECHO % "hi")
            until(lambda: self.site.run(small, program="cashet-submit").code == 0, "room again")

    @unittest.skipUnless(ROOT, "mounts a small tmpfs")
    def test_the_broker_s_disk_fills_up_while_a_worker_uploads(self):
        with self.small("store", "90m") as store:
            broker = self.site.broker()
            worker = self.site.worker()
            ran, go = self.site.path("ran"), self.site.path("go")
            submit = self.site.start_submit(self.site.write("b.yaml", f"""
version: 1
tasks:
  t:
    run: "echo x >> {ran}; while ! test -e {go}; do sleep 0.05; done; head -c 45000000 /dev/urandom > o"
    outputs: {{o: o}}
"""))
            until(self.ran, "the task to run")
            ballast = os.path.join(store, "ballast")
            with open(ballast, "wb") as f:
                f.write(bytes(55 << 20))
            self.site.write("go", "")
            until(lambda: "full" in broker.text() and "no room" in worker.text(), "the disk to be full")
            os.unlink(ballast)
            task = submit.finish()["tasks"][0]
            self.assertEqual((task["status"], task["attempts"]), ("completed", 1))
            self.assertEqual(self.ran(), {"x": 1}, "the work was done again, its result was kept")

    @unittest.skipUnless(ROOT, "mounts a small tmpfs")
    def test_a_task_that_fills_its_worker_s_disk_fails_and_the_next_one_has_room(self):
        with self.small("work-node-1", "20m"):
            self.site.broker()
            self.site.worker()
            result = self.site.submit(self.site.write("b.yaml", """
version: 1
tasks:
  greedy: {run: "head -c 50000000 /dev/zero > o", outputs: {o: o}}
  modest: {run: "head -c 5000000 /dev/zero > o", outputs: {o: o}, priority: -1}
"""), code=1)
            self.assertEqual([t["status"] for t in result["tasks"]], ["failed", "completed"])
            self.assertEqual(result["tasks"][0]["exit_code"], 1)


class Secrets(SiteTest):
    CANARY = "canary-7f3a91c5d2"

    def holds(self, folder):
        """Files below @folder that contain the canary."""
        found = []
        for at, _, names in os.walk(folder):
            for name in names:
                with contextlib.suppress(OSError), open(os.path.join(at, name), "rb") as f:
                    if self.CANARY.encode() in f.read():
                        found.append(os.path.join(at, name))
        return found

    def test_what_is_in_the_environment_of_programs_stays_there(self):
        self.site.variables["MY_TOKEN"] = self.CANARY
        self.site.write("e.yaml", "version: 1\ntasks: {t: {run: 'echo hi; env', env: {A: b}}, "
                        "bad: {run: 'exit 3'}}\n")
        broker = self.site.broker("--log-level", "debug")
        worker = self.site.worker("node-1", 2, "--log-level", "debug")
        result = self.site.submit(self.site.path("e.yaml"), code=1)
        self.assertNotIn(self.CANARY, self.site.run("get", f"{result['batch']}:0").out)
        for process in (broker, worker):
            with open(f"/proc/{process.pid}/cmdline", "rb") as f:
                self.assertNotIn(self.CANARY.encode(), f.read())
        for words in (("results", "--json"), ("worker", "ls", "--json"), ("broker", "status", "--json"),
                      ("ps", "-a", "--json"), ("logs", f"{result['batch']}:0", "--json")):
            self.assertNotIn(self.CANARY, self.site.run(*words).out)
        self.assertEqual(self.holds(self.site.dir), [])

    def test_secret_keys_are_in_their_files_only(self):
        public = {n: self.site.run("key", "new", n, "--json").json["public"] for n in ("me", "broker", "w")}
        for name, role in (("me", "client"), ("w", "worker"), ("broker", "broker")):
            self.assertEqual(self.site.run("key", "trust", public[name], "--role", role).code, 0)
        keys = self.site.path("config/keys")
        secrets = []
        for name in os.listdir(keys):
            with open(os.path.join(keys, name)) as f:
                secrets += [line.partition(" = ")[2].strip() for line in f
                            if line.startswith("secret = ")]
        self.assertEqual(len(secrets), 3, "the files of keys have another form than this test knows")
        self.site.variables["CASHET_KEY"] = "me"
        broker = self.site.broker("--key", "broker", "--log-level", "debug", listen="tcp")
        self.site.worker("node-1", 2, "--key", "w", "--log-level", "debug")
        self.site.submit(self.site.write("e.yaml", ECHO % "hi"))
        said = self.site.run("key", "ls", "--json").out + self.site.logs() + broker.text()
        for secret in secrets:
            self.assertNotIn(secret, said)
            self.CANARY = secret
            self.assertEqual(len(self.holds(self.site.dir)), 1)


if __name__ == "__main__":
    main()
