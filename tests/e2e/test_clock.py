"""The wall clock steps by hours while leases run: nothing expires, nothing runs twice. Needs libfaketime
(package faketime)."""

import datetime
import glob
import json
import os
import re
import unittest

from harness import SiteTest, main, until


def faketime():
    """The library that tells programs another time; a test without it fails and says what to install."""
    for path in glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1"):
        return path
    raise AssertionError("libfaketime is not here: apt install faketime (./dev test does it)")


class Clock(SiteTest):
    def step(self, offset):
        """From now on the programs believe that it is @offset later."""
        self.site.write("time.new", offset + "\n")
        os.rename(self.site.path("time.new"), self.site.path("time"))

    def setUp(self):
        super().setUp()
        self.step("+0")
        # The sanitizers' runtime does not mind a library before it; the monotonic clock is true.
        asan = ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0")))
        self.prefix = ["env", f"LD_PRELOAD={faketime()}", "FAKETIME_DONT_FAKE_MONOTONIC=1",
                       "FAKETIME_NO_CACHE=1", f"FAKETIME_TIMESTAMP_FILE={self.site.path('time')}",
                       f"ASAN_OPTIONS={asan}"]

    def beat(self):
        """Wait until the worker is heard again."""
        seen = lambda: self.site.workers()[0]["seen_ms_ago"]
        last = [seen()]
        until(lambda: last.append(seen()) or last[-1] < last[-2], "a heartbeat")

    def test_steps_of_an_hour_expire_no_lease(self):
        broker = self.site.broker(prefix=self.prefix)
        self.site.worker("node-1", 4, prefix=self.prefix, wait=True)
        ran, go = self.site.path("ran"), self.site.path("go")
        submit = self.site.start_submit(self.site.write("b.yaml", f"""
version: 1
tasks:
  t:
    run: "echo ${{p.i}} >> {ran}; while ! test -e {go}; do sleep 0.05; done; echo done"
    timeout: 50m
    sweep: {{params: {{i: [1, 2, 3]}}}}
"""))
        until(lambda: len(self.ran()) == 3, "all to run")
        for offset in ("+1h", "-1h", "+2h"):
            self.step(offset)
            self.beat()
            batch = self.site.write("n.json", json.dumps({"version": 1, "tasks": {
                "n": {"run": ["echo", offset], "cache": {"ttl": "30m"}}}}))
            self.assert_counts(self.site.submit(batch), executed=1)
            self.assert_counts(self.site.submit(batch), cached=1)
        told = sorted(datetime.datetime.fromisoformat(word) for word in
                      re.findall(r"^(\d{4}-\d\d-\d\dT[\d:]{8})", broker.text(), re.MULTILINE))
        self.assertGreater((told[-1] - told[0]).total_seconds(), 10000, "the clock did not step")
        self.site.write("go", "")
        result = submit.finish()
        self.assert_counts(result, executed=3)
        self.assertEqual({t["attempts"] for t in result["tasks"]}, {1})
        self.assertEqual(set(self.ran().values()), {1})
        for word in ("silent", "lost", "expired"):
            self.assertNotIn(word, broker.text())


if __name__ == "__main__":
    main()
