"""Few open files: a worker says so, runs fewer tasks at a time, and fails none for it."""

import os
import subprocess

from harness import BIN, PATIENCE, SiteTest, main, until


class FewOpenFiles(SiteTest):
    def limited(self, count):
        return ["prlimit", f"--nofile={count}:{count}"]

    def test_a_worker_runs_fewer_tasks_at_a_time(self):
        self.site.broker()
        worker = self.site.worker("node-1", 4, prefix=self.limited(64))
        self.site.write("in.txt", "hello\n")
        deep = "/".join("d" * 60)
        go = self.site.path("go")
        file = self.site.write("b.yaml", f"""
version: 1
tasks:
  held: {{run: "while ! test -e {go}; do sleep 0.1; done; echo ${{p.i}}", resources: {{cpus: 0.05}}, priority: 1,
         sweep: {{params: {{i: {{range: [0, 60]}}}}}}}}
  deep: {{run: "cp ${{inputs.f}} o; mkdir -p {deep}; echo ${{p.i}} > {deep}/x", resources: {{cpus: 0.05}},
         inputs: {{f: {{file: in.txt}}}}, outputs: {{o: o, d: d}},
         sweep: {{params: {{i: {{range: [0, 20]}}}}}}}}
  all: {{run: "cat ${{inputs.x}}", inputs: {{x: {{ref: "deep.*.o"}}}}}}
""")
        submit = self.site.start_submit(file)
        until(lambda: "no more tasks at a time" in worker.text(), "the worker to be at its limit")
        self.site.write("go", "")
        result = submit.finish()
        self.assert_counts(result, total=81, executed=81)
        self.assertEqual({t["attempts"] for t in result["tasks"]}, {1})
        self.assertNotIn("Too many open files", worker.text())

    def test_too_few_are_refused_at_the_start(self):
        self.site.broker()
        worker = self.site.worker(prefix=self.limited(40))
        self.assertEqual(worker.wait(), 1)
        for word in ("only 40 files", "ulimit -n", "64"):
            self.assertIn(word, worker.text())

    def test_too_few_for_a_broker_are_refused_at_the_start(self):
        """A private one, too, whose worker could not start: nobody waits for it."""
        self.site.write("b.yaml", "version: 1\ntasks: {t: {run: [echo, a]}}\n")
        for files in (16, 40):
            done = subprocess.run([*self.limited(files), os.path.join(BIN, "cashet-submit"), "b.yaml"],
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  cwd=self.site.dir, env=self.site.env(), timeout=2 * PATIENCE)
            self.assertEqual(done.returncode, 3, done.stderr)
            for word in (f"only {files} files", "a broker", "ulimit -n", "64"):
                self.assertIn(word, done.stderr)
        broker = self.site.broker(prefix=self.limited(40), wait=False)
        self.assertEqual(broker.wait(), 1)
        self.assertIn("only 40 files", broker.text())

    def test_a_broker_and_its_worker_of_few(self):
        self.site.broker(prefix=self.limited(256))
        self.site.worker("node-1", 2, prefix=self.limited(256))
        file = self.site.write("b.yaml", """
version: 1
tasks:
  make: {run: "echo ${p.i} > o", outputs: {o: o}, sweep: {params: {i: {range: [0, 200]}}}}
  all: {run: "cat ${inputs.x}", inputs: {x: {ref: "make.*.o"}}}
""")
        submits = [self.site.start_submit(file) for _ in range(8)]
        results = [submit.finish() for submit in submits]
        for result in results:
            self.assert_counts(result, total=201, failed=0)
        self.assertEqual(sum(r["counts"]["executed"] for r in results), 201)
        until(lambda: self.site.run("broker", "status").code == 0, "the broker to answer")


if __name__ == "__main__":
    main()
