#!/usr/bin/env python3
"""Runs Dockerfile and compose.yaml without docker: images are folders made by debootstrap, containers are
overlays of them in namespaces of their own, on one bridge.

usage: docker/try.py FOLDER [--again]        (as root; needs debootstrap, iproute2, python3-yaml and the network)

FOLDER keeps the base system and the images; --again takes those that were made before. It reads the very files, so what it runs is what docker would:
RUN, COPY, ENV, USER, WORKDIR of the Dockerfile; commands, environment, volumes, dependencies, health checks,
stop signals of the compose file. Then it submits the example twice, replaces the broker under a running
worker, stops everything and looks at the exit codes. It knows no more of both formats than these files use,
and stops at what it does not know.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(HERE)
SERVICE_KEYS = {"image", "build", "command", "restart", "security_opt", "cap_drop", "environment",
                "depends_on", "deploy", "volumes", "healthcheck", "stop_signal", "stop_grace_period",
                "network_mode", "ports", "profiles"}
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run(*argv, **options):
    return subprocess.run(argv, check=options.pop("check", True), **options)


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m)", text).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60}[unit]


class Image:
    """A stage of the Dockerfile: a folder, and what its containers start with."""

    def __init__(self, root, base, again):
        self.root, self.env, self.user, self.cwd, self.command = root, {"PATH": PATH}, "root", "/", []
        self.again = again
        if not again:
            shutil.rmtree(root, ignore_errors=True)
            run("cp", "-a", base, root)

    def chroot(self, script):
        if self.again:
            return
        for mount in ("proc", "dev"):
            run("mount", "--rbind", f"/{mount}", f"{self.root}/{mount}")
        shutil.copy("/etc/resolv.conf", f"{self.root}/etc/resolv.conf")
        try:
            run("chroot", f"--userspec={self.user}", self.root, "/bin/sh", "-c",
                f"cd {self.cwd} && {script}", env=self.env)
        finally:
            for mount in ("proc", "dev"):
                run("umount", "-R", "-l", f"{self.root}/{mount}")


def build(folder, again):
    """Obeys the Dockerfile; returns the last stage."""
    base = os.path.join(folder, "base")
    if not os.path.exists(os.path.join(base, "etc/os-release")):
        run("debootstrap", "--variant=minbase", "bookworm", base)
    with open(os.path.join(HERE, "Dockerfile")) as f:
        text = re.sub(r"\\\n", " ", "".join(line for line in f if not line.startswith("#")))
    stages, image = {}, None
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        print("+", line[:110], flush=True)
        if word == "FROM":
            source, _, name = rest.partition(" AS ")
            assert source == "debian:12-slim", source
            image = stages[name or "final"] = Image(os.path.join(folder, name or "final"), base, again)
        elif word == "RUN":
            image.chroot(rest)
        elif word == "COPY" and again:
            pass
        elif word == "COPY":
            *options, source, to = rest.split()
            if options:
                (stage,) = (o.removeprefix("--from=") for o in options)
                run("cp", "-a", f"{stages[stage].root}{source}.", image.root + to)
            else:
                assert source == ".", line
                os.makedirs(image.root + to)
                files = run("git", "-C", SOURCE, "ls-files", "-co", "--exclude-standard", "-z",
                            capture_output=True).stdout
                tar = run("tar", "-c", "--null", "-T", "-", cwd=SOURCE, input=files, capture_output=True)
                run("tar", "-x", "-C", image.root + to, input=tar.stdout)
        elif word == "ENV":
            image.env.update(item.split("=", 1) for item in shlex.split(rest))
        elif word in ("WORKDIR", "USER", "CMD"):
            setattr(image, {"WORKDIR": "cwd", "USER": "user", "CMD": "command"}[word],
                    json.loads(rest) if word == "CMD" else rest)
        else:
            assert word in ("STOPSIGNAL", "EXPOSE"), line
    return image


class Container:
    """A service's process: a root of its own over the image, own mounts, pids and host name, and an
    address on the bridge, which goes with its name."""

    def __init__(self, cluster, service, name):
        spec = cluster.spec["services"][service]
        assert set(spec) <= SERVICE_KEYS, set(spec) - SERVICE_KEYS
        number = cluster.numbers.setdefault(name, len(cluster.numbers) + 2)
        self.spec, self.name, image = spec, name, cluster.image
        self.net, self.root = f"try-{name}", os.path.join(cluster.folder, "run", name)
        address = f"10.251.0.{number}"
        shutil.rmtree(self.root, ignore_errors=True)
        for part in ("root", "upper", "work"):
            os.makedirs(f"{self.root}/{part}", exist_ok=True)
        self.link = link = f"try{number}"
        run("ip", "netns", "add", self.net)
        run("ip", "-n", self.net, "link", "set", "lo", "up")
        if spec.get("network_mode") != "none":
            run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", self.net,
                "address", f"02:42:0a:fb:00:{number:02x}")  # goes with the address, as docker's
            run("ip", "link", "set", link, "master", "try0", "up")
            run("ip", "-n", self.net, "addr", "add", f"{address}/24", "dev", "eth0")
            run("ip", "-n", self.net, "link", "set", "eth0", "up")
            cluster.hosts[name] = address
        script = [f"mount -t overlay overlay -o lowerdir={image.root},upperdir={self.root}/upper,"
                  f"workdir={self.root}/work {self.root}/root",
                  f"mount -t proc proc {self.root}/root/proc", f"mount --rbind /dev {self.root}/root/dev",
                  f"hostname {name}"]
        for volume in spec.get("volumes", []):
            source, to = volume.split(":")
            assert source in cluster.spec["volumes"], source
            held = os.path.join(cluster.folder, "volumes", source)
            if not os.path.exists(held):  # as docker does with a new volume
                run("cp", "-a", image.root + to, held)
            script.append(f"mount --bind {held} {self.root}/root{to}")
        hosts = "\n".join(f"{address} {host}" for host, address in cluster.hosts.items())
        script.append(f"echo '127.0.0.1 localhost\n{hosts}' > {self.root}/root/etc/hosts")
        given = {k: cluster.words([v])[0] for k, v in spec.get("environment", {}).items()}
        self.env = {**image.env, "HOME": image.cwd, **given}
        self.command = cluster.words(spec.get("command", image.command))
        script.append("exec " + self.chroot(image, self.root + "/root", self.command))
        self.log = open(f"{self.root}/log", "w+")
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", self.net, "unshare", "--mount", "--pid", "--uts", "--fork",
             "--kill-child", "sh", "-ec", "\n".join(script)],
            env=self.env, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.image = image
        cluster.containers.append(self)

    @staticmethod
    def chroot(image, root, command):
        """As the image's user, without capabilities: cap_drop and no-new-privileges of the compose file."""
        return shlex.join(["chroot", root, "setpriv", f"--reuid={image.uid}", f"--regid={image.uid}",
                           "--clear-groups", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs",
                           "/bin/sh", "-c", f'cd {image.cwd} && exec "$@"', "sh", *command])

    def pid(self):
        """Of the program itself, which is 1 in its namespace; None before it is there."""
        try:
            with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as f:
                child = f.read().split()[0]
            program = os.path.basename(os.readlink(f"/proc/{child}/exe"))
            return int(child) if program.startswith("cashet") else None
        except (OSError, IndexError):
            return None

    def healthy(self):
        check, pid = self.spec.get("healthcheck"), self.pid()
        if not pid:
            return False
        kind, *argv = check["test"]
        assert kind == "CMD", kind
        done = run("nsenter", f"--target={pid}", "--mount", "--pid", "--uts", "--net", "sh", "-c",
                   self.chroot(self.image, f"{self.root}/root", argv), env=self.env, check=False,
                   capture_output=True, timeout=seconds(check["timeout"]))
        return done.returncode == 0

    def stop(self):
        """Exit code after the stop signal; fails if that takes longer than the grace period."""
        os.kill(self.pid(), getattr(signal, self.spec["stop_signal"]))
        return self.process.wait(seconds(self.spec["stop_grace_period"]))

    def remove(self):
        if pid := self.pid():
            os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        run("ip", "link", "del", self.link, check=False, stderr=subprocess.DEVNULL)
        run("ip", "netns", "del", self.net, check=False)

    def text(self):
        with open(f"{self.root}/log") as f:
            return f.read()


