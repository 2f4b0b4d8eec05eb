"""What the documents show is what happens: their commands are run, their batch files submitted.

Every fenced block of a document says what it is:
  sh           commands, run one after the other; all must succeed
  console      "$ COMMAND" lines with what they print; "..." stands for any number of lines
  yaml, json,  a batch file: it is submitted (and cancelled) on a scratch store, unless it is given
  jsonl        a name below or has no "version"
  text, c      not looked at
and may be preceded by
  <!-- file: NAME -->          it is the file NAME of the commands that follow
  <!-- exit: N -->             the last command of it ends with N
  <!-- not run: reason -->     by nobody here

The commands of one document share a folder with build/bin, examples/ and what tests/docs/ holds; in
them b7f3 and what begins with it is the newest batch, 4af0 and what begins with it the commit of
its second task, port 7410 a free one and /srv/cashet a folder of the test. A cashet-broker or
cashet-worker that serves runs beside the commands that follow. What is printed is compared but for
digests, times, rates, lines of progress, and small differences of fractions.
"""

import os
import re
import shutil
import subprocess
import unittest

from harness import BIN, PATIENCE, SiteTest, free_port, main

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
DOCUMENTS = ["README.md", "proto/PROTOCOL.md"] + sorted(
    os.path.join(folder, name)
    for folder in ("docs", *(f"examples/{e}" for e in os.listdir(os.path.join(ROOT, "examples"))))
    for name in os.listdir(os.path.join(ROOT, folder)) if name.endswith(".md"))
LANGUAGES = {"sh", "console", "yaml", "json", "jsonl", "text", "c"}
MARK = re.compile(r"<!-- (file|exit|not run): (.+?) -->$")
SERVES = re.compile(r"^((?:\w+=\S* )*)(\S*cashet-(?:broker|worker) --.*)$")


class Block:
    def __init__(self, document, line, language, text, marks):
        self.where, self.language, self.text = f"{document}:{line}", language, text
        self.file, self.exit = marks.get("file"), int(marks.get("exit", 0))
        self.skipped = "not run" in marks


def blocks_of(document):
    """The fenced blocks of a Markdown file, with the marks in front of them."""
    with open(os.path.join(ROOT, document)) as f:
        lines = f.read().split("\n")
    found, marks, at = [], {}, 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if mark := MARK.match(line):
            marks[mark[1]] = mark[2]
        elif line.startswith("```"):
            first = at
            while lines[at] != "```":
                at += 1
            found.append(Block(document, first, line[3:].strip(), "\n".join(lines[first:at]) + "\n",
                               marks))
            marks, at = {}, at + 1
        elif line.strip():
            if marks:
                raise AssertionError(f"{document}:{at}: a mark without a block behind it")
    return found


def commands_of(block):
    """Pairs of a command and the lines that it prints; None where nothing is said of them."""
    pairs = []
    lines = block.text.rstrip("\n").split("\n")
    while lines:
        line = lines.pop(0)
        shown = block.language == "sh"
        if not shown and not line.startswith("$ "):
            pairs[-1][1].append(line)
            continue
        line = line if shown else line[2:]
        while line.endswith("\\") and lines:
            line = line[:-1] + lines.pop(0).lstrip("> ")
        if line.strip() and not line.lstrip().startswith("#"):
            pairs.append((line, None if shown else []))
    return pairs


# ---- what is printed

PROGRESS = re.compile(r"^HASH (\d+)/(\d+)\b")
CHATTER = re.compile(r"^(waiting: |the broker is gone)")  # what a slow machine may have to say
NORMAL = ((re.compile(r"\b[0-9a-f]{8,64}\b|\bb7f3\w*|\b4af0\w*"), "HASH"),  # one in 2500 has no digit
          (re.compile(r"\b\d+[smhd] ago\b"), "AGO"),
          (re.compile(r"\b\d+(\.\d+)?(ms|s)\b|\b\d+[mh]\d\d[sm]\b"), "TIME"),
          (re.compile(r"\b\d+(\.\d+)?/s\b"), "RATE"),
          (re.compile(r"\beta \d[\d:]*"), "ETA"), (re.compile(r" RATE +ETA$"), ""))


