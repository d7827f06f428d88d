"""Rows that move packets between namespaces: ours on the switch, the same ones on Linux bridges."""
import contextlib
import json
import os
import subprocess
import time

from harness import Failed, Group, interleaved, median
from lab import address_of, lab
from rows_programs import FAMILIES

SECONDS = 3
TCP_PORT, RR_PORT = 5201, 5202
RULES = 4096
BRIDGE, VXLAN, NFT = "Linux bridge + veth", "Linux bridge + vxlan", "Linux bridge + nftables"
RULES_ROW = "tcp.vs_rules_0.rules_4096"
FAMILY_ROWS = [f"{RULES_ROW}.{family}" for family in FAMILIES]
SAME_HOST = ["tcp.vs_bridge.rules_0", "rr.vs_bridge.rules_0", RULES_ROW, *FAMILY_ROWS,
             "tcp.vs_nft.rules_4096"]
OVERLAY = "overlay.tcp_vs_bridge_vxlan"

# The client on one processor, the server on another: where the scheduler puts the two otherwise
# decides more than what is measured.
PIN_CLIENT, PIN_SERVER = (["taskset", "-c", "0"], ["taskset", "-c", "1"]) \
    if (os.cpu_count() or 1) > 1 else ([], [])


class Pair:
    """A client's namespace, a server's namespace, and the server's address."""

    def __init__(self, client, server, address):
        self.client, self.server, self.address = client, server, address


def inside(space, words):
    return ["nsenter", "--net=" + space, *words]


def iperf(bench, pair):
    """Gbit/s that the server got, one stream."""
    words = [*PIN_CLIENT, "iperf3", "-c", pair.address, "-p", str(TCP_PORT), "-t", str(SECONDS),
             "-J"]
    answer = json.loads(bench.output(inside(pair.client, words), timeout=SECONDS + 20))
    return answer["end"]["sum_received"]["bits_per_second"] / 1e9


def ping_pong(bench, pair):
    """Transactions a second: one byte there and back over one TCP connection."""
    words = [*PIN_CLIENT, bench.program("penstock-ping-pong"), "client", pair.address,
             str(RR_PORT), str(SECONDS)]
    return float(bench.output(inside(pair.client, words), timeout=SECONDS + 20))


@contextlib.contextmanager
def servers(bench, pairs):
    """iperf3 and ping-pong servers in every pair's server, until they listen."""
    with contextlib.ExitStack() as stack:
        for space in {pair.server for pair in pairs}:
            for words in (["iperf3", "-s", "-p", str(TCP_PORT)],
                          [bench.program("penstock-ping-pong"), "server", str(RR_PORT)]):
                stack.enter_context(bench.running(inside(space, [*PIN_SERVER, *words])))
            wait_for_listeners(bench, space)
        yield


def wait_for_listeners(bench, space):
    deadline = time.monotonic() + 5
    while True:
        listening = bench.output(inside(space, ["ss", "-Htln"]))
        if f":{TCP_PORT} " in listening and f":{RR_PORT} " in listening:
            return
        if time.monotonic() > deadline:
            raise Failed(f"iperf3 or penstock-ping-pong does not listen in {space}")
        time.sleep(0.02)


def mtu_in(bench, space):
    links = json.loads(bench.output(inside(space, ["ip", "-j", "link", "show", "eth0"])))
    return links[0]["mtu"]


@contextlib.contextmanager
def baseline(bench, script, mtu):
    """The peer's namespaces a, b (and c) as baselines/SCRIPT makes them."""
    name = "penstock-bench-" + script
    words = [bench.path("baselines/" + script)]
    bench.output([*words, "down", name])
    try:
        bench.output([*words, "up", name, str(mtu)])
        yield {node: f"/run/netns/{name}-{node}" for node in "abc"}
    finally:
        bench.output([*words, "down", name])


def rule_sets(bench, api, client, machines):
    """Each family's 4,096 rules as a published profile, enabled on the VM of the family's name.
    Only the last rule lets the client in."""
    objects = []
    for family in FAMILIES:
        address = address_of(machines[family])
        rules = json.loads(bench.output([
            bench.program("penstock-rulegen"), family, str(RULES), "--format", "json", "--source",
            address_of(client), "--destination", address, "--port", str(TCP_PORT)]))
        name = "rules-" + family
        filter_rules = [{"name": f"rule-{i + 1}", "action": rule["action"].upper(),
                         "from": [{"cidr": rule["source"]}], "to": [{"cidr": rule["destination"]}],
                         "protocols": [rule["protocol"]], "ports": [str(rule["port"])]}
                        for i, rule in enumerate(rules)]
        objects += [
            {"kind": "ServiceDefinition", "metadata": {"name": name},
             "spec": {"vendor": "penstock", "serviceName": name, "version": "1",
                      "insertionPoint": "VIRTUAL_SWITCH", "levels": [{"name": "basic"}],
                      "filter": {"defaultIn": "DENY", "defaultOut": "DENY",
                                 "rules": filter_rules}}},
            {"kind": "ServiceProfile", "metadata": {"name": name},
             "spec": {"definition": name, "published": True, "availability": {"everyone": True}}},
            {"kind": "Enablement", "metadata": {"name": name, "tenant": "acme"},
             "spec": {"profile": name, "vm": family}}]
    # One by one: a request has an upper size, and a set is some hundred kilobytes.
    for one in objects:
        api.put(one)


