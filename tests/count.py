#!/usr/bin/env python3
"""Add up a run of meson test: prints "N passed, N failed", exits 1 if anything failed or nothing ran.

A test program of many cases says how many in its output (Criterion's synthesis, the last lines of
Python's unittest, or a line "N passed, N failed"); any other test counts as one. A program that ends badly although its cases passed (a leak,
a time-out) counts as one failure more.
"""
import json
import re
import sys

CRITERION = re.compile(r"Synthesis: Tested: (\d+) \| Passing: (\d+) \| Failing: (\d+) \| Crashing: (\d+)")
UNITTEST = re.compile(r"^Ran (\d+) tests? in .*\n\n(?:OK|FAILED)(?: \((.*)\))?$", re.MULTILINE)
PLAIN = re.compile(r"^(\d+) passed, (\d+) failed$", re.MULTILINE)


def count(test):
    """Return (passed, failed) of one entry of testlog.json."""
    if test["result"] == "SKIP":
        return 0, 0
    good = test["result"] in ("OK", "EXPECTEDFAIL")
    output = (test.get("stdout") or "") + (test.get("stderr") or "")
    output = re.sub(r"\x1b\[[0-9;]*m", "", output)
    if found := CRITERION.search(output):
        tested, passed = int(found[1]), int(found[2])
        failed = tested - passed
    elif found := UNITTEST.search(output):
        notes = dict(note.split("=") for note in (found[2] or "").split(", ") if note)
        failed = sum(int(notes.get(word, 0)) for word in ("failures", "errors", "unexpected successes"))
        passed = int(found[1]) - failed - int(notes.get("skipped", 0))
    elif found := PLAIN.findall(output):
        passed, failed = map(int, found[-1])
    else:
        return (1, 0) if good else (0, 1)
    return passed, failed + (not good and failed == 0)


def main():
    passed = failed = 0
    try:
        with open(sys.argv[1], encoding="utf-8") as log:
            for line in log:
                test_passed, test_failed = count(json.loads(line))
                passed += test_passed
                failed += test_failed
    except FileNotFoundError:
        pass  # nothing ran
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
