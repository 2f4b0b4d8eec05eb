"""Bad batch files: a clear error with a place, exit 2, and nothing is submitted."""

import os
import unittest

from harness import SiteTest, main

HEAD = "version: 1\ntasks:\n"


class BatchFiles(SiteTest):
    def bad(self, content, *words, name="bad.yaml", place=None):
        path = self.site.path(name)
        if content is not None:
            self.site.write(name, content)
        done = self.site.run(path, program="cashet-submit")
        self.assertEqual(done.code, 2, f"{done.code}\n{done.out}\n{done.err}")
        self.assertEqual(done.out, "")
        for word in words:
            self.assertIn(word, done.err)
        if place:
            self.assertIn(f"{name}:{place}", done.err)
            self.assertIn("^", done.err)
        self.assertFalse(os.path.exists(self.site.path(".cashet/meta.db")), "a store was made")

    def test_not_there(self):
        self.bad(None, "bad.yaml", "no such file")

    def test_empty(self):
        self.bad("", "empty")

    def test_binary(self):
        self.bad(b"\x7fELF\x00\x01\x02\xff", "bad.yaml")

    def test_folder(self):
        os.mkdir(self.site.path("dir.yaml"))
        self.bad(None, "dir.yaml", name="dir.yaml")

    def test_syntax_error_has_line_column_and_caret(self):
        self.bad(HEAD + "  t: {run: [echo, hi}\n", place="3:")

    def test_json_syntax_error(self):
        self.bad('{"version": 1,\n "tasks": {"t": {"run": ["echo" "x"]}}}', name="bad.json",
                 place="2:")

    def test_duplicate_key(self):
        self.bad(HEAD + "  t: {run: [echo], run: [cat]}\n", "duplicate", "run", place="3:")

    def test_unknown_key_did_you_mean(self):
        self.bad(HEAD + "  t: {run: [echo], retrys: 3}\n", "retrys", "retries", place="3:")

    def test_wrong_type(self):
        self.bad(HEAD + "  t: {run: [echo], retries: many}\n", "retries", place="3:")

    def test_unknown_version(self):
        self.bad("version: 7\ntasks: {t: {run: [echo]}}\n", "version", "7", place="1:")

    def test_a_call_of_a_file_that_is_not_there(self):
        self.bad(HEAD + "  t: {call: 'x.py:f'}\n", "x.py", place="3:")

    def test_cycle_names_the_tasks_on_it(self):
        self.bad(HEAD + "  a: {run: [cat, '${inputs.x}'], inputs: {x: {ref: b}}}\n"
                 "  b: {run: [cat, '${inputs.x}'], inputs: {x: {ref: c}}}\n"
                 "  c: {run: [cat, '${inputs.x}'], inputs: {x: {ref: a}}}\n"
                 "  d: {run: [echo]}\n", "cycle", "a", "b", "c")

    def test_self_reference(self):
        self.bad(HEAD + "  a: {run: [cat, '${inputs.x}'], inputs: {x: {ref: a}}}\n", "itself")

    def test_unknown_reference_did_you_mean(self):
        self.bad(HEAD + "  prepare: {run: [echo]}\n"
                 "  b: {run: [cat, '${inputs.x}'], inputs: {x: {ref: prepair}}}\n", "prepair",
                 "prepare", place="4:")

    def test_unknown_output(self):
        self.bad(HEAD + "  a: {run: [echo], outputs: {data: d}}\n"
                 "  b: {run: [cat, '${inputs.x}'], inputs: {x: {ref: a.dta}}}\n", "dta", "data")

    def test_sweep_without_star(self):
        self.bad(HEAD + "  a: {run: [echo, '${p.x}'], sweep: {params: {x: [1, 2]}}}\n"
                 "  b: {run: [cat, '${inputs.x}'], inputs: {x: {ref: a}}}\n", "a.*")

    def test_missing_input_file(self):
        self.bad(HEAD + "  a: {run: [cat, '${inputs.x}'], inputs: {x: {file: nope.csv}}}\n",
                 "nope.csv", place="3:")

    def test_sweep_over_the_limit_says_how_many(self):
        self.bad(HEAD + "  a: {run: [echo, '${p.x}', '${p.y}'], sweep: {params: "
                 "{x: {range: [0, 2000000000]}, y: {range: [0, 2000000000]}}}}\n", "1000000")

    def test_alias_bomb(self):
        lines = ["version: 1", "x: &a0 [a, a, a, a, a, a, a, a, a, a]"]
        lines += [f"x{i}: &a{i} [" + ", ".join([f"*a{i - 1}"] * 10) + "]" for i in range(1, 12)]
        self.bad("\n".join(lines) + "\n")

    def test_deep_nesting(self):
        self.bad("version: 1\ntasks: " + "[" * 100000 + "]" * 100000 + "\n")

    def test_output_outside_the_task_s_directory(self):
        for path in ("../x", "/etc/x", "a/../../x"):
            self.bad(HEAD + f"  a: {{run: [echo], outputs: {{o: {path}}}}}\n", "o", place="3:")

    def test_unknown_substitution(self):
        self.bad(HEAD + "  a: {run: [echo, '${p.lr}'], sweep: {params: {lrate: [1]}}}\n", "p.lr",
                 place="3:")

    def test_bad_line_of_jsonl_discards_the_batch(self):
        self.site.broker()
        lines = '{"run": ["echo", "1"]}\n' * 100 + '{"run": 7}\n'
        self.site.write("bad.jsonl", lines)
        done = self.site.run(self.site.path("bad.jsonl"), program="cashet-submit")
        self.assertEqual(done.code, 2, done.err)
        self.assertIn("bad.jsonl:101", done.err)
        self.assertEqual(self.site.run("ps", "-a", "--json").json["batches"], [])


if __name__ == "__main__":
    main()
