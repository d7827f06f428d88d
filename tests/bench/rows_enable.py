"""Rows of the control plane: how long until an enablement is in force, and what the daemons hold."""
import json
import os
import tempfile
import time

from harness import ROUNDS, Failed, Group, median, percentile
from lab import FIREWALL_PROFILE, Api, address_of, check_outcome, lab, put_firewall

RATE = 10_000    # packets a second at the port that is watched
ONE_BY_ONE = 300  # enable/disable rounds, over all running VMs in turn
MANY = 1_000


def rows_of(vms):
    rows = [f"enable.p50_ms.vms_{vms}", f"enable.p99_ms.vms_{vms}"]
    if vms == 1000:
        rows += ["enable.bulk_1000_ms", "enable.pool_1000_ms"]
    else:
        rows += [f"enable.bulk_1000_ms.vms_{vms}", f"enable.pool_1000_ms.vms_{vms}",
                 "rss.penstockd_mb", "rss.hostd_mb", "metrics.series_per_host"]
    return rows


def one_by_one(bench, lab_now, vms):
    """The first running VM sends, the others are protected in turn."""
    running = list(lab_now.vms("acme", "set=running").values())
    sender, targets = running[0], running[1:]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        for vm in targets:
            file.write(f"{vm['metadata']['name']} {address_of(vm)} {lab_now.space(vm)}\n")
        file.flush()
        words = [bench.program("penstock-enable-client"), "--server", "unix:" + lab_now.socket,
                 "--token-file", lab_now.token_file, "--tenant", "acme", "--profile",
                 FIREWALL_PROFILE, "--sender", lab_now.space(sender), "--targets", file.name,
                 "--rounds", str(ONE_BY_ONE), "--rate", str(RATE)]
        answer = json.loads(bench.output(words, timeout=180))
    values = answer["in_force_ms"]
    if len(values) != ONE_BY_ONE:
        raise Failed(f"penstock-enable-client measured {len(values)} of {ONE_BY_ONE} rounds")
    late = sum(drop > answered for drop, answered
               in zip(answer["first_drop_ms"], answer["answer_ms"]))
    bench.say(f"first drop came after the answer in {late} of {ONE_BY_ONE} rounds; median of the "
              f"answer {median(answer['answer_ms']):.2f} ms, of the first drop "
              f"{median(answer['first_drop_ms']):.2f} ms")
    bench.samples.update({f"enable.{what}.vms_{vms}": samples for what, samples in answer.items()})
    said = f"penstock-enable-client --rounds {ONE_BY_ONE} --rate {RATE} ..."
    bench.row(f"enable.p50_ms.vms_{vms}", median(values), "ms", said, samples=values)
    bench.row(f"enable.p99_ms.vms_{vms}", percentile(values, 99), "ms", said, samples=values)


def timed(api, target, body, what):
    """Milliseconds from the request to the whole answer, which must say that it is applied."""
    text = json.dumps(body)
    start = time.perf_counter()
    answer = api.call("POST", target, text)
    took = 1e3 * (time.perf_counter() - start)
    check_outcome(json.loads(answer), what)
    return took


def in_bulk(bench, lab_now, row):
    names = sorted(lab_now.vms("acme", "pool=bench"))
    if len(names) != MANY:
        raise Failed(f"the pool has {len(names)} VMs, not {MANY}")
    items = [(f"bulk-{name}", name) for name in names]
    put = {"items": [{"put": {"kind": "Enablement", "metadata": {"name": name, "tenant": "acme"},
                              "spec": {"profile": FIREWALL_PROFILE, "vm": vm}}}
                     for name, vm in items]}
    undo = {"items": [{"delete": {"kind": "Enablement", "tenant": "acme", "name": name}}
                      for name, _ in items]}
    samples = []
    for _ in range(ROUNDS + 2):
        samples.append(timed(lab_now.api, "/v1:batch?wait=applied&deadline=30s", put, row))
        timed(lab_now.api, "/v1:batch?wait=applied&deadline=30s", undo, row + " undone")
    bench.row(row, median(samples), "ms", "POST /v1:batch?wait=applied", samples=samples)


def on_a_pool(bench, lab_now, row):
    request = {"profile": FIREWALL_PROFILE, "pool": "bench"}
    samples = []
    for _ in range(ROUNDS + 2):
        samples.append(timed(lab_now.api, "/v1/tenants/acme:enable?wait=applied&deadline=30s",
                             request, row))
        timed(lab_now.api, "/v1/tenants/acme:disable?wait=applied&deadline=30s", request,
              row + " undone")
    bench.row(row, median(samples), "ms", "POST /v1/tenants/acme:enable?wait=applied",
              samples=samples)


def series_per_host(bench, lab_now):
    """Samples in what a host agent shows Prometheus; of the one with most."""
    counts = []
    for host in sorted(os.listdir(os.path.join(lab_now.folder, "hosts"))):
        path = os.path.join(lab_now.folder, "hosts", host, "metrics.sock")
        text = Api(path, "").call("GET", "/metrics").decode()
        counts.append(sum(1 for line in text.splitlines() if line and not line.startswith("#")))
    bench.row("metrics.series_per_host", max(counts), "series",
              "curl --unix-socket /run/penstock/lab/LAB/hosts/HOST/metrics.sock http://localhost/metrics",
              samples=counts)


class Memory:
    """What the daemons hold, looked at several times; the most counts."""

    def __init__(self, bench, lab_now):
        self.bench, self.lab_now = bench, lab_now
        self.server, self.host = [], []
        self.hosts = sorted(os.listdir(os.path.join(lab_now.folder, "hosts")))

    def look(self):
        self.server.append(self.lab_now.resident_mb("penstockd"))
        self.host.append(max(self.lab_now.resident_mb(name) for name in self.hosts))

    def rows(self):
        said = "grep VmRSS /proc/PID/status"
        self.bench.row("rss.penstockd_mb", max(self.server), "MB", said, samples=self.server)
        self.bench.row("rss.hostd_mb", max(self.host), "MB", said, samples=self.host)


def with_vms(vms):
    def measure(bench, wanted):
        with lab(bench, f"vms-{vms}") as lab_now:
            put_firewall(bench, lab_now.api)
            memory = Memory(bench, lab_now)
            memory.look()
            kinds = {row.split(".")[1] for row in wanted}
            if kinds & {"p50_ms", "p99_ms"}:
                one_by_one(bench, lab_now, vms)
                memory.look()
            suffix = "" if vms == 1000 else f".vms_{vms}"
            if "bulk_1000_ms" in kinds:
                in_bulk(bench, lab_now, "enable.bulk_1000_ms" + suffix)
                memory.look()
            if "pool_1000_ms" in kinds:
                on_a_pool(bench, lab_now, "enable.pool_1000_ms" + suffix)
                memory.look()
            if vms == 5000:
                memory.rows()
                series_per_host(bench, lab_now)
    return measure


GROUPS = [Group(rows_of(vms), with_vms(vms)) for vms in (1000, 5000)]
