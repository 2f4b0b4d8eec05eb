"""What tasks do wrong, and what then happens."""

import json
import os
import signal
import unittest

from harness import SiteTest, alive, main, until, with_enough_time


class Tasks(SiteTest):
    def setUp(self):
        super().setUp()
        self.site.broker()
        self.site.worker()

    def one(self, task, code=1, **more):
        text = "version: 1\ntasks:\n  t:\n" + "".join(f"    {k}: {v}\n" for k, v in task.items())
        result = self.site.submit(self.site.write("one.yaml", text), code=code, **more)
        self.assertEqual(len(result["tasks"]), 1)
        return result["tasks"][0]

    def test_failure_reports_the_exit_code_and_tries_again(self):
        ran = self.site.path("ran")
        task = self.one({"run": f'"echo x >> {ran}; echo oops >&2; exit 3"', "retries": 2})
        self.assertEqual((task["status"], task["exit_code"], task["attempts"]), ("failed", 3, 3))
        self.assertIn("exit 3", task["error"])
        self.assertEqual(self.ran(), {"x": 3})
        batch = self.site.run("ps", "-a", "--json").json["batches"][0]["batch"]
        logs = self.site.run("logs", f"{batch}:0", "--stderr")
        self.assertEqual((logs.code, logs.out), (0, "oops\n"))

    def test_failed_task_runs_again_at_the_next_submit(self):
        flag = self.site.path("flag")
        run = {"run": f'"test -e {flag}"'}
        self.assertEqual(self.one(run)["status"], "failed")
        self.site.write("flag", "")
        self.assertEqual(self.one(run, code=0)["status"], "completed")

    def test_dependants_of_a_failure_are_skipped_and_the_rest_goes_on(self):
        file = self.site.write("b.yaml", """
version: 1
tasks:
  bad: {run: [sh, -c, "exit 1"]}
  after: {run: [cat, "${inputs.x}"], inputs: {x: {ref: bad}}}
  later: {run: [cat, "${inputs.x}"], inputs: {x: {ref: after}}}
  other: {run: [echo, fine]}
""")
        result = self.site.submit(file, code=1)
        self.assertEqual([t["status"] for t in result["tasks"]],
                         ["failed", "skipped", "skipped", "completed"])
        self.assert_counts(result, failed=1, skipped=2, executed=1)

    def test_time_out_kills_the_whole_tree(self):
        pid = self.site.path("pid")

        def attempt(seconds):
            task = self.one({"run": f'"setsid sh -c \'echo $$ > {pid}; exec sleep 1000\' & sleep 1000"',
                             "timeout": f"{seconds}s", "grace": "1s"})
            self.assertEqual(task["status"], "failed")
            self.assertIn(f"timed out after {seconds}s", task["error"])
            return self.site.read("pid") != ""

        with_enough_time(attempt, 1)
        until(lambda: not alive(int(self.site.read("pid"))), "the daemon to die")

    def test_ignoring_sigterm_does_not_help(self):
        task = self.one({"run": '"trap \'\' TERM; while :; do sleep 0.1; done"', "timeout": "500ms",
                         "grace": "500ms"})
        self.assertIn("timed out", task["error"])

    def test_signal_is_named(self):
        task = self.one({"run": '"kill -SEGV $$"'})
        self.assertEqual(task["status"], "failed")
        self.assertIn("SIGSEGV", task["error"])

    def test_double_fork_dies_with_its_task(self):
        pid = self.site.path("pid")
        self.one({"run": f'"(setsid sh -c \'echo $$ > {pid}; exec sleep 1000\' &) ; '
                         f'while ! test -s {pid}; do sleep 0.01; done"'}, code=0)
        until(lambda: not alive(int(self.site.read("pid"))), "the daemon to die")

    def test_missing_output_fails_and_names_it(self):
        task = self.one({"run": "['true']", "outputs": "{model: model.bin}"})
        self.assertEqual(task["status"], "failed")
        self.assertIn("model", task["error"])
        self.assertIn("model.bin", task["error"])

    def test_program_that_is_not_there(self):
        task = self.one({"run": "[no-such-program, x]"})
        self.assertEqual(task["status"], "failed")
        self.assertIn("no-such-program", task["error"])

    def test_changing_inputs_harms_nobody(self):
        self.site.write("in.txt", "good\n")
        file = self.site.write("b.yaml", """
version: 1
tasks:
  vandal: {run: "chmod u+w ${inputs.f}; echo bad > ${inputs.f}", inputs: {f: {file: in.txt}}}
  reader: {run: [cat, "${inputs.f}"], inputs: {f: {file: in.txt}}, needs: [vandal]}
""")
        result = self.site.submit(file)
        got = self.site.run("get", f"{result['batch']}:1")
        self.assertEqual(got.out, "good\n")

    def test_big_standard_output_that_is_a_result_is_kept_whole(self):
        task = self.one({"run": '"head -c 100000000 /dev/zero"'}, code=0)
        batch = self.site.run("ps", "-a", "--json").json["batches"][0]["batch"]
        size = self.site.run("get", f"{batch}:0", "-o", self.site.path("out"))
        self.assertEqual(size.code, 0, size.err)
        self.assertEqual(os.path.getsize(self.site.path("out")), 100000000)

    def test_big_standard_output_that_is_a_log_is_trimmed(self):
        self.one({"run": '"yes | head -c 1000000000; touch o"', "outputs": "{o: o}"}, code=0)
        batch = self.site.run("ps", "-a", "--json").json["batches"][0]["batch"]
        logs = self.site.run("logs", f"{batch}:0", "--stdout")
        self.assertEqual(logs.code, 0, logs.err)
        self.assertLess(len(logs.out), 17 << 20)
        self.assertGreater(len(logs.out), 16 << 20)

    def test_output_folder_and_escape(self):
        task = self.one({"run": '"mkdir -p d/e; echo hi > d/e/f"', "outputs": "{d: d}"}, code=0)
        self.assertEqual(task["status"], "completed")
        task = self.one({"run": '"ln -s /etc/passwd leak"', "outputs": "{leak: leak}"})
        self.assertEqual(task["status"], "failed")
        self.assertIn("leak", task["error"])

    def test_environment_is_the_task_own(self):
        self.site.variables["CASHET_SECRET_OF_MINE"] = "x"
        self.one({"run": "env", "env": '{A: "${p.a}-1"}', "sweep": "{params: {a: [5]}}"}, code=0)
        batch = self.site.run("ps", "-a", "--json").json["batches"][0]["batch"]
        names = {line.partition("=")[0]: line.partition("=")[2]
                 for line in self.site.run("get", f"{batch}:0").out.splitlines()}
        self.assertEqual(names["A"], "5-1")
        self.assertIn("PATH", names)
        self.assertNotIn("CASHET_SECRET_OF_MINE", names)
        self.assertNotIn("CASHET_BROKER", names)

    def test_metrics_show_in_results_and_best(self):
        file = self.site.write("m.yaml", """
version: 1
tasks:
  t:
    run: "echo '{\\"loss\\": ${p.x}, \\"tag\\": \\"a\\"}' > m.json"
    sweep: {params: {x: [3, 1.5, 2]}}
    metrics: {from: m.json, best: {loss: min}}
""")
        result = self.site.submit(file)
        self.assertEqual([t["metrics"]["loss"] for t in result["tasks"]], [3, 1.5, 2])
        again = self.site.submit(file)
        self.assertEqual([t["metrics"]["loss"] for t in again["tasks"]], [3, 1.5, 2])
        best = self.site.run("best", result["batch"], "-k", "1", "--json").json
        self.assertEqual(best["tasks"][0]["params"], {"x": 1.5})

    def test_cancel_stops_what_runs(self):
        pid = self.site.path("pid")
        file = self.site.write("c.yaml", f"""
version: 1
tasks: {{t: {{run: "echo $$ > {pid}; exec sleep 1000", grace: 1s}}}}
""")
        submit = self.site.start_submit(file)
        until(lambda: self.site.read("pid").strip(), "the task to run")
        batch = self.site.run("ps", "--json").json["batches"][0]["batch"]
        self.assertEqual(self.site.run("cancel", batch).code, 0)
        result = submit.finish(code=1)
        self.assert_counts(result, cancelled=1)
        until(lambda: not alive(int(self.site.read("pid"))), "the process to die")

    def test_logs_follow_a_running_task(self):
        go = self.site.path("go")
        file = self.site.write("l.yaml", f"""
version: 1
tasks: {{t: {{run: "echo one; while ! test -e {go}; do sleep 0.05; done; echo two"}}}}
""")
        submit = self.site.start_submit(file)
        batch = until(lambda: self.site.run("ps", "--json").json["batches"], "the batch")[0]["batch"]
        until(lambda: self.site.run("logs", f"{batch}:0", "--stdout").out == "one\n", "one line")
        self.site.write("go", "")
        followed = self.site.run("logs", f"{batch}:0", "-f", "--stdout")
        self.assertEqual(followed.out, "one\ntwo\n")
        submit.finish()

    def test_retry_runs_what_failed_again(self):
        flag = self.site.path("flag")
        file = self.site.write("r.yaml", f"""
version: 1
tasks:
  good: {{run: [echo, fine]}}
  bad: {{run: [test, -e, "{flag}"]}}
""")
        first = self.site.submit(file, code=1)
        self.site.write("flag", "")
        again = self.site.run("retry", first["batch"], "--json")
        self.assertEqual(again.code, 0, again.err)
        self.assert_counts(again.json, total=2, cached=1, executed=1)

    def test_max_failures_cancels_what_waits(self):
        file = self.site.write("f.yaml", """
version: 1
tasks: {t: {run: "sleep 0.05; exit 1", sweep: {params: {x: {range: [0, 50]}}}, env: {X: "${p.x}"}}}
policy: {max_failures: 3}
""")
        result = self.site.submit(file, code=1)
        counts = result["counts"]
        self.assertGreaterEqual(counts["failed"], 3)
        self.assertLess(counts["failed"], 10)
        self.assertEqual(counts["failed"] + counts["cancelled"], 50)

    def test_poisonous_task_is_quarantined_after_three_workers(self):
        file = self.site.write("p.yaml", """
version: 1
tasks: {t: {run: "while ! test -s $KILLFILE; do sleep 0.02; done; kill -9 $(cat $KILLFILE); sleep 100", env: {KILLFILE: "%s"}}}
""" % self.site.path("victim"))
        workers = [self.site.processes[-1]]
        self.site.write("victim", str(workers[0].pid))
        submit = self.site.start_submit(file)
        for n in (2, 3):
            until(lambda: not workers[-1].running(), "the worker to die")
            self.site.write("victim", "")  # the next one has another pid
            workers.append(self.site.worker(f"node-{n}"))
            self.site.write("victim", str(workers[-1].pid))
        result = submit.finish(code=1)
        self.assertIn("node-1", result["tasks"][0]["error"])
        self.assertIn("node-3", result["tasks"][0]["error"])

    def test_500_children_die_with_a_task_that_times_out(self):
        pids = self.site.path("pids")

        def attempt(seconds):
            self.site.write("pids", "")
            task = self.one({"run": f'"for i in $(seq 500); do sleep 1000 & echo $! >> {pids}; done; wait"',
                             "timeout": f"{seconds}s", "grace": "200ms"})
            self.assertIn("timed out", task["error"])
            children = [int(p) for p in self.site.read("pids").split()]
            until(lambda: not any(map(alive, children)), "the children to die")
            return len(children) >= 500

        with_enough_time(attempt, 3)

    def test_directory_with_many_files_is_taken_away(self):
        task = self.one({"run": "\"i=0; mkdir d e; cd d; seq 8000 | xargs touch; cd ..; "
                                "while [ $i -lt 200 ]; do mkdir deep; cd deep; i=$((i+1)); done; chmod 0 .\""},
                        code=0)
        self.assertEqual(task["status"], "completed")
        until(lambda: self.site.run("broker", "status").code == 0, "the broker to answer")
        tasks = self.site.path("work-node-1")
        until(lambda: not any("deep" in d for _, d, _ in os.walk(tasks)), "the directory to go")

    def test_outputs_that_are_no_files_are_refused_and_do_not_hang(self):
        file = self.site.write("odd.yaml", """
version: 1
tasks:
  fifo: {run: "mkfifo o", outputs: {o: o}}
  loop: {run: "ln -s o o", outputs: {o: o}}
  device: {run: "ln -s /dev/zero o", outputs: {o: o}}
  inside: {run: "mkdir o; mkfifo o/x", outputs: {o: o}}
  linked: {run: "mkdir o; ln -s /etc o/x", outputs: {o: o}}
  socket: {run: "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\\"o\\")'", outputs: {o: o}}
  ring: {run: "mkdir o; ln -s ../o o/x", outputs: {o: o}}
  swapped: {run: "cd ..; mv task t; ln -s /etc task", outputs: {o: passwd}}
  fine: {run: "echo fine > o", outputs: {o: o}}
""")
        result = self.site.submit(file, code=1)
        states = {t["name"]: (t["status"], t["error"]) for t in result["tasks"]}
        self.assertEqual(states.pop("fine")[0], "completed", states)
        for name, (status, error) in states.items():
            self.assertEqual(status, "failed", name)
            self.assertIn("o", error, name)

    def test_task_may_delete_its_own_directory(self):
        self.assertEqual(self.one({"run": '"rm -rf \\"$PWD\\"; echo gone"'}, code=0)["status"],
                         "completed")
        task = self.one({"run": '"rm -rf \\"$PWD\\""', "outputs": "{o: o}"})
        self.assertEqual(task["status"], "failed")
        self.assertIn("o", task["error"])

    def test_arguments_over_the_limit_of_the_system_fail_only_that_task(self):
        file = self.site.write("big.json", json.dumps({"version": 1, "tasks": {
            "one": {"run": ["echo", "x" * 200000]}, "fine": {"run": ["echo", "fine"]}}}))
        result = self.site.submit(file, code=1)
        tasks = {t["name"]: t for t in result["tasks"]}
        self.assertEqual(tasks["fine"]["status"], "completed")
        self.assertEqual(tasks["one"]["status"], "failed")
        self.assertIn("of 200000 bytes is too long: Linux takes 131071", tasks["one"]["error"])
        file = self.site.write("big.json", json.dumps({"version": 1, "tasks": {
            "one": {"run": ["echo", *["x" * 1000] * 3000]}, "fine": {"run": ["echo", "fine"]}}}))
        refused = self.site.submit(file, code=2)
        self.assertIn("1 MiB", refused.err)

    def test_environment_with_newlines_and_quotes_arrives_whole(self):
        value = "a\nb\"c'd$e\\f\tü"
        file = self.site.write("env.json", json.dumps({"version": 1, "tasks": {"t": {
            "run": ["sh", "-c", 'printf %s "$ODD"'], "env": {"ODD": value}}}}))
        result = self.site.submit(file)
        self.assertEqual(self.site.run("get", f"{result['batch']}:0").out, value)

    def test_a_hundred_slots_on_a_cpu(self):
        ran = self.site.path("ran")
        file = self.site.write("many.yaml", f"""
version: 1
tasks: {{t: {{run: "echo x >> {ran}; sleep 0.5; echo ${{p.i}}", resources: {{cpus: 0.01}},
        sweep: {{params: {{i: {{range: [0, 300]}}}}}}}}}}
""")
        result = self.site.submit(file)
        self.assert_counts(result, total=300, executed=300)
        self.assertEqual(self.ran(), {"x": 300})

    def test_task_over_its_memory_dies_and_its_neighbour_does_not(self):
        go = self.site.path("go")
        file = self.site.write("memory.yaml", f"""
version: 1
tasks:
  greedy:
    run: [python3, -c, "import time; held = b'x' * (300 << 20); time.sleep(1000)"]
    resources: {{cpus: 0.1, memory: 100MiB}}
    retries: 1
  neighbour:
    run: "while ! test -e {go}; do sleep 0.05; done; echo fine"
    resources: {{cpus: 0.1, memory: 100MiB}}
  free: {{run: [python3, -c, "print(len(b'x' * (300 << 20)))"], resources: {{cpus: 0.1}}}}
""")
        submit = self.site.start_submit(file)
        batch = until(lambda: self.site.run("ps", "--json").json["batches"], "the batch")[0]["batch"]
        until(lambda: self.site.run("results", batch, "--json").json["counts"]["failed"], "its death")
        self.site.write("go", "")
        tasks = {t["name"]: t for t in submit.finish(code=1)["tasks"]}
        self.assertRegex(tasks["greedy"]["error"],
                         r"^killed: used [\d.]+ MiB of the 100 MiB it asked for \(resources.memory\)$")
        self.assertEqual(tasks["greedy"]["attempts"], 2)
        self.assertEqual(tasks["neighbour"]["status"], "completed")
        self.assertEqual(tasks["free"]["status"], "completed")
        self.assertIn("memory measured", self.site.run("worker", "ls").out)


if __name__ == "__main__":
    main()