class Cluster:
    def __init__(self, folder, image):
        with open(os.path.join(HERE, "compose.yaml")) as f:
            self.spec = yaml.safe_load(f)
        self.folder, self.image, self.hosts, self.numbers, self.containers = folder, image, {}, {}, []
        with open(f"{image.root}/etc/passwd") as f:
            image.uid = next(line.split(":")[2] for line in f if line.startswith(f"{image.user}:"))
        for part in ("run", "volumes"):
            shutil.rmtree(os.path.join(folder, part), ignore_errors=True)
            os.makedirs(os.path.join(folder, part))
        run("ip", "link", "add", "try0", "type", "bridge")
        run("ip", "link", "set", "try0", "up")

    def words(self, command):
        return [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", word) for word in command]

    def up(self, service, name=None):
        """Starts a container when what it depends on has come so far."""
        for other, on in self.spec["services"][service].get("depends_on", {}).items():
            first = next(c for c in self.containers if c.name == other)
            if on["condition"] == "service_completed_successfully":
                assert first.process.wait(60) == 0, first.text()
            else:
                self.until(first.healthy, f"{other} to be healthy", first)
        print("up", name or service, flush=True)
        return Container(self, service, name or service)

    def until(self, condition, what, container):
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end and container.process.poll() is None, \
                f"waited for {what}\n{container.text()}"
            time.sleep(0.2)

    def down(self):
        for c in self.containers:
            c.remove()
        run("ip", "link", "del", "try0", check=False)


def main():
    folder = os.path.abspath(sys.argv[1])
    os.makedirs(folder, exist_ok=True)
    image = build(folder, sys.argv[2:] == ["--again"])
    size = run("du", "-sm", image.root, capture_output=True, text=True).stdout.split()[0]
    print(f"image: {size} MB, of which the base is "
          + run("du", "-sm", f"{folder}/base", capture_output=True, text=True).stdout.split()[0])
    cluster = Cluster(folder, image)
    try:
        keys = cluster.up("keys")
        broker = cluster.up("broker")
        replicas = int(cluster.words([cluster.spec["services"]["worker"]["deploy"]["replicas"]])[0])
        workers = [cluster.up("worker", f"worker-{i + 1}") for i in range(replicas)]
        for w in workers:
            cluster.until(w.healthy, "a worker to be healthy", w)
        first = cluster.up("submit", "submit-1")
        assert first.process.wait(180) == 0, first.text()
        assert "38 executed" in first.text(), first.text()
        for w in workers:
            assert w.text().count("joined") == 1 and "not taken" not in w.text(), w.text()
        assert cluster.up("keys", "keys-2").process.wait(60) == 0
        assert broker.stop() == 0, broker.text()
        print("the broker has stopped; another one")
        broker.remove()
        cluster.containers.remove(broker)
        broker = cluster.up("broker")
        second = cluster.up("submit", "submit-2")
        assert second.process.wait(180) == 0, second.text()
        assert "38 cached" in second.text(), second.text()
        for w in workers:
            cluster.until(lambda: w.text().count("joined") == 2, "a worker to be back", w)
            assert w.stop() == 0, w.text()
        assert broker.stop() == 0, broker.text()
        print("keys, broker, workers, two submits, a new broker, graceful stops: all well")
    finally:
        for c in cluster.containers:
            print(f"--- {c.name}\n{c.text()[-1500:]}")
        cluster.down()


if __name__ == "__main__":
    main()
