"""What batch files mean, on real runs: quoting, numbers, sweeps, references, inputs, the cache."""

import json
import os
import unittest

from harness import SiteTest, main

SHOW = ["printf", "%s|"]


class Format(SiteTest):
    def submit(self, tasks, *options, code=0, name="b.json", **top):
        self.site.write(name, json.dumps({"version": 1, "tasks": tasks, **top}))
        return self.site.submit(self.site.path(name), *options, code=code)

    def out(self, result, index=0):
        done = self.site.run("get", f"{result['batch']}:{index}")
        self.assertEqual(done.code, 0, done.err)
        return done.out

    def outs(self, result):
        return [self.out(result, t["index"]) for t in result["tasks"]]

    def test_numbers_keep_their_value(self):
        self.site.write("n.yaml", "version: 1\ntasks:\n  t:\n    run: [printf, '%s', '${p.x}']\n"
                        "    sweep: {params: {x: [1e-5, 0.1, 1.20, 1e22, 100.0, 9223372036854775807, "
                        "-0.0, true, no, \"1.20\", 1e16, 0x1f]}}\n")
        result = self.site.submit(self.site.path("n.yaml"))
        self.assertEqual(self.outs(result), [
            "1e-05", "0.1", "1.2", "1e+22", "100.0", "9223372036854775807", "-0.0", "true", "no",
            "1.20", "1e+16", "31"])

    def test_shell_quotes_values_and_argv_does_not(self):
        odd = "a b'c\"$HOME`id`\n; *é"
        result = self.submit([
            {"run": "printf %s ${p.x}", "params": {"x": odd}},
            {"run": ["printf", "%s", "${p.x}"], "params": {"x": odd}},
            {"run": ["printf", "%s", "$${p.x} $HOME $$ ${p.x}"], "params": {"x": "v"}},
            {"run": ["sh", "-c", "printf %s \"$E\""], "env": {"E": "<${p.x}>"},
             "params": {"x": odd}}])
        self.assertEqual(self.outs(result), [odd, odd, "${p.x} $HOME $$ v", f"<{odd}>"])

    def test_sweep_operators_and_order(self):
        result = self.submit({"t": {
            "run": ["printf", "%s", "${p.a},${p.b}"],
            "sweep": {"params": {"a": [1, 2, 3], "b": ["x", "y"]},
                      "exclude": [{"a": {"ge": 3}}, {"a": 1, "b": {"in": ["y"]}}],
                      "include": [{"a": 9, "b": "z"}]}}})
        self.assertEqual(self.outs(result), ["1,x", "2,x", "2,y", "9,z"])
        self.assertEqual(result["tasks"][0]["params"], {"a": 1, "b": "x"})

    def test_inputs_folders_lists_and_names(self):
        self.site.write("in dir/é x.txt", "one")
        self.site.write("in dir/sub/two.txt", "two")
        self.site.write("lib/code.sh", "echo code")
        result = self.submit({
            "files": {"run": "cat ${inputs.f} ${inputs.d}/sub/two.txt; echo ${inputs.f}",
                      "inputs": {"f": {"file": "in dir/é x.txt"}, "d": {"file": "in dir"}}},
            "many": {"run": "cat ${inputs.l}; wc -l < ${inputs.l.list}",
                     "inputs": {"l": [{"file": "in dir/é x.txt"}, {"ref": "one"}]}},
            "argv": {"run": SHOW + ["${inputs.l}"],
                     "inputs": {"l": [{"file": "lib/code.sh"}, {"file": "lib/code.sh"}]}},
            "code": {"run": ["sh", "as/c.sh"], "code": [{"path": "lib/code.sh", "as": "as/c.sh"}]},
            "one": {"run": ["printf", "1"]}})
        outs = self.outs(result)
        self.assertEqual(outs[0], "onetwoinputs/f/é x.txt\n")
        self.assertEqual(outs[1].split(), ["one12"])
        self.assertEqual(len(outs[2].rstrip("|").split("|")), 2, outs[2])
        self.assertEqual(outs[3], "code\n")

    def test_references(self):
        result = self.submit({
            "read": {"run": "cat ${inputs.a} ${inputs.o} ${inputs.d}/deep",  # forwards
                     "inputs": {"a": {"ref": "make.stdout"}, "o": {"ref": "make.file"},
                                "d": {"ref": "make.dir"}}},
            "make": {"run": "echo said; echo wrote > ${outputs.file}; mkdir -p ${outputs.dir}; "
                            "echo deep > ${outputs.dir}/deep",
                     "outputs": {"file": "o/f", "dir": "folder"}},
            "part": {"run": "test ${p.i} != 1 && echo ${p.i}", "sweep": {"params": {"i": [0, 1, 2]}}},
            "all": {"run": ["cat", "${inputs.p}"],
                    "inputs": {"p": {"ref": "part.*", "failed": "skip"}}},
            "strict": {"run": ["cat", "${inputs.p}"], "inputs": {"p": {"ref": "part.*"}}},
            "needs": {"run": ["echo", "x"], "needs": ["make"]}}, code=1)
        status = {(t["name"], t["index"]): t["status"] for t in result["tasks"]}
        self.assertEqual(self.out(result, 0), "said\nwrote\ndeep\n")
        self.assertEqual(self.out(result, 5), "0\n2\n")
        self.assertEqual(status[("strict", 6)], "skipped")
        self.assertEqual(status[("needs", 7)], "completed")
        self.assert_counts(result, failed=1, skipped=1)

    def test_list_form_and_jsonl_refer_by_number(self):
        result = self.submit([{"run": ["cat", "${inputs.x}"], "inputs": {"x": {"ref": 1}}},
                              {"run": ["printf", "hi"]}])
        self.assertEqual(self.outs(result), ["hi", "hi"])
        self.site.write("l.jsonl", '{"run": ["printf", "a"]}\n\n{"name": "é", "run": ["true"]}\n')
        self.assertEqual(self.site.submit(self.site.path("l.jsonl"), code=2).code, 2)
        self.site.write("l.jsonl", '{"run": ["printf", "a"]}\n\n'
                        '{"run": ["cat", "${inputs.x}"], "inputs": {"x": {"ref": 0}}}\n')
        self.assertEqual(self.outs(self.site.submit(self.site.path("l.jsonl"))), ["a", "a"])

    def test_cache_modes_salt_and_ttl(self):
        def once(cache, code=0, *options):
            r = self.submit({"t": {"run": ["echo", "c"], "cache": cache}}, *options, code=code)
            return r["tasks"][0]["cached"]
        self.assertFalse(once({"mode": "use"}))
        self.assertTrue(once({"mode": "use"}))
        self.assertFalse(once({"mode": "force"}))
        self.assertFalse(once({"mode": "off"}))
        self.assertFalse(once({"salt": "a"}))
        self.assertTrue(once({"salt": "a"}))
        self.assertTrue(once({"salt": "a", "ttl": "30d"}))
        self.assertFalse(once({}, 0, "--force"))

    def test_tags_retries_and_priority_are_not_identity(self):
        self.submit({"t": {"run": ["echo", "i"]}})
        result = self.submit({"u": {"run": ["echo", "i"], "tags": {"a": "b"}, "priority": 3,
                                    "timeout": "10m"}}, defaults={"retries": 2, "tags": {"c": "d"}})
        self.assert_counts(result, cached=1)

    def test_a_number_is_no_command(self):
        for run in (7, True, 1.5):
            done = self.submit({"t": {"run": run}}, code=2)
            self.assertIn("run must be a list", done.err)

    def test_folder_that_cannot_be_written_and_names_with_spaces(self):
        folder = os.path.dirname(self.site.write("read only/b.yaml",
                                 "version: 1\ntasks: {t: {run: [cat, '${inputs.f}'], "
                                 "inputs: {f: {file: 'a b.txt'}}}}\n"))
        self.site.write("read only/a b.txt", "data")
        os.chmod(folder, 0o500)
        result = self.site.submit(os.path.join(folder, "b.yaml"))
        os.chmod(folder, 0o700)
        self.assertEqual(self.out(result), "data")


if __name__ == "__main__":
    main()
