"""shell: what is laid out by hand is what a worker gives to the task, to the byte."""

import json
import os
import pty
import select
import subprocess
import shutil
import time

from harness import BIN, PATIENCE, SiteTest, main, until

# Prints all that a task can see of its place: every file with mode and content, argv, variables.
LOOK = r'''
import hashlib, json, os, sys
files = {}
for folder, names, more in os.walk("."):
    for name in names + more:
        path = os.path.join(folder, name)
        if os.path.islink(path):
            files[path] = "-> " + os.readlink(path)
        elif os.path.isdir(path):
            files[path] = "folder"
        else:
            with open(path, "rb") as f:
                files[path] = f"{os.access(path, os.X_OK)} {hashlib.sha256(f.read()).hexdigest()}"
env = {k: v for k, v in os.environ.items() if k not in ("_", "SHLVL", "PWD", "OLDPWD", "LC_CTYPE")}
seen = {"files": files, "argv": sys.argv[1:], "env": env}
text = json.dumps(seen, sort_keys=True)
print(text)
if len(sys.argv) > 1 and sys.argv[1].startswith("out="):
    with open(sys.argv[1][4:], "w") as f:
        f.write(text)
'''

BATCH = """version: 1
name: lab
tasks:
  prep:
    run: 'mkdir d; echo 1 > d/a; echo 2 > "d/b c"; echo three > list; echo made'
    outputs: {folder: d, list: list}
  part: {run: [echo, "part ${p.i}"], sweep: {params: {i: [0, 1]}}}
  look:
    run: [python3, sub/look.py, "out=${outputs.seen}", "${p.text}", "${p.lr}", "${inputs.one}", "${inputs.parts}", "${inputs.parts.list}", "${inputs.all}", "${inputs.ext}", "$x * ?", "a'b\\"c"]
    code: [sub]
    params: {text: "two  words; $HOME", lr: 0.1}
    inputs: {one: {ref: prep.folder}, parts: {ref: "part.*"}, all: {ref: prep}, own: {file: own.bin}, ext: {path: EXT, as: v1}}
    outputs: {seen: deep/er/seen.json}
    env: {MINE: "${p.lr} of ${inputs.one}", WORDS: "a  b"}
"""
OWN = ("TMPDIR", "CASHET_CHECKPOINT")  # each layout has its own


