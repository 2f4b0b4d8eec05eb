"""What runs again and what does not: sweeps that grow, modes of the cache, results that expire."""

import json
import time
import unittest

from harness import SiteTest, main, until


class Again(SiteTest):
    def setUp(self):
        super().setUp()
        self.site.broker()
        self.site.worker("node-1", 4)

    def submit(self, tasks, *options, code=0, **top):
        self.site.write("b.json", json.dumps({"version": 1, "tasks": tasks, **top}))
        return self.site.submit(self.site.path("b.json"), *options, code=code)

    def sweep(self, code=0, **sweep):
        """Tasks that note their parameters in `ran`."""
        names = [n for n in "abc" if n in sweep.get("params", {}) or
                 any(n in p for p in sweep["params"] if isinstance(p, dict))]
        line = ",".join(f"${{p.{n}}}" for n in names)
        return self.submit({"t": {"run": f"echo {line} >> {self.site.path('ran')}",
                                  "sweep": sweep}}, code=code)

    def prints(self, result):
        return [t["fingerprint"] for t in result["tasks"]]

    def test_more_random_samples_leave_those_that_are_there(self):
        params = {"a": {"log_uniform": [1e-4, 1e-1]}, "b": {"choice": ["x", "y", "z"]}}
        first = self.sweep(method="random", n=5, sample_seed=7, params=params)
        self.assert_counts(first, executed=5)
        for task in first["tasks"]:
            self.assertTrue(1e-4 <= task["params"]["a"] <= 1e-1, task["params"])
        more = self.sweep(method="random", n=12, sample_seed=7, params=params)
        self.assert_counts(more, total=12, cached=5, executed=7)
        self.assertEqual(self.prints(more)[:5], self.prints(first))
        other = self.sweep(method="random", n=5, sample_seed=8, params=params)
        self.assert_counts(other, executed=5)
        # another parameter: other work, but the values of the first two stay
        third = self.sweep(method="random", n=5, sample_seed=7, params={**params, "c": {"range": [0, 9]}})
        self.assertEqual([(t["params"]["a"], t["params"]["b"]) for t in third["tasks"]],
                         [(t["params"]["a"], t["params"]["b"]) for t in first["tasks"]])

    def test_a_value_more_in_a_grid_runs_only_what_it_adds(self):
        first = self.sweep(params={"a": [1, 2], "b": ["x", "y"]})
        self.assert_counts(first, executed=4)
        middle = self.sweep(params={"a": [1, 1.5, 2], "b": ["x", "y"]})
        self.assert_counts(middle, total=6, cached=4, executed=2)
        fewer = self.sweep(params={"b": ["y", "x"], "a": [2, 1]})  # the order is not identity
        self.assert_counts(fewer, total=4, cached=4)
        self.assertEqual(set(self.ran().values()), {1})
        self.assertEqual(len(self.ran()), 6)

    def test_list_exclude_include_and_max(self):
        rows = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
        result = self.sweep(method="list", params=rows)
        self.assertEqual([t["params"] for t in result["tasks"]], rows)
        grid = {"params": {"a": {"range": [1, 4]}, "b": ["x", "y"]},
                "exclude": [{"b": "x", "a": {"gt": 1}}, {"a": {"in": [3]}}],
                "include": [{"a": 9, "b": "z"}]}
        result = self.sweep(**grid, max=4)
        self.assertEqual([(t["params"]["a"], t["params"]["b"]) for t in result["tasks"]],
                         [(1, "x"), (1, "y"), (2, "y"), (9, "z")])
        self.assert_counts(result, cached=2, executed=2)  # those of the list are hits
        done = self.sweep(**grid, max=3, code=2)
        self.assertIn("max", done.err)
        self.assertIn("4", done.err)
        everything = dict(grid, exclude=[{"a": {"ge": 0}}], include=[])
        self.assertIn("leaves nothing", self.sweep(**everything, code=2).err)

    def test_uniform_points_stay_when_others_come(self):
        first = self.sweep(params={"a": {"uniform": [0, 1], "n": 3}})
        more = self.sweep(params={"a": {"uniform": [0, 1], "n": 5}})
        self.assertEqual([t["params"]["a"] for t in more["tasks"]], [0.0, 0.25, 0.5, 0.75, 1.0])
        self.assert_counts(more, cached=3, executed=2)
        self.assert_counts(first, executed=3)

    def mode(self, *options, **cache):
        result = self.submit({"t": {"run": f"echo x >> {self.site.path('ran')}; date +%N",
                                    "cache": cache}}, *options)
        return result["tasks"][0]

    def test_off_is_never_a_hit_and_force_becomes_the_current_result(self):
        first = self.mode()
        self.assertEqual(self.mode()["commit"], first["commit"])
        off = self.mode(mode="off")
        self.assertFalse(off["cached"])
        self.assertEqual(self.mode()["commit"], first["commit"], "a result of off was a hit")
        force = self.mode(mode="force")
        self.assertFalse(force["cached"])
        hit = self.mode()
        self.assertEqual((hit["commit"], hit["output"]), (force["commit"], force["output"]))
        self.assertEqual(self.mode("--no-cache")["cached"], False)
        self.assertEqual(self.mode()["commit"], force["commit"])
        forced = self.mode("--force")
        self.assertEqual(self.mode()["commit"], forced["commit"])
        self.assertEqual(self.ran(), {"x": 5})

    def test_forced_and_uncached_tasks_join_nobody(self):
        go = self.site.path("go")
        task = {"run": f"echo x >> {self.site.path('ran')}; while ! test -e {go}; do sleep 0.05; done"}
        file = lambda name, **cache: self.site.write(name, json.dumps(
            {"version": 1, "tasks": {"t": {**task, "cache": cache}}}))
        submits = [self.site.start_submit(file("a.json")), self.site.start_submit(file("b.json"))]
        until(lambda: len(self.site.run("ps", "--json").json["batches"]) == 2, "two batches")
        submits += [self.site.start_submit(file("c.json", mode="off")),
                    self.site.start_submit(file("d.json", mode="force"))]
        until(lambda: self.ran() == {"x": 3}, "two to join and two to run alone")
        self.site.write("go", "")
        counts = [s.finish()["counts"] for s in submits]
        self.assertEqual(sum(c["executed"] for c in counts[:2]), 1)
        self.assertEqual([c["executed"] for c in counts[2:]], [1, 1])
        self.assertEqual(self.ran(), {"x": 3})

    def test_a_result_expires_by_its_age_since_completion(self):
        task = {"t": {"run": f"echo x >> {self.site.path('ran')}; sleep 1.5; date +%N",
                      "cache": {"ttl": "2s"}}}
        first = self.submit(task)["tasks"][0]
        done = time.time()  # what the task took does not count: it is a hit for two seconds from here
        seen = self.submit(task)["tasks"][0]
        self.assertTrue(seen["cached"] or time.time() > done + 1.9)
        task["t"]["cache"] = {}  # the life of a result is said when it is made
        seen = [seen]
        until(lambda: not seen.append(self.submit(task)["tasks"][0]) and not seen[-1]["cached"],
              "the result to expire")
        self.assertNotEqual(seen[-1]["commit"], first["commit"])
        current = self.submit(task)["tasks"][0]
        self.assertEqual((current["cached"], current["commit"]), (True, seen[-1]["commit"]))

    def test_a_reader_of_an_expired_result_that_comes_out_the_same_stays_cached(self):
        ran = self.site.path("ran")
        tasks = {"a": {"run": f"echo a >> {ran}; echo same", "cache": {"ttl": "1s"}},
                 "b": {"run": f"echo b >> {ran}; cat ${{inputs.x}}", "inputs": {"x": {"ref": "a"}}}}
        self.submit(tasks)
        until(lambda: self.submit(tasks)["counts"]["executed"], "the first task to run again")
        self.assertEqual(self.ran(), {"a": 2, "b": 1})

    def test_salt_is_identity(self):
        self.assertFalse(self.mode()["cached"])
        self.assertFalse(self.mode(salt="one")["cached"])
        self.assertFalse(self.mode(salt="two")["cached"])
        self.assertTrue(self.mode(salt="one")["cached"])
        self.assertTrue(self.mode()["cached"])


if __name__ == "__main__":
    main()
