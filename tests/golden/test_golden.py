"""The identity scheme is frozen: vectors.json holds every canonical form, in readable words, as bytes, and
as a digest. If this fails, a change would silently lose every cache there is, and make commits that
other stores cannot read. Do not mend a vector: give the new form a new scheme number.

test_golden.py GOLDEN [--write]: GOLDEN is the program of golden.c; --write adds digests to vectors that
have none yet (to add one: kind, name, and input; it must not be there before).
"""

import hashlib
import json
import os
import subprocess
import sys
import unittest

import forms

HERE = os.path.dirname(os.path.abspath(__file__))
VECTORS = os.path.join(HERE, "vectors.json")
GOLDEN = None


def load():
    with open(VECTORS) as f:
        return json.load(f)


def encode(vector):
    return forms.FORMS[vector["kind"]](vector["input"])


def ask(lines):
    out = subprocess.run([GOLDEN], input="".join(f"{kind} {data}\n" for kind, data in lines),
                         capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def numbers(value):
    """Floats as they are, however many digits a text has."""
    if isinstance(value, dict):
        return {k: repr(float(v)) if k in ("float", "number") else numbers(v)
                for k, v in value.items()}
    return [numbers(v) for v in value] if isinstance(value, list) else value


class Golden(unittest.TestCase):
    maxDiff = None

    def test_an_encoder_made_from_the_documents_gives_these_bytes(self):
        for v in load():
            with self.subTest(v["kind"], name=v["name"]):
                data = encode(v)
                self.assertEqual(data.hex(), v["bytes"])
                self.assertEqual(hashlib.sha256(data).hexdigest(), v["sha256"])

    def test_our_decoders_and_encoders_agree(self):
        vectors = [v for v in load() if v["kind"] != "batch"]
        answers = ask([(v["kind"], v["bytes"]) for v in vectors])
        self.assertEqual(len(answers), len(vectors))
        for v, a in zip(vectors, answers):
            with self.subTest(v["kind"], name=v["name"]):
                self.assertEqual(a.pop("again", None), v["bytes"])
                self.assertEqual(a.pop("sha256"), v["sha256"])
                said = a.get("entries", a)
                self.assertEqual(numbers(said), numbers(self.sorted(v)))

    @staticmethod
    def sorted(v):
        """The input in the order of the bytes."""
        what = v["input"]
        if v["kind"] in ("tree", "result"):
            key = "path" if v["kind"] == "tree" else "name"
            return sorted(what, key=forms.by_bytes(key))
        if v["kind"] == "function":
            return dict(what, params=sorted(what["params"], key=str.encode),
                        inputs=sorted(what["inputs"], key=str.encode),
                        outputs=sorted(what["outputs"], key=forms.by_bytes("name")),
                        code=sorted(what["code"], key=forms.by_bytes("path")))
        if v["kind"] == "call":
            return dict(what, code=sorted(what["code"], key=forms.by_bytes("path")))
        if v["kind"] == "source":
            return dict(what, files=sorted(what["files"], key=forms.by_bytes("path")))
        return what

    def test_nothing_but_the_canonical_bytes_is_taken(self):
        """Each form with a longer head, a byte more, a byte less, or cut anywhere."""
        lines, kinds = [], set()
        for v in load():
            data = bytes.fromhex(v["bytes"])
            if v["kind"] in ("batch", "list") or len(data) > 2000:
                continue
            kinds.add(v["kind"])
            wrong = [data + b"\0", data[:-1], b"\x98" + bytes([data[0] & 31]) + data[1:]]
            wrong += [data[:i] for i in range(0, len(data), 11)]
            lines += [(v["kind"], w.hex() or "00") for w in wrong if w != data]
        for (kind, data), a in zip(lines, ask(lines)):
            if bytes.fromhex(data)[:1] == b"\x98" and int(data[2:4], 16) >= 24:
                continue  # that head is the right one
            self.assertEqual(a, {}, f"{kind} {data}")
        self.assertEqual(kinds, set(forms.FORMS) - {"batch", "list"})

    def test_values_that_are_none_are_refused(self):
        """NaN, null, bytes, a map, an array; a number or a text in more bytes than it needs."""
        wrong = ["f97e00", "fb7ff8000000000000", "f6", "4101", "a0", "80",
                 "1801", "1900ff", "fb3ff0000000000000", "fa3f800000", "780131", "62c328", "6100"]
        for value, a in zip(wrong, ask(("args", "830181" + w + "80") for w in wrong)):
            self.assertEqual(a, {}, value)

    def test_arguments_of_calls_that_are_none_are_refused(self):
        """A float in more bytes than it needs, undefined, 64 bits without a sign, an array without a
        number, a bare map, a reference to nothing of ours, a file in a folder."""
        wrong = ["fb3ff0000000000000", "f7", "1bffffffffffffffff", "81f6", "80", "a0",
                 "82035821" + "07" + "00" * 32, "830463612f625821" + "01" + "00" * 32,
                 "8203581f" + "01" * 31]
        for value, a in zip(wrong, ask(("call_args", "830281" + w + "a0") for w in wrong)):
            self.assertEqual(a, {}, value)

    def test_every_form_and_every_kind_of_value_is_there(self):
        vectors = load()
        self.assertEqual({v["kind"] for v in vectors}, set(forms.FORMS))
        values = {k for v in vectors if v["kind"] == "args" for x in v["input"]["values"] for k in x}
        self.assertEqual(values, {"int", "float", "bool", "text"})
        types = {i["content"]["type"] for v in vectors if v["kind"] == "args"
                 for i in v["input"]["inputs"]}
        self.assertEqual(types, {"none", "file", "exec", "tree", "list", "result", "extern"})
        kinds = {k for v in vectors if v["kind"] == "call_args"
                 for x in v["input"]["positional"] for k in x}
        self.assertEqual(kinds, {"null", "bool", "int", "float", "text", "bytes", "list", "map",
                                 "ref", "file", "content"})
        self.assertEqual(len({v["sha256"] for v in vectors}), len(vectors))

    def test_names_are_unique(self):
        names = [(v["kind"], v["name"]) for v in load()]
        self.assertEqual(len(set(names)), len(names))


def write():
    vectors = load()
    for v in vectors:
        if "sha256" not in v:
            data = encode(v)
            v["bytes"], v["sha256"] = data.hex(), hashlib.sha256(data).hexdigest()
    with open(VECTORS, "w") as f:
        f.write("[\n" + ",\n".join(" " + json.dumps(v) for v in vectors) + "\n]\n")


if __name__ == "__main__":
    GOLDEN = sys.argv.pop(1)
    if "--write" in sys.argv:
        write()
    else:
        unittest.main(verbosity=2)
