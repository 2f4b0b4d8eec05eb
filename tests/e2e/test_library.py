"""A C program of somebody else's, against libcashet as `meson install` leaves it."""

import os
import shutil
import subprocess
import unittest

from harness import BIN, SiteTest, main

BUILD = os.path.dirname(BIN)
HERE = os.path.dirname(os.path.abspath(__file__))


def sanitized():
    done = subprocess.run(["meson", "introspect", "--buildoptions", BUILD], capture_output=True,
                          text=True)
    return done.returncode or '"b_sanitize"' in done.stdout and \
        '"value": "none"' not in done.stdout.split('"b_sanitize"')[1].split("}")[0]


@unittest.skipUnless(shutil.which("meson") and shutil.which("pkg-config") and shutil.which("cc")
                     and os.path.exists(os.path.join(BUILD, "build.ninja")), "no build folder")
class Library(SiteTest):
    def install(self):
        root = self.site.path("root")
        subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", root],
                       check=True, capture_output=True)
        found = {}
        for folder, _, names in os.walk(root):
            found.update((name, os.path.join(folder, name)) for name in names)
        return root, found

    def test_program_is_built_with_pkg_config_and_runs(self):
        if sanitized():
            self.skipTest("the library of this build needs a sanitizer in the program")
        root, found = self.install()
        env = self.site.env(PKG_CONFIG_PATH=os.path.dirname(found["cashet.pc"]),
                            PKG_CONFIG_SYSROOT_DIR=root)
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "cashet"], env=env, check=True,
                               capture_output=True, text=True).stdout.split()
        program = self.site.path("program")
        subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", "-o", program,
                        os.path.join(HERE, "library.c"), *flags], check=True)
        # Not in PATH: the broker of the library's own installation is found.
        env = self.site.env(PATH="/usr/bin:/bin",
                            LD_LIBRARY_PATH=os.path.dirname(found["libcashet.so.0"]))
        rows = [f"{i} {name} completed 0.1" for i, name in enumerate(("one", "two", "three"))]
        for counts in ("total 3 executed 3 cached 0", "total 3 executed 0 cached 3"):
            done = subprocess.run([program, self.site.store], env=env, capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout.splitlines(), done.stderr),
                             (0, [counts, *rows], ""))


if __name__ == "__main__":
    main()