def normal(text):
    lines = []
    for line in text.rstrip("\n").split("\n"):
        for pattern, name in NORMAL:
            line = pattern.sub(name, line)
        line = " ".join(line.split())
        progress = PROGRESS.match(line)
        if CHATTER.match(line) or progress and (progress[1] != progress[2] or lines[-1:] == [line]):
            continue
        lines.append(line)
    return lines


def same_word(a, b):
    if a == b:
        return True
    try:
        x, y = float(a), float(b)
    except ValueError:
        return False
    return "." in a + b and abs(x - y) <= 0.3 * max(abs(x), abs(y))


def same_line(a, b):
    a, b = a.split(), b.split()
    return len(a) == len(b) and all(map(same_word, a, b))


def matches(shown, printed):
    """Whether `printed` is what a document shows, "..." for any lines."""
    if not shown:
        return not printed
    if shown[0] == "...":
        return any(matches(shown[1:], printed[i:]) for i in range(len(printed) + 1))
    return bool(printed) and same_line(shown[0], printed[0]) and matches(shown[1:], printed[1:])


# ---- the folder of a document

class Folder:
    def __init__(self, site):
        self.site, self.port = site, str(free_port())
        self.servers = 0
        os.mkdir(site.path("build"))
        os.symlink(BIN, site.path("build/bin"))
        shutil.copytree(os.path.join(ROOT, "tests/docs"), site.dir, dirs_exist_ok=True)
        shutil.copytree(os.path.join(ROOT, "examples"), site.path("examples"))
        shutil.copy(os.path.join(ROOT, "examples/digits/digits.csv.gz"), site.dir)
        site.write("sweep.yaml", next(b.text for b in blocks_of("README.md") if b.language == "yaml"))
        site.variables = {"CASHET_PRIVATE_IDLE": "600", "PYTHONDONTWRITEBYTECODE": "1",
                          "PATH": BIN + os.pathsep + os.environ["PATH"]}

    def real(self, command):
        """The command with what the document can only give an example of."""
        command = re.sub(r"(?<=tcp://)([^ :]+):7410", rf"\1:{self.port}", command)
        command = command.replace("/srv/cashet", self.site.path("srv"))
        if not re.search(r"\b(b7f3|4af0)", command):
            return command
        batch = self.site.run("ps", "-a", "--json").json["batches"][0]["batch"]
        command = re.sub(r"\bb7f3[0-9a-f]*", batch[:8], command)
        if "4af0" in command:
            task = self.site.run("results", batch, "--json").json["tasks"][1]
            command = re.sub(r"\b4af0[0-9a-f]*", task["commit"][:8], command)
        return command

    def run(self, command):
        """Exit code, and both outputs in one as on a terminal."""
        command = self.real(command)
        if serves := SERVES.match(command):
            self.servers += 1
            command = f"{serves[1]}{serves[2].split('#')[0]} >server-{self.servers}.log 2>&1 &"
        done = subprocess.run(["bash", "-c", self.remembered(command)], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              cwd=self.site.dir, env=self.site.env(), timeout=4 * PATIENCE)
        return done.returncode, done.stdout

    def remembered(self, command):
        """Variables that a line sets are there in the next."""
        state = self.site.path("variables")
        return f"set -a; test ! -e {state} || . {state}\n{command}\nr=$?\n" \
               f"set | grep -E '^[A-Z][A-Z_]*=' | grep -vE '^(BASH|EUID|PPID|UID|SHELLOPTS|IFS)' >{state}; exit $r"


