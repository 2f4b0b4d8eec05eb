"""Completion in the shells themselves, and manual pages read by what reads manual pages."""

import contextlib
import glob
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import unittest

from harness import BIN, PATIENCE, Site, main, until

MADE = os.path.join(BIN, "..", "docs")  # what the build makes and installs
SWEEP = """version: 1
tasks:
  t:
    run: 'echo "{\\"loss\\": ${p.x}}" > m.json'
    sweep: {params: {x: [1, 2, 3]}}
    metrics: {from: m.json, best: {loss: min}}
    tags: {experiment: v3}
"""


def needs(program):
    return unittest.skipUnless(shutil.which(program), f"there is no {program}")


class Shell:
    """An interactive shell on a terminal of its own."""

    def __init__(self, argv, site):
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(site.dir)
            os.execvpe(argv[0], argv, site.env(TERM="dumb", PATH=BIN + ":" + os.environ["PATH"]))

    def text(self):
        while select.select([self.fd], [], [], 0.02)[0]:
            try:
                self.seen += os.read(self.fd, 65536)
            except OSError:
                break
        return re.sub(r"\x1b\[[?0-9;]*[A-Za-z]|\a|\r", "", self.seen.decode(errors="replace"))

    def type(self, text):
        os.write(self.fd, text.encode())

    def expect(self, pattern, what, patience=PATIENCE):
        until(lambda: re.search(pattern, self.text()), f"{what}; there is:\n{self.text()[-2000:]}", patience)

    def becomes(self, line, pattern):
        """After TAB at the end of `line` the terminal shows `pattern`. On a busy machine that takes longer
        than `complete` waits, now and then: a person presses the key again, and so do we."""
        for _ in range(4):
            self.type("\x15\x0becho nothing\n")
            self.expect(r"\nnothing\n", "an empty line")
            self.seen = b""
            self.type(line + "\t")
            with contextlib.suppress(AssertionError):
                return self.expect(pattern, f"{line!r} to become {pattern!r}", PATIENCE / 4)
        raise AssertionError(f"{line!r} did not become {pattern!r} but\n{self.text()}")

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


