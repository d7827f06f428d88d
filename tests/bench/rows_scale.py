"""Rows of a large deployment: 50,000 VMs on 1,000 hosts, 10,000 profiles. Two of the hosts are real,
the others are sessions that record what they are sent (many_hosts.cc)."""
import contextlib
import json
import os
import subprocess
import tempfile
import time

from harness import ROUNDS, Failed, Group, median
from lab import Api, lab, put_firewall
from rows_enable import one_by_one

VMS = 50_000
HOSTS = 998           # beside the two real ones
CLUSTER = 20          # hosts of a cluster; a tenant's VMs are spread over one
TENANTS = 499
EVERYONES = 100       # profiles that everyone may use
PROFILES = 10_000
BATCH = 2_000
ROWS = ["enable.p50_ms.vms_50000", "enable.p99_ms.vms_50000", "catalog.list_ms",
        "sync.full_1000_hosts_s", "sync.resume_1000_hosts_s", "rss.penstockd_mb.vms_50000"]

DEFINITION = {
    "kind": "ServiceDefinition", "metadata": {"name": "bench-guard"},
    "spec": {"vendor": "bench", "serviceName": "Guard", "version": "1",
             "description": "keeps a port closed", "insertionPoint": "VIRTUAL_SWITCH",
             "categories": ["firewall"],
             "parameters": {"type": "object", "additionalProperties": False, "properties": {
                 "port": {"type": "string", "default": "23"}}},
             "levels": [{"name": "basic"}, {"name": "strict"}],
             "filter": {"rules": [
                 {"name": "closed", "direction": "IN", "action": "DENY", "protocols": ["tcp"],
                  "ports": ["${port}"]},
                 {"name": "web", "direction": "IN", "action": "ALLOW", "protocols": ["tcp"],
                  "ports": ["80", "443"]},
                 {"name": "no-mail", "direction": "OUT", "action": "DENY", "protocols": ["tcp"],
                  "ports": ["25"]}]}}}


def tenant_of(number):
    return f"t-{number % TENANTS:03d}"


def hosts():
    for i in range(0, HOSTS, CLUSTER):
        yield {"kind": "Cluster", "metadata": {"name": f"c-{i // CLUSTER:02d}"}}
    for i in range(HOSTS):
        yield {"kind": "Host", "metadata": {"name": f"s-{i:04d}"},
               "spec": {"cluster": f"c-{i // CLUSTER:02d}",
                        "uplinks": [{"name": "u0", "device": "eth0", "mtu": 1500,
                                     "address": f"198.18.{i // 250}.{i % 250 + 1}"}]}}


def tenants():
    for i in range(TENANTS):
        yield {"kind": "Tenant", "metadata": {"name": tenant_of(i)}}
        yield {"kind": "VirtualNetwork", "metadata": {"tenant": tenant_of(i), "name": "net"},
               "spec": {"subnets": [{"cidr": "10.0.0.0/16", "gateway": "10.0.0.1"}]}}
        yield {"kind": "User", "metadata": {"name": f"owner-{i:03d}"},
               "spec": {"roles": [{"role": "VM_OWNER", "tenant": tenant_of(i)}]}}


def machines():
    """The VMs of a tenant go round the hosts of its cluster."""
    clusters = HOSTS // CLUSTER
    for i in range(VMS - 100):
        tenant, turn = i % TENANTS, i // TENANTS
        place = (tenant % clusters) * CLUSTER + (turn + tenant) % CLUSTER
        yield {"kind": "VirtualMachine",
               "metadata": {"tenant": tenant_of(tenant), "name": f"vm-{turn:03d}",
                            "labels": {"role": "web" if turn % 3 else "db"}},
               "spec": {"nics": [{"name": "eth0", "network": "net"}],
                        "placement": {"host": f"s-{place:04d}"}}}


def profiles():
    for i in range(PROFILES):
        everyone = i < EVERYONES
        yield {"kind": "ServiceProfile", "metadata": {"name": f"guard-{i:05d}"},
               "spec": {"definition": "bench-guard", "published": True,
                        "parameters": {"port": str(1000 + i)},
                        "description": f"keeps port {1000 + i} closed",
                        "availability": {"everyone": True} if everyone
                        else {"allow": {"tenants": [tenant_of(i)]}}}}


def enablements():
    """A service on every tenth VM."""
    for i in range(0, VMS - 100, 10):
        tenant, turn = i % TENANTS, i // TENANTS
        yield {"kind": "Enablement",
               "metadata": {"tenant": tenant_of(tenant), "name": f"on-vm-{turn:03d}"},
               "spec": {"profile": f"guard-{EVERYONES + (tenant - EVERYONES) % TENANTS:05d}",
                        "vm": f"vm-{turn:03d}"}}