class Documents(SiteTest):
    def run_block(self, folder, block):
        commands = commands_of(block)
        for number, (command, shown) in enumerate(commands):
            code, printed = folder.run(command)
            wanted = block.exit if number == len(commands) - 1 else 0
            what = f"{block.where}: {command}\n{printed}"
            self.assertEqual(code, wanted, what)
            if shown is not None:
                shown, printed = normal("\n".join(shown)), normal(printed)
                self.assertTrue(matches([s for s in shown if s], [p for p in printed if p]),
                                what + "\n--- shown\n" + "\n".join(shown))

    def submit_block(self, folder, block):
        name = f"block.{block.language}"
        folder.site.write(name, block.text)
        done = folder.site.run("submit", "-d", name, "--store", "scratch")
        self.assertEqual(done.code, 0, f"{block.where}\n{done.err}")
        folder.site.run("cancel", done.out.strip(), "--store", "scratch")

    def check(self, document):
        folder = Folder(self.site)
        for block in blocks_of(document):
            with self.subTest(block=block.where):
                self.assertIn(block.language, LANGUAGES, f"{block.where}: which kind of block?")
                if block.skipped:
                    continue
                if block.file:
                    self.site.write(block.file, block.text)
                elif block.language in ("sh", "console"):
                    self.run_block(folder, block)
                elif block.language in ("yaml", "json", "jsonl") and (
                        "version" in block.text or block.language == "jsonl"):
                    self.submit_block(folder, block)


def add_tests():
    for document in DOCUMENTS:
        def test(self, document=document):
            self.check(document)
        setattr(Documents, "test_" + re.sub(r"\W", "_", document), test)


class Reference(SiteTest):
    """docs/cli.md, and all documents together, against what the programs say of themselves."""

    def help(self, *words):
        return self.site.run("help", *words).out

    def commands(self):
        listed = self.help().split("\ncommands\n")[1].split("\n\n")[0]
        names = re.findall(r"(?m)^  ((?:worker|broker|key) [a-z]+|[a-z]+)", listed)
        self.assertGreater(len(names), 30)
        return names

    def test_it_names_every_command_and_every_option(self):
        with open(os.path.join(ROOT, "docs/cli.md")) as f:
            text = f.read()
        for name in self.commands():
            with self.subTest(command=name):
                self.assertRegex(text, rf"`{name}[ `\[]")
                for option in re.findall(r"(?m)^  (?:-\w, |    )--([a-z-]+)", self.help(*name.split())):
                    self.assertRegex(text, rf"--{option}\b")

        for program in ("cashet-broker", "cashet-worker"):
            section = text.split(f"### `{program}`")[1].split("\n#")[0]
            shown = self.site.run("--help", program=program).out
            for option in re.findall(r"(?m)^  --([a-z-]+)", shown):
                if option not in ("help", "version"):
                    self.assertRegex(section, rf"`--{option}\b", program)

    def test_every_command_is_run_by_some_document(self):
        run = "\n".join(command for d in DOCUMENTS for b in blocks_of(d)
                        if b.language in ("sh", "console") and not b.skipped
                        for command, _ in commands_of(b))
        self.assertEqual([n for n in self.commands()
                          if not re.search(rf"\bcashet {n}\b", run)], [])


class Comparison(unittest.TestCase):
    """The comparison can fail."""

    def same(self, shown, printed):
        return matches(normal(shown), normal(printed))

    def test_what_varies_is_the_same_and_what_does_not_is_not(self):
        self.assertTrue(self.same("352afd66:1  0.28s  ffc57aa6", "00000001:1  95.1ms  0123abcd"))
        self.assertTrue(self.same("a\n...\nz", "a\nb\nc\nz"))
        self.assertTrue(self.same("0.0885", "0.0886"))
        self.assertTrue(self.same("352afd66:1", "deadbeef:1"))
        self.assertTrue(self.same("352afd66  3/3", "352afd66  3/3  6.1/s  eta 0:00\n352afd66  3/3"))
        self.assertTrue(self.same("352afd66  3/3", "352afd66  1/3  running 2  6.1/s\n352afd66  3/3"))
        for shown, printed in (("a\n...\nz", "a\nb"), ("0.09", "0.9"), ("3", "4"), ("a", "a\nb"),
                               ("38 tasks: 38 cached", "38 tasks: 37 cached, 1 executed"),
                               ("352afd66:1", "352afd66:2"), ("a  b", "a  c")):
            self.assertFalse(self.same(shown, printed), (shown, printed))


add_tests()

if __name__ == "__main__":
    main()
