"""Hosts that cannot hear each other: network namespaces stand for machines, and what one sends to the
other is lost on the way, silently and in one direction."""

import json
import os
import shutil
import subprocess
import unittest
import uuid

from harness import BIN, Process, SiteTest, main, until

NOWHERE = "02:00:00:00:00:99"


def ip(*argv):
    return subprocess.run(["ip", *argv], capture_output=True, text=True)


def why_not():
    """None, or why this machine cannot do what the tests here need."""
    if not shutil.which("ip"):
        return "needs ip (package iproute2)"
    name = f"cashet-{uuid.uuid4().hex[:8]}"
    done = ip("netns", "add", name)
    if done.returncode == 0:
        link = ip("link", "add", "v0", "netns", name, "type", "veth", "peer", "name", "v1")
        if link.returncode == 0:
            ip("link", "del", "v1")
        done = link
        ip("netns", "del", name)
    return f"no network namespaces here: {done.stderr.strip()}" if done.returncode else None


class Network(SiteTest):
    @classmethod
    def setUpClass(cls):
        reason = why_not()
        if reason:
            raise unittest.SkipTest(reason)

    def host(self):
        name = f"cashet-{uuid.uuid4().hex[:8]}"
        self.ip("netns", "add", name)
        self.addCleanup(ip, "netns", "del", name)
        self.ip("-n", name, "link", "set", "lo", "up")
        return name

    def ip(self, *argv):
        done = ip(*argv)
        self.assertEqual(done.returncode, 0, f"ip {argv}: {done.stderr}")
        return done.stdout

    def wire(self, a, b, number):
        """A cable between two hosts, which are .1 and .2 on it; neighbours are set, never asked for."""
        self.ip("-n", a, "link", "add", f"v{number}", "type", "veth", "peer", "name", f"v{number}",
                "netns", b)
        mac = {}
        for host, end in ((a, 1), (b, 2)):
            self.ip("-n", host, "addr", "add", f"10.250.{number}.{end}/24", "dev", f"v{number}")
            self.ip("-n", host, "link", "set", f"v{number}", "up")
            shown = json.loads(self.ip("-n", host, "-j", "link", "show", f"v{number}"))
            mac[end] = shown[0]["address"]
        def hears(end, other_mac=None):
            """What is sent to .@end arrives; or not, when it goes to another's MAC."""
            self.ip("-n", b if end == 1 else a, "neigh", "replace", f"10.250.{number}.{end}", "lladdr",
                    other_mac or mac[end], "dev", f"v{number}", "nud", "permanent")
        hears(1)
        hears(2)
        return hears

    def test_one_way_loss_heals_and_nothing_runs_twice(self):
        head, deaf, mute = self.host(), self.host(), self.host()
        to_deaf, to_mute = self.wire(head, deaf, 1), self.wire(head, mute, 2)
        site = self.site
        Process(site, "broker", ["ip", "netns", "exec", head, os.path.join(BIN, "cashet-broker"),
                                 "--listen", "tcp://0.0.0.0:7410", "--insecure", "--store", site.store])
        site.variables["CASHET_DIR"] = site.store  # commands go through the store's own socket
        until(lambda: site.run("broker", "status").code == 0, "the broker to answer")
        workers = {}
        for number, (name, host) in enumerate((("deaf", deaf), ("mute", mute)), 1):
            site.url = f"tcp://10.250.{number}.1:7410"
            workers[name] = site.worker(name, 2, "--insecure", prefix=["ip", "netns", "exec", host])
        site.url = None
        state = lambda name: next((w["state"] for w in site.workers() if w["name"] == name), None)
        until(lambda: state("deaf") == state("mute") == "ready", "both to join")
        ran, go = site.path("ran"), site.path("go")
        submit = site.start_submit(site.write("b.yaml", f"""
version: 1
tasks: {{t: {{run: "echo ${{p.i}} >> {ran}; while ! test -e {go}; do sleep 0.05; done; echo done",
        sweep: {{params: {{i: [1, 2, 3, 4]}}}}}}}}
"""))
        until(lambda: len(self.ran()) == 4, "all to run")
        to_deaf(2, NOWHERE)  # what the broker says to deaf is lost
        to_mute(1, NOWHERE)  # what mute says to the broker is lost
        until(lambda: "fell silent" in workers["deaf"].text(),
              "deaf to notice")
        until(lambda: state("mute") != "ready", "the broker to notice")
        to_deaf(2)
        to_mute(1)
        until(lambda: state("deaf") == state("mute") == "ready", "both to come back", 20)
        site.write("go", "")
        result = submit.finish()
        self.assert_counts(result, executed=4)
        self.assertEqual({t["attempts"] for t in result["tasks"]}, {1})
        self.assertEqual(set(self.ran().values()), {1})


if __name__ == "__main__":
    main()
