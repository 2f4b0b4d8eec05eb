"""What `meson install` leaves: C programs of somebody else's against libcashet, manual pages, completion."""

import os
import shutil
import subprocess
import tempfile
import unittest

from harness import BIN, SiteTest, main

BUILD = os.path.dirname(BIN)
HERE = os.path.dirname(os.path.abspath(__file__))

FUNCTIONS = """import math
POWER = 2


def norm(xs, *, scale=1.0):
    return scale * math.sqrt(sum(x ** POWER for x in xs))


def add(a, b):
    return a + b


def size(file):
    return file.stat().st_size
"""


def sanitized():
    done = subprocess.run(["meson", "introspect", "--buildoptions", BUILD], capture_output=True,
                          text=True)
    return done.returncode or '"b_sanitize"' in done.stdout and \
        '"value": "none"' not in done.stdout.split('"b_sanitize"')[1].split("}")[0]


@unittest.skipUnless(shutil.which("meson") and shutil.which("pkg-config") and shutil.which("cc")
                     and os.path.exists(os.path.join(BUILD, "build.ninja")), "no build folder")
class Library(SiteTest):
    @classmethod
    def setUpClass(cls):
        cls.root = tempfile.mkdtemp(prefix="cashet-e2e-root-")
        cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
        subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", cls.root],
                       check=True, capture_output=True)
        cls.found = {}
        for folder, _, names in os.walk(cls.root):
            cls.found.update((name, os.path.join(folder, name)) for name in names)

    def build(self, source):
        if sanitized():
            self.skipTest("the library of this build needs a sanitizer in the program")
        env = self.site.env(PKG_CONFIG_PATH=os.path.dirname(self.found["cashet.pc"]),
                            PKG_CONFIG_SYSROOT_DIR=self.root)
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "cashet"], env=env, check=True,
                               capture_output=True, text=True).stdout.split()
        program = self.site.path("program")
        subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", "-o", program, source, *flags], check=True)
        return program

    def env(self):
        """Not in PATH: the broker of the library's own installation is found."""
        return self.site.env(PATH="/usr/bin:/bin",
                             LD_LIBRARY_PATH=os.path.dirname(self.found["libcashet.so.0"]))

    def test_manual_pages_and_completion_are_where_they_are_looked_for(self):
        for name, folder in (("cashet.1", "share/man/man1"), ("cashet-worker-ls.1", "share/man/man1"),
                             ("cashet-broker.1", "share/man/man1"),
                             ("cashet.bash", "share/bash-completion/completions"),
                             ("_cashet", "share/zsh/site-functions"),
                             ("cashet.fish", "share/fish/vendor_completions.d"),
                             ("cashet-submit.fish", "share/fish/vendor_completions.d")):
            self.assertTrue(self.found[name].endswith(f"{folder}/{name}"), self.found[name])
        for program in ("cashet", "cashet-submit", "cashet-broker", "cashet-worker"):
            link = os.path.join(os.path.dirname(self.found["cashet.bash"]), program)
            self.assertEqual(os.readlink(link), "cashet.bash")

    def test_program_is_built_with_pkg_config_and_runs(self):
        program, env = self.build(os.path.join(HERE, "library.c")), self.env()
        rows = [f"{i} {name} completed 0.1" for i, name in enumerate(("one", "two", "three"))]
        for counts in ("total 3 executed 3 cached 0", "total 3 executed 0 cached 3"):
            done = subprocess.run([program, self.site.store], env=env, capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout.splitlines(), done.stderr),
                             (0, [counts, *rows], ""))

    def test_everything_that_can_be_asked_of_a_store_and_done_for_it(self):
        program = self.build(os.path.join(HERE, "..", "..", "examples", "library", "look.c"))
        done = subprocess.run([program, self.site.store, self.site.path("archive")], env=self.env(),
                              capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        lines = done.stdout.splitlines()
        self.assertRegex(lines.pop(6), "^why: ran, (first|changed)$")  # which try ran first?
        self.assertEqual(lines, """\
dry run: 4 tasks, 0 hits
done: 4 of 4
groups: 1, the mean of 3 is 2, their spread 1
best: task 1, loss 1
its result: 1
show: try, completed, tag experiment=e1
diff: x 1.0 -> 3.0
history: 1 run
lineage: 4 commits, the first has 3 parts from 3 of them
log: 3 of try, of 4 in all
pin: winner
export: 4 commits
invalidate: 3 commits
rm: 1 commit
import: 1 new, 3 known
clear would remove: 3 results
gc: 3 results
fsck: 0 problems
not found: 5, "no-such-pin" is neither a pin nor 4 or more digits of a hash""".splitlines())

    def test_calls_of_functions_by_source(self):
        program = self.build(os.path.join(HERE, "..", "..", "examples", "library", "call.c"))
        functions = self.site.write("functions.py", FUNCTIONS)
        done = subprocess.run([program, self.site.store, functions], env=self.env(),
                              capture_output=True, text=True, cwd="/")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertEqual(done.stdout.splitlines(), f"""\
norm(xs, *, scale=1.0), 2 definitions, 0 warnings
executed 4, cached 0
0 completed 5.0
1 completed 2.5
2 completed 7.5
3 completed {len(FUNCTIONS)}
4 failed TypeError: unsupported operand type(s) for +: 'float' and 'str'
executed 3, cached 0
0 completed 1000
1 completed 1001
2 completed 1002""".splitlines())


if __name__ == "__main__":
    main()