def must_be_blocked(bench, client, machines, lab_now):
    """Proof that the rules are in force: another port than the allowed one is closed."""
    for family in FAMILIES:
        words = [bench.program("penstock-ping-pong"), "client", address_of(machines[family]),
                 str(RR_PORT), "0.2"]
        # A program that could connect ends with 0.
        done = subprocess.run(inside(lab_now.space(client), words), stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, check=False)
        if done.returncode == 0:
            raise Failed(f"the rules of {family} do not block port {RR_PORT}")


def load_nft(bench, space, source, destination):
    script = bench.output([bench.program("penstock-rulegen"), "all-distinct", str(RULES),
                           "--format", "nft", "--source", source, "--destination", destination,
                           "--port", str(TCP_PORT)])
    bench.output(inside(space, [bench.path("baselines/nft-input")]), input=script)


def same_host(bench, wanted):
    with contextlib.ExitStack() as stack:
        lab_now = stack.enter_context(lab(bench, "one-host"))
        machines = lab_now.vms("acme")
        client = machines["client"]
        from_space = lab_now.space(client)
        peer = stack.enter_context(baseline(bench, "bridge", mtu_in(bench, from_space)))
        ours = {name: Pair(from_space, lab_now.space(vm), address_of(vm))
                for name, vm in machines.items() if name != "client"}
        bridge = Pair(peer["a"], peer["b"], "10.99.0.2")
        nft = Pair(peer["a"], peer["c"], "10.99.0.3")
        stack.enter_context(servers(bench, [*ours.values(), bridge, nft]))
        plain = ours["plain"]

        if "rr.vs_bridge.rules_0" in wanted:
            samples = interleaved({"ours": lambda: ping_pong(bench, plain),
                                   "bridge": lambda: ping_pong(bench, bridge)})
            bench.ratio("rr.vs_bridge.rules_0", samples["ours"], samples["bridge"], BRIDGE,
                        f"penstock-ping-pong client ADDRESS {RR_PORT} {SECONDS}")
        if [name for name in wanted if name.startswith("tcp.")]:
            tcp(bench, wanted, {"plain": plain, "bridge": bridge, "nft": nft, **ours},
                lambda: (rule_sets(bench, lab_now.api, client, machines),
                         must_be_blocked(bench, client, machines, lab_now),
                         load_nft(bench, nft.server, "10.99.0.1", nft.address)))


def tcp(bench, wanted, pairs, enable_rules):
    contenders = ["plain"]
    if "tcp.vs_bridge.rules_0" in wanted:
        contenders.append("bridge")
    with_rules = [family for family, row in zip(FAMILIES, FAMILY_ROWS)
                  if RULES_ROW in wanted or row in wanted]
    if "tcp.vs_nft.rules_4096" in wanted:
        contenders.append("nft")
        with_rules = with_rules or ["all-distinct"]
    if with_rules:
        enable_rules()
    samples = interleaved({name: (lambda pair=pairs[name]: iperf(bench, pair))
                           for name in contenders + with_rules})
    command = f"iperf3 -c ADDRESS -p {TCP_PORT} -t {SECONDS} -J"
    if "bridge" in samples:
        bench.ratio("tcp.vs_bridge.rules_0", samples["plain"], samples["bridge"], BRIDGE, command)
    ruled = {family: samples[family] for family in FAMILIES if family in samples}
    for family, got in ruled.items():
        bench.ratio(f"{RULES_ROW}.{family}", got, samples["plain"], "Penstock without rules",
                    command)
    if ruled:
        # The family that does worst speaks for all.
        worst = min(ruled.values(), key=median)
        bench.ratio(RULES_ROW, worst, samples["plain"], "Penstock without rules", command)
    if "nft" in samples:
        bench.ratio("tcp.vs_nft.rules_4096", samples["all-distinct"], samples["nft"], NFT, command)


def overlay(bench, _wanted):
    with contextlib.ExitStack() as stack:
        lab_now = stack.enter_context(lab(bench, "two-hosts"))
        machines = lab_now.vms("acme")
        spaces = {name: lab_now.space(vm) for name, vm in machines.items()}
        peer = stack.enter_context(baseline(bench, "bridge-vxlan", mtu_in(bench, spaces["a"])))
        ours = Pair(spaces["a"], spaces["b"], address_of(machines["b"]))
        theirs = Pair(peer["a"], peer["b"], "10.99.0.2")
        stack.enter_context(servers(bench, [ours, theirs]))
        samples = interleaved({"ours": lambda: iperf(bench, ours),
                               "theirs": lambda: iperf(bench, theirs)})
        bench.ratio(OVERLAY, samples["ours"], samples["theirs"], VXLAN,
                    f"iperf3 -c ADDRESS -p {TCP_PORT} -t {SECONDS} -J")


GROUPS = [Group(SAME_HOST, same_host), Group([OVERLAY], overlay)]
