"""The canonical forms of cashet, written from docs/store.md alone, in Python's standard library: what the
programs write must be these bytes. Readable values in, bytes out.

Deterministic CBOR (RFC 8949, 4.2.1): shortest heads; floats in the shortest of 16, 32, 64 bits that keeps
the value; keys of maps are text, shorter first, then by bytes.
"""

import hashlib
import math
import struct

FILE, EXEC, TREE, LIST, RESULT, EXTERN, DIR, JSON, PICKLE = 1, 2, 3, 4, 5, 6, 7, 8, 9
FUNCTION = 16  # in archives only
TYPES = {"none": 0, "file": FILE, "exec": EXEC, "tree": TREE, "list": LIST, "result": RESULT,
         "extern": EXTERN, "dir": DIR, "json": JSON, "pickle": PICKLE}


def sha256(data):
    return hashlib.sha256(data).digest()


# ---- CBOR ----

def head(major, value):
    for limit, extra, form in ((24, None, ""), (1 << 8, 24, ">B"), (1 << 16, 25, ">H"),
                               (1 << 32, 26, ">I"), (1 << 64, 27, ">Q")):
        if value < limit:
            if extra is None:
                return bytes([major << 5 | value])
            return bytes([major << 5 | extra]) + struct.pack(form, value)
    raise ValueError(value)


def double(value):
    if math.isnan(value):
        return b"\xf9\x7e\x00"
    for first, form in ((0xf9, ">e"), (0xfa, ">f")):
        try:
            short = struct.pack(form, value)
        except OverflowError:
            continue
        if struct.pack(">d", struct.unpack(form, short)[0]) == struct.pack(">d", value):
            return bytes([first]) + short
    return b"\xfb" + struct.pack(">d", value)


class Map(dict):
    """Text to text."""


