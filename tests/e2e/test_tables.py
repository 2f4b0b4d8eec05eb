"""results and best: columns that were chosen, groups and their numbers, the best of many."""

import csv
import io
import json
import statistics

from harness import SiteTest, main

SWEEP = """version: 1
name: tables
tasks:
  prep: {run: [echo, ready]}
  t:
    run: 'echo "{\\"loss\\": ${p.x}.5, \\"acc\\": ${p.seed}, \\"note\\": \\"n${p.x}\\"}" > m.json; test ${p.x} != 3 -o ${p.seed} != 1'
    sweep: {params: {opt: [sgd, adam], x: [10, 2, 3], seed: [0, 1, 2]}}
    metrics: {from: m.json, best: {loss: min}}
"""


class Tables(SiteTest):
    def setUp(self):
        super().setUp()
        self.site.write("s.yaml", SWEEP)
        self.result = self.site.submit("s.yaml", code=1)
        self.batch = self.result["batch"]

    def cashet(self, *argv, code=0):
        done = self.site.run(*argv)
        self.assertEqual(done.code, code, f"{argv}\n{done.out}\n{done.err}")
        return done

    def rows(self, *argv):
        done = self.cashet("results", self.batch, *argv, "--csv")
        return list(csv.DictReader(io.StringIO(done.out)))

    # ---- columns

    def test_columns_are_those_that_were_chosen_in_their_order(self):
        head = self.cashet("results", "--param", "seed", "--param", "opt", "--metric", "acc").out
        self.assertEqual(head.splitlines()[0].split(), ["task", "name", "seed", "opt", "acc",
                                                        "status", "time", "commit", "error"])
        rows = self.rows("--param", "seed,x", "-m", "loss")
        self.assertEqual([k for k in rows[0] if "." in k],
                         ["params.seed", "params.x", "metrics.loss"])
        self.assertEqual([r["params.x"] for r in rows[:4]], ["", "10", "10", "10"])
        tasks = self.cashet("results", "--json", "-m", "acc").json["tasks"]
        self.assertEqual(list(tasks[1]["params"]), ["opt", "x", "seed"])
        self.assertEqual(tasks[2]["metrics"], {"acc": 1})
        whole = self.cashet("results", "--json").json
        self.assertEqual({**whole["tasks"][5], "metrics": {}}, {**tasks[5], "metrics": {}})

    def test_a_name_that_no_task_has_is_refused_before_anything_is_printed(self):
        for argv, words in ((["--param", "sed"], ["parameter", "did you mean seed", "opt, x, seed"]),
                            (["--metric", "los"], ["metric", "did you mean loss"]),
                            (["--metric", "opt"], ["metric", "acc"]),
                            (["--group-by", "sed"], ["did you mean seed"]),
                            (["--group-by", "x", "--metric", "zzzzzz"], ["loss"]),
                            (["--group-by", "x", "--agg", "mena"], ["did you mean mean"]),
                            (["--group-by", "x", "--agg", ","], ["median"]),
                            (["--group-by", "x", "--param", "seed"], ["--group-by"]),
                            (["--group-by", "x", "-m", "note"], ["never a number", "n10"])):
            for form in ([], ["--json"], ["--csv"]):
                done = self.cashet("results", *argv, *form, code=2)
                self.assertEqual(done.out, "", argv)
                for word in words:
                    self.assertIn(word, done.err, argv)

    # ---- groups

    def test_groups_have_the_numbers_of_their_completed_tasks(self):
        done = self.cashet("results", "-g", "x", "--json", "--agg",
                           "n,mean,std,min,max,median,sum")
        groups = done.json["groups"]
        self.assertEqual([g["params"] for g in groups], [{"x": 2}, {"x": 3}, {"x": 10}])
        self.assertEqual([(g["tasks"], g["completed"]) for g in groups], [(6, 6), (6, 4), (6, 6)])
        self.assertEqual(done.json["left_out"], 1, "prep has no x")
        self.assertEqual(done.json["group_by"], ["x"])
        for group in groups:
            mine = [t["metrics"] for t in self.result["tasks"]
                    if t["params"].get("x") == group["params"]["x"] and t["status"] == "completed"]
            self.assertEqual(set(group["metrics"]), {"loss", "acc"})
            for name, got in group["metrics"].items():
                values = [m[name] for m in mine]
                self.assertAlmostEqual(got["mean"], statistics.mean(values))
                self.assertAlmostEqual(got["std"], statistics.stdev(values))
                self.assertEqual([got[k] for k in ("n", "min", "max", "median", "sum")],
                                 [len(values), min(values), max(values),
                                  statistics.median(values), sum(values)])
        self.assertIn("without x, left out: 1 of 19 tasks", done.err)
        self.assertIn("not completed, not in the numbers: 2 of 19 tasks", done.err)

    def test_groups_as_a_table_and_as_csv(self):
        done = self.cashet("results", "--group-by", "opt,x", "--metric", "loss").out.splitlines()
        self.assertEqual(done[0].split(), ["opt", "x", "tasks", "completed", "loss.mean",
                                           "loss.std", "loss.min", "loss.max"])
        self.assertEqual([line.split()[:2] for line in done[1:]],
                         [["sgd", "2"], ["sgd", "3"], ["sgd", "10"],
                          ["adam", "2"], ["adam", "3"], ["adam", "10"]])
        self.assertEqual(done[1].split()[2:], ["3", "3", "2.5", "0", "2.5", "2.5"])
        rows = self.rows("-g", "x", "-m", "acc", "--agg", "mean,count")
        self.assertEqual([list(r.items()) for r in rows][0],
                         [("params.x", "2"), ("tasks", "6"), ("completed", "6"),
                          ("metrics.acc.mean", "1.0"), ("metrics.acc.n", "6")])
        whole = self.rows("--agg", "max", "-m", "loss")  # without groups: all of them
        self.assertEqual([dict(r) for r in whole],
                         [{"tasks": "19", "completed": "17", "metrics.loss.max": "10.5"}])

    def test_what_is_no_number_is_left_out_and_told(self):
        self.site.write("n.yaml", """version: 1
tasks:
  t:
    run: [sh, -c, 'printf "%s" "$1" > m.json', x, '{"loss": ${p.v}}']
    sweep: {method: list, params: [{v: "1"}, {v: "3"}, {v: '"diverged"'}]}
    metrics: {from: m.json, best: {loss: min}}
""")
        self.site.submit("n.yaml")
        done = self.cashet("results", "--agg", "mean,n", "--json")
        self.assertEqual(done.json["groups"][0]["metrics"], {"loss": {"mean": 2, "n": 2}})
        self.assertEqual(done.json["not_numbers"], {"loss": 1})
        self.assertIn("loss is no number in 1 of 3 tasks (task 2 says diverged)", done.err)
        best = self.cashet("best", "--json")
        self.assertEqual([t["index"] for t in best.json["tasks"]], [0, 1])
        self.assertIn("without a number for it, so not ranked: 1", best.err)

    # ---- best

    def test_best_are_the_first_of_a_sort_and_ties_go_by_index(self):
        self.site.write("b.jsonl", "".join(json.dumps(
            {"name": "t", "run": ["sh", "-c", f"echo '{{\"m\": {i * 7 % 11}}}' > m.json"],
             "metrics": {"from": "m.json", "best": {"m": "max"}}}) + "\n" for i in range(40)))
        tasks = self.site.submit("b.jsonl")["tasks"]
        for direction, sign in (("--max", -1), ("--min", 1)):
            ranked = sorted(tasks, key=lambda t: (sign * t["metrics"]["m"], t["index"]))
            for k in (1, 3, 10, 39, 40, 100):
                got = self.cashet("best", direction, "-k", str(k), "--json").json["tasks"]
                self.assertEqual([t["index"] for t in got], [t["index"] for t in ranked[:k]])
        self.assertEqual(self.cashet("best", "-k1").out.split()[-2].split(":")[1], "3")

    def test_a_metric_that_is_not_there_is_answered_with_those_that_are(self):
        done = self.cashet("best", "--by", "lss", "--min", code=5)
        self.assertIn("did you mean loss?", done.err)
        self.assertIn("there is: ", done.err)
        for name in ("acc", "loss", "note"):
            self.assertIn(name, done.err)
        done = self.cashet("best", "--by", "note", "--min", code=5)
        self.assertIn("0 say NaN, 16 a text", done.err)
        self.assertEqual(self.cashet("best", "--by", "acc", "--max", "-k1", "--json")
                         .json["tasks"][0]["index"], 3)

    # ---- a training that diverged

    def test_nan_is_a_result_and_never_the_best(self):
        self.site.write("nan.yaml", """version: 1
tasks:
  t:
    run: 'echo "{\\"loss\\": ${p.loss}}" > m.json'
    sweep: {params: {loss: ["NaN", "0.5", "Infinity", "0.25", "-0.5e1"]}}
    metrics: {from: m.json, best: {loss: min}}
""")
        done = self.site.submit("nan.yaml")
        self.assertEqual([t["metrics"]["loss"] for t in done["tasks"]], [None, 0.5, None, 0.25, -5])
        best = self.cashet("best", done["batch"], "--json").json["tasks"]
        self.assertEqual([t["index"] for t in best], [4, 3, 1, 2])
        rows = list(csv.DictReader(io.StringIO(self.cashet("results", done["batch"], "--csv").out)))
        self.assertEqual([r["metrics.loss"] for r in rows], ["nan", "0.5", "inf", "0.25", "-5.0"])
        self.assertEqual(self.site.submit("nan.yaml")["counts"]["cached"], 5)


if __name__ == "__main__":
    main()