def fill(bench, api, what, objects):
    start, count, batch = time.monotonic(), 0, []

    def send():
        answer = json.loads(api.call("POST", "/v1:batch", {"items": batch}))
        for item in answer["items"]:
            if (item.get("error") or {}).get("code"):
                raise Failed(f"{what}: {item['error']}")
        return [item.get("object", {}) for item in answer["items"]]

    made = []
    for one in objects:
        batch.append({"put": one})
        count += 1
        if len(batch) == BATCH:
            made += send()
            batch.clear()
    if batch:
        made += send()
    bench.say(f"{count} {what} in {time.monotonic() - start:.1f} s")
    return made


def tokens(bench, api, folder):
    """Name and token of every simulated host, a line each; the token of one user."""
    made = fill(bench, api, "tokens",
                [{"kind": "Token", "metadata": {"name": f"s-{i:04d}"},
                  "spec": {"host": f"s-{i:04d}"}} for i in range(HOSTS)])
    path = os.path.join(folder, "tokens")
    with open(path, "w", encoding="utf-8") as file:
        for token in made:
            file.write(f"{token['metadata']['name']} {token['status']['secret']}\n")
    owner = fill(bench, api, "user token", [{"kind": "Token", "metadata": {"name": "owner"},
                                             "spec": {"user": "owner-007"}}])
    return path, owner[0]["status"]["secret"]


class Fleet:
    """penstock-many-hosts beside the server, while it runs."""

    def __init__(self, bench, lab_now, token_file, more=()):
        space = os.path.join(lab_now.folder, "netns", "server")
        with open(os.path.join(lab_now.folder, "pids", "penstockd"), encoding="utf-8") as file:
            pid = file.read().split()[0]
        with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
            words = file.read().split("\0")
        address = words[words.index("--listen-grpc") + 1]
        self.process = subprocess.Popen(
            ["nsenter", "--net=" + space, bench.program("penstock-many-hosts"), "--server",
             address, "--tokens", token_file, *more], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, text=True)

    def in_step(self):
        line = self.process.stdout.readline()
        if not line:
            raise Failed("penstock-many-hosts has ended")
        return json.loads(line)

    def end(self):
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def fleet(*arguments):
    running = Fleet(*arguments)
    try:
        yield running
    finally:
        running.end()


def sync(bench, lab_now, running, row, what):
    """From the start of a server whose predecessor was killed until every host has acknowledged
    what it should hold."""
    samples, sent = [], []
    penstock = bench.program("penstock")
    for _ in range(ROUNDS):
        start = time.monotonic()
        bench.output([penstock, "lab", "restart", lab_now.name, "server", "--kill"])
        answer = running.in_step()
        samples.append(answer["in_step_at"] - start)
        sent.append(answer)
    last = sent[-1]
    bench.say(f"{what}: {last['fulls']} hosts were sent {last['items']} items, "
              f"{last['bytes'] / 1e6:.0f} MB")
    bench.row(row, median(samples), "s", f"penstock lab restart ... --kill; {what}",
              samples=samples)


def catalog(bench, lab_now, secret):
    api = Api(lab_now.socket, secret)
    target = "/v1/tenants/t-007/catalog?limit=5000"
    seen = len(api.get(target)["entries"])
    samples = []
    for _ in range(20 * ROUNDS):
        start = time.perf_counter()
        api.call("GET", target)
        samples.append(1e3 * (time.perf_counter() - start))
    bench.row("catalog.list_ms", median(samples), "ms",
              f"GET {target}: {seen} of {PROFILES} profiles", samples=samples)


def large(bench, wanted):
    with lab(bench, "two-of-1000") as lab_now, tempfile.TemporaryDirectory() as folder:
        api = lab_now.api
        put_firewall(bench, api)
        fill(bench, api, "hosts", hosts())
        fill(bench, api, "tenants, networks, users", tenants())
        fill(bench, api, "definition", [DEFINITION])
        fill(bench, api, "profiles", profiles())
        token_file, owner = tokens(bench, api, folder)
        fill(bench, api, "VMs", machines())
        fill(bench, api, "enablements", enablements())
        memory = [lab_now.resident_mb("penstockd")]
        with fleet(bench, lab_now, token_file) as running:
            first = running.in_step()
            bench.say(f"all hosts in step; {first['items']} items, {first['bytes'] / 1e6:.0f} MB")
            memory.append(lab_now.resident_mb("penstockd"))
            if any(row.startswith("enable.") for row in wanted):
                one_by_one(bench, lab_now, VMS)
            memory.append(lab_now.resident_mb("penstockd"))
            if "catalog.list_ms" in wanted:
                catalog(bench, lab_now, owner)
            if "sync.resume_1000_hosts_s" in wanted:
                sync(bench, lab_now, running, "sync.resume_1000_hosts_s",
                     "hosts that hold what they should")
        if "sync.full_1000_hosts_s" in wanted:
            with fleet(bench, lab_now, token_file, ["--forget"]) as running:
                running.in_step()
                sync(bench, lab_now, running, "sync.full_1000_hosts_s", "hosts that hold nothing")
                memory.append(lab_now.resident_mb("penstockd"))
        bench.row("rss.penstockd_mb.vms_50000", max(memory), "MB", "grep VmRSS /proc/PID/status",
                  samples=memory)


GROUPS = [Group(ROWS, large)]