def cbor(value):
    if value is None:
        return b"\xf6"
    if value is True or value is False:
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, float):
        return double(value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        data = value.encode()
        return head(3, len(data)) + data
    if isinstance(value, Map):
        keys = sorted(value, key=lambda k: (len(k.encode()), k.encode()))
        return head(5, len(keys)) + b"".join(cbor(k) + cbor(value[k]) for k in keys)
    return head(4, len(value)) + b"".join(map(cbor, value))


def placeholder(content):
    """{"type": "file", "digest": hex} to 33 bytes."""
    return bytes([TYPES[content["type"]]]) + bytes.fromhex(content["digest"])


def by_bytes(key):
    return lambda item: item[key].encode()


# ---- arguments ----

def value(v):
    """{"int": "9223372036854775808"}, {"float": "-0.0"}, {"bool": true}, {"text": "1"}."""
    (kind, what), = v.items()
    return {"int": int, "float": float, "bool": bool, "text": str}[kind](what)


def args(a):
    """[1, [VALUE, ...], [[NAME, PLACEHOLDER], ...]]"""
    return cbor([1, [value(v) for v in a["values"]],
                 [[i["name"], placeholder(i["content"])] for i in a["inputs"]]])


def call_value(v):
    """As above, and {"null": true}, {"bytes": hex}, {"list": [...]}, {"map": {...}}, {"ref": CONTENT},
    {"file": NAME, "content": CONTENT}."""
    if "content" in v:
        return [4, v["file"], placeholder(v["content"])]
    (kind, what), = v.items()
    if kind == "list":
        return [1] + [call_value(x) for x in what]
    if kind == "map":
        return [2, Map({k: call_value(x) for k, x in what.items()})]
    return {"null": lambda: None, "bytes": lambda: bytes.fromhex(what),
            "ref": lambda: [3, placeholder(what)]}.get(kind, lambda: value(v))()


def call_args(a):
    """[2, [VALUE, ...], {NAME: VALUE}]"""
    return cbor([2, [call_value(v) for v in a["positional"]],
                 Map({k: call_value(v) for k, v in a["keywords"].items()})])


# ---- functions ----

def code(f):
    return [[c["path"], c["executable"], c.get("scheme", 1), bytes.fromhex(c["digest"])]
            for c in sorted(f["code"], key=by_bytes("path"))]


def call(f):
    return cbor(["cashet.function", 1, f["language"], bytes.fromhex(f["identity"]), f["version"],
                 Map(f["env"]), f["salt"], code(f)])


def source(s):
    return cbor(["cashet.source", 1,
                 [[f["path"], f["executable"], f["size"], bytes.fromhex(f["digest"])]
                  for f in sorted(s["files"], key=by_bytes("path"))],
                 [[u["language"], u["path"], u["name"], bytes.fromhex(u["hash"]),
                   bytes.fromhex(u["identity"]),
                   [[p["name"], p["version"], p["counts"]] for p in u["packages"]], u["flags"],
                   [[d["label"], d["kind"], d["path"], d["line"], bytes.fromhex(d["digest"])]
                    for d in u["definitions"]]] for u in s["units"]]])


def function(f):
    run = f["argv"] if f.get("argv") is not None else f["shell"]
    return cbor(["cashet.function", 1, "command", run, Map(f["env"]),
                 sorted(f["params"], key=str.encode), sorted(f["inputs"], key=str.encode),
                 [[o["name"], o["path"]] for o in sorted(f["outputs"], key=by_bytes("name"))],
                 f["metrics"], f["salt"], code(f)])


# ---- folders, results, lists ----

def tree(entries):
    return cbor(["cashet.tree", 1,
                 [[e["path"], TYPES[e["type"]], e["size"], bytes.fromhex(e["digest"])]
                  for e in sorted(entries, key=by_bytes("path"))]])


def result(entries):
    return cbor(["cashet.result", 1,
                 [[e["name"], e["path"], TYPES[e["type"]], e["size"], bytes.fromhex(e["digest"])]
                  for e in sorted(entries, key=by_bytes("name"))]])


def list_of(members):
    return b"".join(map(placeholder, members))


# ---- commits ----

def commit(c):
    def digest(name):
        return bytes.fromhex(c[name]) if c[name] is not None else None

    def metric(m):
        return m["text"] if "text" in m else float(m["number"])

    outputs = [[o["name"], o["path"], placeholder(o["content"]), o["size"]] for o in c["outputs"]]
    return cbor([
        "cashet.commit", 1, {"completed": 0, "failed": 1}[c["status"]], c["name"],
        bytes.fromhex(c["func_hash"]), bytes.fromhex(c["args"]), digest("nonce"),
        digest("parent"), placeholder(c["result"]) if c["result"] is not None else None,
        c["result_size"], digest("stdout"), digest("stderr"), c["stdout_size"],
        c["stderr_size"], outputs, [[m["name"], metric(m)] for m in c["metrics"]],
        c["exit_code"], c["term_signal"], c["error"], c["ended_wall_ms"], c["duration_ns"],
        c["cpu_user_ns"], c["cpu_system_ns"], c["max_rss_bytes"], c["attempts"],
        c["worker_name"], bytes.fromhex(c["worker_key"]), c["epoch"], bytes.fromhex(c["batch"]),
        c["index"], c["ttl_s"], bytes.fromhex(c["options"])] +
        ([bytes.fromhex(c["source"])] if "source" in c else []))


def batch_id(b):
    return bytes.fromhex(b["client_key"]) + bytes.fromhex(b["request"])


FORMS = {"args": args, "call_args": call_args, "function": function, "call": call, "source": source,
         "tree": tree, "result": result, "list": list_of,
         "commit": commit, "batch": batch_id}


# ---- archives ----

MAGIC = b"cashet archive 1\n"


def piece(data, form=0, stored=None, claim=None):
    stored = data if stored is None else stored
    return struct.pack(">BII", form, len(stored), len(data) if claim is None else claim) + stored


class Archive:
    """Builds an archive as docs/store.md says; every method may be lied to."""

    def __init__(self, begin=True):
        self.data = self.hashed = MAGIC
        self.counts = dict(commits=0, blobs=0, absent=0, pins=0, bytes=0)
        if begin:
            self.entry("H", [0, "test"])

    def raw(self, data, hashed=True):
        self.data += data
        if hashed:
            self.hashed += data
        return self

    def entry(self, kind, what):
        payload = what if isinstance(what, bytes) else cbor(what)
        return self.raw(kind.encode() + struct.pack(">I", len(payload)) + payload)

    def blob(self, data, kind=FILE, digest=None, pieces=None, total=None):
        self.entry("B", [kind, sha256(data) if digest is None else digest])
        self.raw(piece(data) if pieces is None else pieces, hashed=False)
        self.counts["blobs"] += 1
        self.counts["bytes"] += len(data)
        return self.raw(struct.pack(">BQ", 2, len(data) if total is None else total))

    def absent(self, digest):
        self.counts["absent"] += 1
        return self.entry("A", [digest])

    def commit(self, body, digest=None, current=True, tags=()):
        self.counts["commits"] += 1
        return self.entry("C", [body, sha256(body) if digest is None else digest, current,
                                [list(t) for t in tags]])

    def pin(self, name, digest):
        self.counts["pins"] += 1
        return self.entry("P", [name, digest, 0])

    def manifest(self, **wrong):
        counts = dict(self.counts, **wrong)
        return self.entry("M", [counts[k] for k in ("commits", "blobs", "absent", "pins", "bytes")])

    def end(self, digest=None):
        digest = sha256(self.hashed) if digest is None else digest
        return self.raw(b"Z" + struct.pack(">I", 35) + cbor([digest]))

    def finish(self):
        return self.manifest().end().data


def entries(data):
    """[(kind, head, pieces and end of a blob or b"")] of a good archive."""
    assert data.startswith(MAGIC)
    at, found = len(MAGIC), []
    while at < len(data):
        kind, size = chr(data[at]), struct.unpack(">I", data[at + 1:at + 5])[0]
        what = data[at + 5:at + 5 + size]
        at += 5 + size
        start = at
        while kind == "B":
            form, stored, _ = struct.unpack(">BII", data[at:at + 9])
            at += 9
            if form > 1:
                break
            at += stored
        found.append((kind, what, data[start:at]))
    return found


def rebuild(parts):
    """The archive of these entries, with a right end."""
    a = Archive(begin=False)
    for kind, what, pieces in parts:
        if kind == "Z":
            a.end()
            continue
        a.entry(kind, what)
        a.raw(pieces[:-9], hashed=False).raw(pieces[-9:])
    return a.data
