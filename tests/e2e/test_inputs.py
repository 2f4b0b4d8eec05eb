"""What tasks are given: paths of the worker, folders, results of others, long lists, and what of that
is their identity."""

import hashlib
import json
import os
import shutil
import tempfile
import unittest

from harness import SiteTest, main


class Inputs(SiteTest):
    def setUp(self):
        super().setUp()
        self.site.broker()
        self.site.worker("node-1", 4)

    def submit(self, tasks, *options, code=0, name="b.json", **top):
        self.site.write(name, json.dumps({"version": 1, "tasks": tasks, **top}))
        return self.site.submit(self.site.path(name), *options, code=code)

    def out(self, result, index=0, *options):
        done = self.site.run("get", f"{result['batch']}:{index}", *options)
        self.assertEqual(done.code, 0, done.err)
        return done.out

    def test_a_path_on_the_worker_is_known_by_its_as_only(self):
        data = self.site.write("data/x.txt", "one\n")
        task = lambda path, name: {"t": {"run": ["cat", "${inputs.d}"],
                                         "inputs": {"d": {"path": path, "as": name}}}}
        first = self.submit(task(data, "v3"))
        self.assert_counts(first, executed=1)
        self.assertEqual(self.out(first), "one\n")
        self.site.write("data/x.txt", "two\n")  # what is in it does not count
        self.assert_counts(self.submit(task(data, "v3")), cached=1)
        other = self.site.write("elsewhere/x.txt", "two\n")  # nor does where it is
        self.assert_counts(self.submit(task(other, "v3")), cached=1)
        again = self.submit(task(data, "v4"))
        self.assert_counts(again, executed=1)
        self.assertEqual(self.out(again), "two\n")

    def test_a_folder_on_the_worker_is_read_in_place_and_is_not_shipped(self):
        self.site.write("data/big", b"x" * 5_000_000)
        self.site.write("data/sub/y", "why\n")
        result = self.submit({"t": {"run": "cat ${inputs.d}/sub/y; wc -c < ${inputs.d}/big",
                                    "inputs": {"d": {"path": self.site.path("data"), "as": "1"}}}})
        self.assertEqual(self.out(result), "why\n5000000\n")
        self.assertEqual(self.site.read("data/sub/y"), "why\n", "the task's end took the data away")
        stored = sum(os.path.getsize(os.path.join(at, f)) for at, _, files in
                     os.walk(os.path.join(self.site.store, "objects")) for f in files)
        self.assertLess(stored, 1_000_000)

    def test_a_path_that_the_worker_lacks_fails_the_task_and_says_where(self):
        result = self.submit({"t": {"run": ["cat", "${inputs.d}"], "inputs": {
            "d": {"path": "/no/such/data", "as": "v1"}}}, "u": {"run": ["echo", "fine"]}}, code=1)
        task = result["tasks"][0]
        self.assertEqual(task["status"], "failed")
        self.assertEqual(task["worker"], "node-1")
        for word in ("/no/such/data", "input d", "not on this worker"):
            self.assertIn(word, task["error"])
        told = self.site.run("b.json", program="cashet-submit")
        self.assertRegex(told.err, "/no/such/data.* node-1")
        self.assertEqual(result["tasks"][1]["status"], "completed")

    def test_a_path_without_as_or_not_absolute_is_refused(self):
        for entry, word in (({"path": "/data"}, "as"), ({"path": "data", "as": "1"}, "begins with /")):
            done = self.submit({"t": {"run": ["true"], "inputs": {"d": entry}}}, code=2)
            self.assertIn(word, done.err)

    def test_folders_as_code(self):
        self.site.write("lib/main.sh", ". lib/part/say.sh\n")
        say = self.site.write("lib/part/say.sh", "echo one\n")
        self.site.write("lib/__pycache__/x.pyc", "never shipped")
        self.site.write("lib/tool", "#!/bin/sh\necho tool\n", 0o755)
        tasks = {"t": {"run": "sh lib/main.sh; lib/tool; ls -a lib | grep -c pycache || true",
                       "code": ["lib/"]}}
        first = self.submit(tasks)
        self.assertEqual(self.out(first), "one\ntool\n0\n")
        self.site.write("lib/__pycache__/x.pyc", "still not")
        os.utime(say, (1, 1))
        self.assert_counts(self.submit(tasks), cached=1)
        self.site.write("lib/part/say.sh", "echo two\n")
        second = self.submit(tasks)
        self.assert_counts(second, executed=1)
        self.assertEqual(self.out(second), "two\ntool\n0\n")
        os.chmod(self.site.path("lib/tool"), 0o644)  # the executable bit is part of it
        self.assertNotEqual(self.submit(tasks)["tasks"][0]["fingerprint"],
                            second["tasks"][0]["fingerprint"])

    def test_a_folder_as_input_is_its_content(self):
        self.site.write("in/a.txt", "a\n")
        self.site.write("in/sub/b.txt", "b\n")
        os.makedirs(self.site.path("in/empty"))
        os.symlink("a.txt", self.site.path("in/link"))
        tasks = {"t": {"run": "cd ${inputs.d} && cat a.txt sub/b.txt link && ls -d empty",
                       "inputs": {"d": {"file": "in"}}}}
        first = self.submit(tasks)
        self.assertEqual(self.out(first), "a\nb\na\nempty\n")
        os.utime(self.site.path("in/sub/b.txt"), (5, 5))
        self.assert_counts(self.submit(tasks), cached=1)
        self.site.write("in/sub/b.txt", "c\n")
        self.assertEqual(self.out(self.submit(tasks)), "a\nc\na\nempty\n")
        os.unlink(self.site.path("in/link"))
        os.symlink("../b.json", self.site.path("in/link"))
        done = self.submit(tasks, code=2)  # it would lead out of the folder
        self.assertIn("link", done.err)

    def test_a_folder_that_a_task_made_is_read_by_others_and_got_whole(self):
        result = self.submit({
            "make": {"run": "mkdir -p m/deep/er m/none; echo 1 > m/deep/one; echo 2 > m/deep/er/two; "
                            "chmod 755 m/deep/one", "outputs": {"model": "m"}},
            "whole": {"run": "cd ${inputs.m} && find . | sort && cat deep/er/two && test -x deep/one",
                      "inputs": {"m": {"ref": "make.model"}}},
            "several": {"run": "for d in ${inputs.m}; do cat \"$d\"/deep/one; done; "
                               "wc -l < ${inputs.m.list}",
                        "inputs": {"m": [{"ref": "make.model"}, {"ref": "whole"},
                                         {"ref": "make.model"}]}}})
        self.assertEqual(self.out(result, 1), "\n".join(
            [".", "./deep", "./deep/er", "./deep/er/two", "./deep/one", "./none", "2", ""]))
        self.assertEqual(self.out(result, 2), "1\n1\n3\n")

    def test_a_folder_is_written_out(self):
        result = self.submit({"make": {"run": "mkdir -p m/d; echo 1 > m/d/one; echo 2 > two",
                                       "outputs": {"m": "m", "two": "two"}}})
        to = self.site.path("to")
        self.out(result, 0, "-o", to)
        found = {os.path.relpath(os.path.join(at, f), to) for at, _, files in os.walk(to)
                 for f in files}
        self.assertEqual(len(found), 2, found)

    def test_a_list_that_does_not_fit_into_argv_is_read_from_its_file(self):
        # more than 2 MiB of paths; easy on the disk: links to few files, laid out in memory
        self.site.processes[-1].kill()
        memory = tempfile.mkdtemp(prefix="cashet-e2e-", dir="/dev/shm")
        self.addCleanup(shutil.rmtree, memory, ignore_errors=True)
        self.site.worker("node-2", 1, "--work-dir", memory)
        names = [f"{i:05d}".ljust(255, "n") for i in range(8100)]
        os.makedirs(self.site.path("many"))
        for i, name in enumerate(names):
            if i < 10:
                self.site.write(f"many/{name}", name[4])
            else:
                os.link(self.site.path(f"many/{names[i % 10]}"), self.site.path(f"many/{name}"))
        result = self.submit({
            "list": {"run": "wc -lc < ${inputs.f.list}; xargs cat < ${inputs.f.list} | sha256sum",
                     "inputs": {"f": [{"file": f"many/{n}"} for n in names]}}})
        (lines, size), (digest, _) = map(str.split, self.out(result).splitlines())
        self.assertEqual((lines, digest), ("8100", hashlib.sha256(b"0123456789" * 810).hexdigest()))
        self.assertGreater(int(size), 2 << 20)

    def test_those_that_succeeded_are_passed_on_in_order(self):
        flag = self.site.path("flag")
        tasks = {
            "part": {"run": f"test ${{p.i}} != 2 -o -e {flag} && echo ${{p.i}}",
                     "sweep": {"params": {"i": {"range": [0, 5]}}}},
            "all": {"run": ["cat", "${inputs.p}"],
                    "inputs": {"p": {"ref": "part.*", "failed": "skip"}}},
            "none": {"run": "echo $(wc -l < ${inputs.p.list})",
                     "inputs": {"p": {"ref": "bad.*", "failed": "skip"}}},
            "bad": {"run": "exit ${p.i}", "sweep": {"params": {"i": [1, 2]}}}}
        result = self.submit(tasks, code=1)
        self.assertEqual(self.out(result, 5), "0\n1\n3\n4\n")
        self.assertEqual((result["tasks"][6]["status"], self.out(result, 6)), ("completed", "0\n"))
        self.site.write("flag", "")
        again = self.submit(tasks, code=1)  # one more succeeds: the reader sees something else
        self.assertEqual(self.out(again, 5), "0\n1\n2\n3\n4\n")
        self.assertFalse(again["tasks"][5]["cached"])


if __name__ == "__main__":
    main()
