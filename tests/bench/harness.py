"""What every group of rows shares: which rows are wanted, samples, medians, the table, the files."""
import contextlib
import fnmatch
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time

ROUNDS = 5

# What is aimed at: row -> (sign, figure). Shown beside what was measured.
GOALS = {
    "enable.p50_ms.vms_1000": ("<=", 4), "enable.p50_ms.vms_5000": ("<=", 4),
    "enable.p99_ms.vms_1000": ("<=", 10), "enable.p99_ms.vms_5000": ("<=", 10),
    "enable.bulk_1000_ms": ("<=", 150), "enable.pool_1000_ms": ("<=", 40),
    "switch.established_ns": ("<=", 250),
    "tcp.vs_bridge.rules_0": (">=", 0.97), "rr.vs_bridge.rules_0": (">=", 0.97),
    "tcp.vs_rules_0.rules_4096": (">=", 0.95), "overlay.tcp_vs_bridge_vxlan": (">=", 0.95),
    "rss.penstockd_mb": ("<", 60), "rss.hostd_mb": ("<", 40), "demo.first_block_s": ("<", 15),
    "enable.p99_ms.vms_50000": ("<=", 10), "catalog.list_ms": ("<=", 20),
    "sync.full_1000_hosts_s": ("<=", 2), "rss.penstockd_mb.vms_50000": ("<=", 600),
}


class Failed(Exception):
    """A row cannot be measured; the message says why and what to look at."""


class Group:
    """Rows that are measured together. `measure(bench, wanted)` adds those in `wanted`."""

    def __init__(self, rows, measure):
        self.rows = rows
        self.measure = measure


def median(samples):
    return statistics.median(samples)


def percentile(samples, percent):
    """The smallest sample that at least `percent` per cent of all do not exceed."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def interleaved(contenders, rounds=ROUNDS):
    """name -> samples of name -> callable. Every round asks all of them, every second round in
    reverse, so that a machine which grows slower or faster does so for each alike."""
    samples = {name: [] for name in contenders}
    for turn in range(rounds):
        order = list(contenders)
        for name in reversed(order) if turn % 2 else order:
            samples[name].append(contenders[name]())
    return samples


class Bench:
    def __init__(self, build, pattern):
        self.build = os.path.abspath(build)
        self.source = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        self.patterns = pattern.split(",")
        self.rows = []
        self.samples = {}
        self.names = set()
        self.start = time.monotonic()

    # --- for the groups

    def path(self, below):
        """A file shipped with the benchmarks."""
        return os.path.join(self.source, "tests", "bench", below)

    def program(self, name):
        """A program of the build, wherever its folder puts it."""
        for folder in ("bin", "tests/packets", "tests/bench", "tests/tools", "bpf/tests/classify"):
            path = os.path.join(self.build, folder, name)
            if os.access(path, os.X_OK):
                return path
        raise Failed(f"{name} is not in {self.build}: make build")

    def output(self, words, timeout=120, **more):
        """Standard output of a command; a failure with the last lines it said."""
        try:
            done = subprocess.run(words, timeout=timeout, text=True, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, check=False, **more)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Failed(f"{' '.join(words)}: {error}") from error
        if done.returncode != 0:
            said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-5:])
            raise Failed(f"{' '.join(words)} ended with {done.returncode}: {said}")
        return done.stdout

    @contextlib.contextmanager
    def running(self, words):
        """A program that runs for the length of a `with`."""
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def row(self, name, value, unit, command, peer="", peer_value=None, samples=None):
        if not self.wants(name):
            return
        self.rows.append({"name": name, "value": rounded(value), "unit": unit, "peer": peer,
                          "peer_value": rounded(peer_value), "command": command})
        self.samples[name] = samples or [value]
        self.say(f"{name} = {rounded(value)} {unit}")

    def ratio(self, name, ours, theirs, peer, command):
        """ours and theirs: samples of the same quantity, more is better."""
        self.row(name, median(ours) / median(theirs), "ratio", command, peer, median(theirs),
                 {"penstock": ours, peer: theirs})

    def say(self, text):
        print(f"{time.monotonic() - self.start:6.1f} s  {text}", file=sys.stderr, flush=True)

    # --- the run

    def wants(self, name):
        return any(fnmatch.fnmatch(name, one) or (one not in self.names and one in name)
                   for one in self.patterns)

    def run(self, groups):
        self.names = {name for group in groups for name in group.rows}
        wanted_groups = [(group, [name for name in group.rows if self.wants(name)])
                         for group in groups]
        wanted_groups = [(group, names) for group, names in wanted_groups if names]
        if not wanted_groups:
            print(f"penstock: no row is called {','.join(self.patterns)}; "
                  "tests/bench/run BUILD --list names them", file=sys.stderr)
            return 2
        load = os.getloadavg()[0]
        if load > 1:
            self.say(f"the machine is busy (load {load:.1f}): figures will be poor")
        failures = []
        for group, names in wanted_groups:
            try:
                group.measure(self, names)
            except Failed as failure:
                failures.append(str(failure))
                self.say(f"failed: {failure}")
        missing = [name for _, names in wanted_groups for name in names
                   if name not in self.samples]
        self.write(load)
        self.print_table()
        for failure in failures:
            print(f"failed: {failure}", file=sys.stderr)
        if missing:
            print(f"not measured: {', '.join(missing)}", file=sys.stderr)
        return 1 if missing else 0

    def write(self, load):
        folder = os.path.join(self.build, "bench")
        os.makedirs(folder, exist_ok=True)
        machine = {"kernel": platform.release(), "cpus": os.cpu_count(), "model": cpu_model(),
                   "load_at_start": load, "seconds": round(time.monotonic() - self.start, 1)}
        for name, content in (("results", self.rows), ("samples", self.samples),
                              ("machine", machine)):
            with open(os.path.join(folder, name + ".json"), "w", encoding="utf-8") as file:
                json.dump(content, file, indent=1)
                file.write("\n")

    def print_table(self):
        lines = [("ROW", "VALUE", "UNIT", "PEER", "PEER VALUE", "GOAL", "")]
        for row in self.rows:
            sign, goal = GOALS.get(row["name"], ("", None))
            met = "" if goal is None else "met" if meets(row["value"], sign, goal) else "MISSED"
            lines.append((row["name"], number(row["value"]), row["unit"], row["peer"],
                          number(row["peer_value"]), "" if goal is None else f"{sign} {goal}", met))
        widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
        for line in lines:
            cells = (text.rjust(width) if i in (1, 4) else text.ljust(width)
                     for i, (text, width) in enumerate(zip(line, widths)))
            print("  ".join(cells).rstrip())
        print(f"{len(self.rows)} rows in {time.monotonic() - self.start:.0f} s -> "
              f"{os.path.join(self.build, 'bench', 'results.json')}")


def meets(value, sign, goal):
    return {"<=": value <= goal, "<": value < goal, ">=": value >= goal}[sign]


def rounded(value):
    """Four digits: more would only be noise."""
    if value is None or value == 0:
        return value
    return round(value, max(0, 3 - math.floor(math.log10(abs(value)))))


def number(value):
    return "" if value is None else f"{value:g}"


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return ""