class Completion(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.site = Site(cls)
        cls.addClassCleanup(cls.site.close)
        cls.site.variables["CASHET_PRIVATE_IDLE"] = "600"
        cls.site.write("sweep.yaml", SWEEP)
        result = cls.site.submit("sweep.yaml")
        cls.batch = result["batch"][:8]
        cls.commit = result["tasks"][1]["commit"]
        cls.site.run("pin", cls.commit, "--name", "zebra")
        # A prefix that no batch and no other commit has: what follows is decided.
        others = [result["batch"]] + [t["commit"] for t in result["tasks"] if t["commit"] != cls.commit]
        cls.prefix = next(cls.commit[:n] for n in range(1, 65)
                          if not any(o.startswith(cls.commit[:n]) for o in others))

    def cases(self):
        """Lines, and what they become; the rest is what several candidates have in common."""
        commit = self.commit[:max(8, len(self.prefix))]
        return ((f"cashet sub", r"cashet submit "),
                ("cashet worker l", r"worker ls "),
                ("cashet submit --dry", r"--dry-run "),
                ("cashet submit --format=jsonl", r"=jsonl "),
                ("cashet submit sw", r"sweep\.yaml "),
                (f"cashet get {self.prefix}", rf"cashet get {commit} "),
                ("cashet get ze", r"get zebra "),
                ("cashet --store .cashet unpin ze", r"unpin zebra "),
                (f"cashet logs {self.batch[:6]}", rf"logs {self.batch}:"),
                (f"cashet logs {self.batch}:1", rf"logs {self.batch}:1 "),
                ("cashet best --by lo", r"--by loss "),
                ("cashet results --param x", r"--param x "),
                ("cashet log --tag exp", r"--tag experiment=v3 "),
                (f"cashet diff zebra {self.prefix}", rf"zebra {commit} "),
                ("cashet help fs", r"help fsck "),
                ("cashet-submit --deta", r"--detach "),
                ("cashet-broker stat", r"broker status "),
                ("cashet-worker --log-level de", r"--log-level debug "))

    def check(self, shell, cases):
        self.addCleanup(shell.close)
        for line, pattern in cases:
            with self.subTest(line=line):
                shell.becomes(line, pattern)

    @needs("bash")
    def test_bash(self):
        shell = Shell(["bash", "--norc", "--noprofile", "-i"], self.site)
        shell.type(f"bind 'set bell-style none'; . {MADE}/cashet.bash; PS1='> '\n")
        self.check(shell, self.cases())

    @needs("zsh")
    def test_zsh(self):
        shell = Shell(["zsh", "-f", "-i"], self.site)
        shell.type(f"PS1='> '; unsetopt zle_bracketed_paste; fpath=({MADE} $fpath); autoload -U compinit; compinit -u -D\n")
        self.check(shell, self.cases())

    @needs("fish")
    def test_fish(self):
        for line, pattern in self.cases():
            def offered():
                done = subprocess.run(
                    ["fish", "--no-config", "-c", f"source {MADE}/cashet.fish; complete -C \"$argv\"", line],
                    env=self.site.env(PATH=BIN + ":" + os.environ["PATH"]), cwd=self.site.dir,
                    stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
                self.assertEqual(done.stderr, "")
                words = [c.split("\t")[0] for c in done.stdout.splitlines()]
                before = line.rpartition(" ")[0]
                return any(re.search(pattern, f"{before} {w} ") for w in words)

            with self.subTest(line=line):
                until(offered, f"{line} to become {pattern}")

    def test_scripts_are_what_the_command_prints(self):
        for shell, name in (("bash", "cashet.bash"), ("zsh", "_cashet"), ("fish", "cashet.fish")):
            with open(os.path.join(MADE, name)) as f:
                self.assertEqual(self.site.run("completion", shell).out, f.read())
        self.assertEqual(self.site.run("completion", "tcsh").code, 2)

    def test_asking_starts_nothing_and_says_nothing_where_nothing_is(self):
        for kind in ("batch", "task", "batch-or-task", "commit", "pin", "func", "tag", "param",
                     "metric", "output", "input", "worker", "worker-key", "key", "unheard-of"):
            done = self.site.run("complete", "--", kind, "", "cashet", "--store", "nowhere")
            self.assertEqual((done.code, done.out, done.err), (0, "", ""), kind)
        self.assertFalse(os.path.exists(self.site.path("nowhere")))
        until(lambda: self.batch in self.site.run("complete", "--", "batch", "").out, "the batch")
        pid = self.site.run("broker", "status", "--json").json["pid"]
        os.kill(pid, signal.SIGTERM)
        until(lambda: not os.path.exists(self.site.path(".cashet/run/broker.sock")), "the broker to end")
        self.assertIn(self.batch, self.site.run("complete", "--", "batch", "").out)
        self.assertEqual(self.site.run("complete", "--", "worker", "").out, "")
        self.assertFalse(os.path.exists(self.site.path(".cashet/run/broker.sock")))


class ManualPages(unittest.TestCase):
    def pages(self):
        pages = sorted(glob.glob(os.path.join(MADE, "*.1")))
        self.assertGreater(len(pages), 30)
        return pages

    @needs("mandoc")
    def test_mandoc_has_nothing_to_say(self):
        done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *self.pages()],
                              capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    @needs("groff")
    def test_groff_has_nothing_to_say(self):
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", *self.pages()],
                              capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    @needs("mandoc")
    def test_text_comes_out_as_it_went_in(self):
        page = os.path.join(MADE, "cashet-key-trust.1")
        text = subprocess.run(["mandoc", "-T", "ascii", page], capture_output=True, text=True,
                              timeout=PATIENCE).stdout
        text = re.sub(r".\x08", "", text)
        self.assertIn("cashet key trust 'PUBKEY' --role worker --name node-1", text)
        self.assertIn("~/.config/cashet", text)


if __name__ == "__main__":
    main()
