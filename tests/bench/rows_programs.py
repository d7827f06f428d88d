"""Rows that programs of the build measure by themselves: the switch, the classifier, the demo."""
import json
import os
import re
import tempfile

from harness import ROUNDS, Failed, Group, median

SWITCH = ["switch.established_ns", "switch.first_packet_ns", "switch.no_service_ns",
          "switch.established_ip6_ns", "switch.established_4096_rules_ns",
          "switch.first_packet_4096_rules_ns", "switch.denied_4096_rules_ns"]

FAMILIES = ["few-hosts", "1000-destinations", "distinct-destinations-and-ports", "all-distinct"]
POLICY = [f"policy.{what}.{family}" for family in FAMILIES
          for what in ("lookup_4096_rules_ns", "bytes_per_rule_4096")]


def switch(bench, _wanted):
    command = [bench.program("switch-bench"), str(ROUNDS)]
    for line in bench.output(command, timeout=300).splitlines():
        row = json.loads(line)
        if row["name"] in SWITCH:
            bench.row(row["name"], row["value"], row["unit"], f"switch-bench {ROUNDS}")


def policy(bench, _wanted):
    test = "ClassifyBpf.LookupTimesWithTheMatchingRuleLast"
    command = [bench.program("classify_bpf_test"), f"--gtest_filter={test}"]
    nanoseconds = {family: [] for family in FAMILIES}
    bytes_a_rule = {}
    for _ in range(ROUNDS):
        for line in bench.output(command).splitlines():
            found = re.match(r"v4 (\S+) +4096 rules: +(\d+) ns, +(\d+) B a rule", line)
            if found:
                nanoseconds[found[1]].append(float(found[2]))
                bytes_a_rule[found[1]] = float(found[3])
    for family in FAMILIES:
        if len(nanoseconds[family]) != ROUNDS:
            raise Failed(f"classify_bpf_test said nothing of 4096 rules of family {family}")
        said = f"classify_bpf_test --gtest_filter={test}"
        bench.row(f"policy.lookup_4096_rules_ns.{family}", median(nanoseconds[family]), "ns", said,
                  samples=nanoseconds[family])
        bench.row(f"policy.bytes_per_rule_4096.{family}", bytes_a_rule[family], "bytes", said)


def demo(bench, _wanted):
    samples = []
    with tempfile.TemporaryDirectory() as folder:
        results = os.path.join(folder, "demo.json")
        for _ in range(ROUNDS):
            bench.output([bench.program("penstock"), "demo", "--results", results],
                         timeout=120, cwd=bench.source)
            with open(results, encoding="utf-8") as file:
                samples.append(json.load(file)["demo.first_block_s"])
    bench.row("demo.first_block_s", median(samples), "s", "penstock demo --results FILE",
              samples=samples)


GROUPS = [Group(["demo.first_block_s"], demo), Group(SWITCH, switch), Group(POLICY, policy)]