class Shell(SiteTest):
    def setUp(self):
        super().setUp()
        s = self.site
        s.write("sub/look.py", LOOK)
        s.write("sub/tool", "#!/bin/sh\n", mode=0o755)
        s.write("own.bin", bytes(range(256)))
        s.write("ext/file", "outside")
        s.write("b.yaml", BATCH.replace("EXT", s.path("ext")))

    def cashet(self, *argv, code=0, **more):
        done = self.site.run(*argv, **more)
        self.assertEqual(done.code, code, f"{argv}\n{done.out}\n{done.err}")
        return done

    def submit(self):
        result = self.site.submit("b.yaml")
        self.batch, self.tasks = result["batch"], {t["name"]: t for t in result["tasks"]}
        self.look = f"{self.batch[:8]}:{self.tasks['look']['index']}"
        self.saw = json.loads(self.cashet("get", self.look).out)

    def assert_same(self, seen):
        seen = json.loads(seen) if isinstance(seen, str) else seen
        for name in OWN:
            self.assertTrue(os.path.basename(seen["env"].pop(name)))
        saw = json.loads(json.dumps(self.saw))
        for name in OWN:
            del saw["env"][name]
        self.assertEqual(seen, saw)

    def left(self):
        return [n for n in os.listdir(self.site.path("t")) if n.startswith("cashet-shell")]

    def test_a_task_run_by_hand_sees_what_it_saw_with_a_worker(self):
        self.submit()
        os.mkdir(self.site.path("t"))
        env = {"TMPDIR": self.site.path("t"), "PATH": os.environ["PATH"]}
        for what in (self.look, self.tasks["look"]["commit"][:10]):
            # The script, from a shell whose own environment is another one.
            done = self.cashet("shell", what, "-c", "MINE=no NEW=1 ../run", env=env)
            self.assert_same(done.out)
            # A program in the environment of the shell itself.
            done = self.cashet("shell", what, "-c", "cat sub/look.py > $TMPDIR/l; exec python3 "
                               "$TMPDIR/l " + " ".join("x" for _ in self.saw["argv"]), env=env)
            seen = json.loads(done.out)
            self.assertEqual((seen["files"], set(seen["env"])),
                             (self.saw["files"], set(self.saw["env"])))
        self.assertEqual(self.left(), [])

    def test_what_is_kept_can_be_run_again(self):
        self.submit()
        done = self.cashet("shell", self.look, "--dir", "lab", "--json").json
        self.assertEqual(done["index"], self.tasks["look"]["index"])
        self.assertEqual(done["argv"][:2], ["python3", "sub/look.py"])
        self.assertEqual(done["argv"][2:], self.saw["argv"])
        self.assertEqual(sorted(os.listdir(self.site.path("lab"))),
                         ["checkpoint", "run", "task", "tmp"])
        out = subprocess.run([self.site.path("lab/run")], capture_output=True, text=True,
                             cwd="/", env={"PATH": "/bin"}, check=True).stdout
        self.assert_same(out)
        with open(self.site.path("lab/task/deep/er/seen.json")) as f:
            self.assert_same(json.load(f))
        for folder in ("lab", "no/such/place"):
            self.assertIn(folder, self.cashet("shell", self.look, "--dir", folder, code=2).err)

    def test_the_exit_code_is_passed_on_and_the_folder_goes(self):
        self.submit()
        os.mkdir(self.site.path("t"))
        env = {"TMPDIR": self.site.path("t")}
        self.cashet("shell", self.look, "-c", "chmod 0 sub; exit 42", code=42, env=env)
        self.cashet("shell", self.look, "-c", "kill -9 $$", code=128 + 9, env=env)
        self.assertEqual(self.left(), [])
        self.cashet("shell", self.look, "-c", "true", "--keep", env=env)
        self.assertEqual(len(self.left()), 1)

    def test_what_cannot_be_laid_out_is_said_and_nothing_stays(self):
        os.mkdir(self.site.path("t"))
        env = {"TMPDIR": self.site.path("t")}
        self.site.write("f.yaml", """version: 1
tasks:
  bad: {run: 'echo x; exit 3'}
  after: {run: [cat, "${inputs.i}"], inputs: {i: {ref: bad}}}
""")
        batch = self.site.submit("f.yaml", code=1)["batch"]
        self.assertEqual(self.cashet("shell", f"{batch}:0", "-c", "../run", code=3, env=env).out,
                         "x\n")
        done = self.cashet("shell", f"{batch}:1", code=5, env=env)
        self.assertIn("skipped", done.err)
        self.assertIn("bad", done.err)
        self.cashet("shell", f"{batch}:2", code=5, env=env)
        self.cashet("shell", "0" * 12, code=5, env=env)
        self.cashet("shell", code=2)
        self.assertEqual(self.left(), [])

    def objects(self):
        return [os.path.join(folder, name)
                for folder, _, names in os.walk(self.site.path(".cashet/objects"))
                for name in names]

    def test_bytes_that_are_gone_are_named_and_come_back(self):
        self.site.write("own.bin", os.urandom(200000))
        self.site.write("make.sh", "head -c 200000 /dev/zero | tr '\\\\0' x > big\n")
        self.site.write("g.yaml", """version: 1
tasks:
  prep: {run: [sh, make.sh], code: [make.sh], outputs: {big: big}}
  look: {run: 'wc -c ${inputs.big} ${inputs.own}', inputs: {big: {ref: prep.big}, own: {file: own.bin}}}
""")
        result = self.site.submit("g.yaml")
        what = f"{result['batch'][:8]}:1"
        before = self.cashet("shell", what, "-c", "../run").out
        self.assertIn("400000 total", before)
        digest = result["tasks"][0]["outputs"]["big"]
        for path in self.objects():
            os.remove(path)
        done = self.cashet("shell", what, "-c", "true", code=5)
        self.assertIn("its input big", done.err)
        self.assertIn(digest[:8], done.err)
        self.assertIn("--force", done.err)
        again = self.site.submit("g.yaml", "--force")
        self.assertEqual(self.cashet("shell", what, "-c", "../run").out, before)
        self.assertEqual(again["tasks"][0]["outputs"]["big"], digest)
        self.cashet("rm", result["tasks"][1]["commit"], "-y")
        done = self.cashet("shell", what, "-c", "true", code=5)
        self.assertIn("cashet retry", done.err)

    def test_a_task_that_runs_or_waits_can_be_looked_at(self):
        self.site.write("w.yaml", """version: 1
tasks:
  first: {run: 'echo one; while ! test -e %s; do sleep 0.05; done'}
  second: {run: 'cat ${inputs.i}; touch %s; while ! test -e %s; do sleep 0.05; done', inputs: {i: {ref: first}}}
""" % (self.site.path("go1"), self.site.path("began"), self.site.path("go2")))
        batch = self.cashet("submit", "-d", "w.yaml").out.strip()
        done = self.cashet("shell", f"{batch}:1", code=5)
        self.assertIn("first", done.err)
        self.assertIn("not there yet", done.err)
        self.assertEqual(self.cashet("shell", f"{batch}:0", "-c", "ls").out, "")
        self.site.write("go1", "")
        until(lambda: os.path.exists(self.site.path("began")), "the second to run")
        self.assertEqual(self.cashet("shell", f"{batch}:1", "-c", "cat inputs/i/*").out, "one\n")
        self.site.write("go2", "")
        self.cashet("wait", batch)

    def test_secrets_are_named_and_not_laid_out(self):
        self.site.write("config/secrets/TOKEN", "hush\n", mode=0o600)
        self.site.write("s.yaml", "version: 1\ntasks: {t: {run: 'echo =$TOKEN=', "
                                  "secrets: [TOKEN]}}\n")
        batch = self.site.submit("s.yaml")["batch"]
        self.assertEqual(self.cashet("get", f"{batch}:0").out, "=hush=\n")
        done = self.cashet("shell", f"{batch}:0", "--dir", "lab", "--json")
        self.assertEqual(done.json["secrets"], ["TOKEN"])
        self.assertNotIn("hush", done.out + self.site.read("lab/run"))
        for value, seen in ({}, "=="), ({"TOKEN": "a 'b'"}, "=a 'b'="):
            out = subprocess.run([self.site.path("lab/run")], capture_output=True, text=True,
                                 env={"PATH": "/bin", **value}, check=True).stdout
            self.assertEqual(out, seen + "\n")

    def test_a_shell_on_a_terminal(self):
        self.submit()
        os.mkdir(self.site.path("t"))
        pid, fd = pty.fork()
        if pid == 0:
            os.chdir(self.site.dir)
            env = self.site.env(SHELL="/bin/sh", TMPDIR=self.site.path("t"), PS1="$ ", TERM="dumb")
            os.execve(os.path.join(BIN, "cashet"), ["cashet", "shell", self.look], env)
        text = b""

        def read(wanted):
            nonlocal text
            end = time.monotonic() + PATIENCE
            while wanted not in text:
                self.assertLess(time.monotonic(), end, text)
                if select.select([fd], [], [], 0.1)[0]:
                    try:
                        text += os.read(fd, 65536)
                    except OSError:
                        break
            self.assertIn(wanted, text)

        read(b"../run")
        os.write(fd, b"echo A$((1+1))B; pwd; echo $TERM\n")
        read(b"A2B")
        read(b"/task")
        os.write(fd, b"sh -c 'echo S$((2+2))S; exec sleep 1000'\n")
        read(b"S4S")
        os.write(fd, b"\x03")  # ends the sleep, not the shell, not us
        read(b"^C")
        os.write(fd, b"echo C$((1+2))D\n")
        read(b"C3D")
        os.write(fd, b"exit 7\n")
        _, status = os.waitpid(pid, 0)
        os.close(fd)
        self.assertEqual(os.waitstatus_to_exitcode(status), 7, text)
        self.assertEqual(self.left(), [])

    def test_on_a_cluster_the_variables_of_this_machine_are_said_to_be_its(self):
        self.site.broker()
        self.site.worker()
        self.submit()
        done = self.cashet("shell", self.look, "--json", "--dir", "lab")
        self.assertIn(f"HOME={self.site.dir}", done.json["env"])
        seen = json.loads(self.cashet("shell", self.look, "-c", "../run").out)
        self.assertEqual(seen["files"], self.saw["files"])


if __name__ == "__main__":
    main()
