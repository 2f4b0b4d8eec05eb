"""What a batch file means never changes: its fingerprints are derived here from docs/store.md alone, and
some are written out. What is in meta.db is what that document says."""

import hashlib
import os
import sqlite3
import sys
import unittest

from harness import SiteTest, main

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden"))
import forms  # noqa: E402

BATCH = """
version: 1
tasks:
  prep:
    run: [sh, code/run.sh, "${outputs.o}", "${inputs.src}"]
    code: [{path: run.sh, as: code/run.sh}]
    inputs: {src: {file: src.txt}, dir: {file: folder}}
    outputs: {o: out/o.txt}
    env: {B: "2", A: "x"}
    cache: {salt: "s"}
  values:
    run: "echo ${p.v} ${p.a}"
    sweep:
      params:
        v: [1, 1.0, "1", true, -5, 1e-5, 9223372036854775808, 0.1, "no", "\\u00e4", -0.0]
        a: [x]
  reads:
    run: "cat ${inputs.one} ${inputs.many}"
    inputs: {one: {ref: prep.o}, many: {ref: "values.*"}}
"""

VALUES = [{"int": "1"}, {"float": "1.0"}, {"text": "1"}, {"bool": True}, {"int": "-5"},
          {"float": "1e-05"}, {"int": "9223372036854775808"}, {"float": "0.1"}, {"text": "no"},
          {"text": "ä"}, {"float": "-0.0"}]

FROZEN = {  # by index: so they have been in stores since the first version
    0: "68e361c61a51099ea97772d045701b6c6bcd9eea933f96595c300276201709f9:"
       "1668e296d7eac2638a892e9d11212e5cb0cbb7642773ec2c57a7d22eede39c20",
    1: "cab3242900ca61e669ab627d7fd74d43ef5705fb903a97287add81b874ef6fd6:"
       "eb3c22f65be2b3f160ff49badd8c9bed87f553d250fdb93292a5fd565d366da5",
    2: "cab3242900ca61e669ab627d7fd74d43ef5705fb903a97287add81b874ef6fd6:"
       "a0ede26724fcfb264671c067c56e71e7b060a23e87b7777c8607786edd630347",
    8: "cab3242900ca61e669ab627d7fd74d43ef5705fb903a97287add81b874ef6fd6:"
       "55eb271b30469cb38b30becd7ee099ffa902bc265c59ca9adcdd7d482ad35877",
    12: "5e7f562c29d789f0fed92bc2de89a257e0ccfa6afb088a5882bc203c7c9d6962:"
       "2afe8d3004d1450f0000796be27b0cdaf936c1688b777383be17a0437e1ca2d8",
}


def sha(data):
    return hashlib.sha256(data).hexdigest()


def content(kind, data):
    return {"type": kind, "digest": sha(data)}


def function(**given):
    return forms.function(dict(dict(argv=None, shell=None, env={}, params=[], inputs=[], outputs=[],
                                    metrics=None, salt=None, code=[]), **given))


class Identity(SiteTest):
    def setUp(self):
        super().setUp()
        self.site.broker()
        self.site.worker(wait=True)
        self.site.write("src.txt", "source\n")
        self.site.write("run.sh", "#!/bin/sh\nmkdir -p out; cat $2 > $1\n", mode=0o755)
        self.site.write("folder/sub/x", "x")
        self.site.write("folder/y", "yy", mode=0o755)
        self.result = self.site.submit(self.site.write("b.yaml", BATCH))
        self.tasks = self.result["tasks"]

    def expect(self, task, func, args):
        self.assertEqual(task["fingerprint"], f"{sha(func)}:{sha(args)}", task["name"])

    def test_fingerprints_are_what_the_documents_say(self):
        tree = forms.tree([dict(path="sub/x", type="file", size=1, digest=sha(b"x")),
                           dict(path="y", type="exec", size=2, digest=sha(b"yy"))])
        script = b"#!/bin/sh\nmkdir -p out; cat $2 > $1\n"
        self.expect(self.tasks[0], function(
            argv=["sh", "code/run.sh", "${outputs.o}", "${inputs.src}"],
            env={"A": "x", "B": "2"}, inputs=["src", "dir"],
            outputs=[dict(name="o", path="out/o.txt")], salt="s",
            code=[dict(path="code/run.sh", executable=True, digest=sha(script))]),
            forms.args(dict(values=[], inputs=[
                dict(name="folder", content=content("tree", tree)),
                dict(name="src.txt", content=content("file", b"source\n"))])))
        for task, value in zip(self.tasks[1:12], VALUES):
            self.expect(task, function(shell="echo ${p.v} ${p.a}", params=["v", "a"]),
                        forms.args(dict(values=[{"text": "x"}, value], inputs=[])))
        printed = [self.site.run("get", t["commit"]).out.encode() for t in self.tasks[1:12]]
        self.expect(self.tasks[12], function(
            shell="cat ${inputs.one} ${inputs.many}", inputs=["one", "many"]),
            forms.args(dict(values=[], inputs=[
                dict(name="stdout", content=content("list", forms.list_of(
                    [content("file", p) for p in printed]))),
                dict(name="o.txt", content=content("file", b"source\n"))])))

    def test_some_fingerprints_are_written_out(self):
        for index, fingerprint in FROZEN.items():
            self.assertEqual(self.tasks[index]["fingerprint"], fingerprint)

    def test_the_journal_holds_what_the_documents_say(self):
        db = sqlite3.connect(f"file:{self.site.store}/meta.db?mode=ro", uri=True)
        self.addCleanup(db.close)
        commits = db.execute("SELECT hash, body FROM commits").fetchall()
        self.assertEqual(len(commits), len(self.tasks))
        for name, body in commits:
            self.assertEqual(hashlib.sha256(body).digest(), name)
        self.assertEqual({name.hex() for name, _ in commits}, {t["commit"] for t in self.tasks})
        for batch, key, request in db.execute("SELECT id, client_key, request FROM batches"):
            self.assertEqual(batch.hex(), self.result["batch"])
            self.assertEqual(hashlib.sha256(key + request).digest(), batch)


if __name__ == "__main__":
    main()
