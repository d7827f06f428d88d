#include "server/traces.h"

#include <gtest/gtest.h>

#include "server/testing/world.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using testing::World;

v1::TraceStep step(const std::string& port, const std::string& dir, const std::string& component) {
  v1::TraceStep out;
  out.set_port(port);
  out.set_dir(dir);
  out.set_component(component);
  out.set_action("passed");
  out.set_evidence("executed");
  return out;
}

// web-1 on h1, db-1 on h2; a trace between them, its hosts' answers typed by the test.
class Tracing : public ::testing::Test {
 protected:
  void SetUp() override {
    world.furnish();
    world.add_vm("db-1", "h2");
    world.add_vm("near-1", "h1");
    world.run_for(50ms);
    port_a = nic("web-1").port_id();
    port_b = nic("db-1").port_id();
    request.set_tenant("acme");
    request.set_vm("web-1");
    auto& packet = *request.mutable_packet();
    packet.set_destination("db-1");
    packet.set_protocol("tcp");
    packet.set_destination_port(5432);
  }
  v1::Nic nic(const std::string& vm) {
    return World::must(world.get("VirtualMachine", "acme", vm)).virtual_machine().spec().nics(0);
  }
  void start(std::optional<std::string> secret = {}) {
    answer.reset();
    world.server->api().trace(secret.value_or(world.admin), request,
                              [this](Result<v1::Trace> trace) { answer = std::move(trace); });
  }
  v1::TraceOrder order(const std::string& host) {
    const auto orders = world.hosts[host]->orders();
    return orders.empty() ? v1::TraceOrder() : orders.back();
  }
  // What the host answers to the newest order.
  v1::TraceReport reply(const std::string& host, v1::TraceReport::End end) {
    v1::TraceReport report;
    report.set_id(order(host).id());
    report.set_end(end);
    report.set_applied_revision(7);
    report.set_flows("flows of " + host);
    return report;
  }
  v1::TraceReport sent_on(const std::string& host, const std::string& port, const char* to) {
    auto report = reply(host, v1::TraceReport::SENT_ON);
    *report.add_steps() = step(port, "out", "parse");
    report.set_vtep(to);
    report.set_vni(77);
    report.set_frame("the frame");
    return report;
  }
  v1::TraceReport delivered(const std::string& host, const std::string& port, std::uint32_t id) {
    auto report = reply(host, v1::TraceReport::DELIVERED);
    *report.add_steps() = step(port, "in", "delivery");
    report.set_port_id(id);
    return report;
  }
  v1::TracedPacket packet(bool there) {
    v1::TracedPacket out;
    out.set_source(nic(there ? "web-1" : "db-1").addresses(0));
    out.set_destination(nic(there ? "db-1" : "web-1").addresses(0));
    out.set_protocol("tcp");
    out.set_source_port(there ? 49152 : 5432);
    out.set_destination_port(there ? 5432 : 49152);
    out.add_tcp_flags("syn");
    if (!there) out.add_tcp_flags("ack");
    return out;
  }

  World world;
  v1::TraceRequest request;
  std::optional<Result<v1::Trace>> answer;
  std::uint32_t port_a = 0, port_b = 0;
};

TEST_F(Tracing, FollowsThePacketAndItsAnswerOverBothHosts) {
  start();
  auto first = order("h1");
  EXPECT_EQ(first.start().port_id(), port_a);
  EXPECT_EQ(first.start().packet().destination(), nic("db-1").addresses(0));
  EXPECT_EQ(first.start().next_hop(), nic("db-1").addresses(0));
  auto report = sent_on("h1", "web-1/eth0", "192.0.2.2");
  *report.mutable_packet() = packet(true);
  world.hosts["h1"]->report(report);
  EXPECT_EQ(order("h2").arrive().frame(), "the frame");
  EXPECT_EQ(order("h2").arrive().sender(), "192.0.2.1");
  EXPECT_EQ(order("h2").arrive().vni(), 77u);
  world.hosts["h2"]->report(delivered("h2", "db-1/eth0", port_b));
  // The answer, judged as if the packet had made its entry there.
  const auto back = order("h2");
  EXPECT_EQ(back.start().port_id(), port_b);
  EXPECT_EQ(back.flows(), "flows of h2");
  EXPECT_EQ(back.start().packet().source_port(), 5432u);
  EXPECT_EQ(back.start().packet().tcp_flags_size(), 2);
  world.hosts["h2"]->report(sent_on("h2", "db-1/eth0", "192.0.2.1"));
  EXPECT_EQ(order("h1").flows(), "flows of h1");
  ASSERT_FALSE(answer);
  world.hosts["h1"]->report(delivered("h1", "web-1/eth0", port_a));
  ASSERT_TRUE(answer && *answer);
  const auto& trace = **answer;
  EXPECT_EQ(trace.disposition(), v1::DELIVERED);
  EXPECT_EQ(trace.at(), "db-1/eth0");
  EXPECT_EQ(trace.reply().disposition(), v1::DELIVERED);
  EXPECT_EQ(trace.reply().at(), "web-1/eth0");
  ASSERT_EQ(trace.steps_size(), 3);
  EXPECT_EQ(trace.steps(0).host(), "h1");
  EXPECT_EQ(trace.steps(1).evidence(), "inferred");
  EXPECT_EQ(trace.steps(2).host(), "h2");
  EXPECT_EQ(trace.as_of().hosts().at("h2"), trace.as_of().revision()) << "nothing is on its way";
  EXPECT_TRUE(trace.redacted().empty());
}

TEST_F(Tracing, ARefusalThatIsAnsweredIsFollowedBack) {
  start();
  world.hosts["h1"]->report(sent_on("h1", "web-1/eth0", "192.0.2.2"));
  auto refused = reply("h2", v1::TraceReport::REJECTED);
  refused.set_code("policy_reject");
  refused.set_answered(true);
  refused.set_answer_goes_over_overlay(true);
  refused.set_frame("a reset");
  world.hosts["h2"]->report(refused);
  EXPECT_EQ(order("h1").arrive().frame(), "a reset");
  EXPECT_EQ(order("h1").arrive().sender(), "192.0.2.2");
  EXPECT_EQ(order("h1").flows(), "flows of h1");
  world.hosts["h1"]->report(delivered("h1", "web-1/eth0", port_a));
  ASSERT_TRUE(answer && *answer);
  EXPECT_EQ((*answer)->disposition(), v1::REJECTED);
  EXPECT_EQ((*answer)->reply().disposition(), v1::DELIVERED);
}

TEST_F(Tracing, AHostThatIsAwayMakesAPartialTrace) {
  world.hosts["h2"]->leave();
  start();
  auto report = sent_on("h1", "web-1/eth0", "192.0.2.2");
  world.hosts["h1"]->report(report);
  ASSERT_TRUE(answer && *answer);
  const auto& trace = **answer;
  EXPECT_EQ(trace.disposition(), v1::UNKNOWN);
  EXPECT_EQ(trace.at(), "h2");
  EXPECT_EQ(trace.steps(0).port(), "web-1/eth0");
  EXPECT_TRUE(trace.steps(2).decisive());
  EXPECT_NE(trace.reason().find("h2 is away"), std::string::npos) << trace.reason();
}

TEST_F(Tracing, ASilentHostEndsAtTheDeadline) {
  request.mutable_deadline()->set_seconds(2);
  start();
  world.run_for(1900ms);
  EXPECT_FALSE(answer);
  world.run_for(200ms);
  ASSERT_TRUE(answer && *answer);
  EXPECT_EQ((*answer)->disposition(), v1::UNKNOWN);
  // What it says later goes nowhere.
  world.hosts["h1"]->report(sent_on("h1", "web-1/eth0", "192.0.2.2"));
  EXPECT_TRUE(world.hosts["h2"]->orders().empty());
}

TEST_F(Tracing, ReportsOfOthersCountForNothing) {
  start();
  auto forged = delivered("h1", "web-1/eth0", port_b);
  world.hosts["h2"]->report(forged);
  EXPECT_FALSE(answer);
  forged.set_id(999);
  world.hosts["h1"]->report(forged);
  EXPECT_FALSE(answer);
}

TEST_F(Tracing, WhatDecidedNamesWhoMayChangeIt) {
  start();
  auto report = reply("h1", v1::TraceReport::DROPPED);
  auto denied = step("web-1/eth0", "out", "filter");
  denied.set_decisive(true);
  *report.add_steps() = denied;
  report.set_code("policy_deny");
  auto& by = *report.mutable_decided_by();
  by.set_kind("filter");
  by.set_name("office");
  by.set_rule("no-ssh");
  by.set_number(1);
  world.hosts["h1"]->report(report);
  ASSERT_TRUE(answer && *answer);
  const auto& trace = **answer;
  EXPECT_EQ(trace.disposition(), v1::DROPPED);
  EXPECT_EQ(trace.at(), "web-1/eth0");
  ASSERT_EQ(trace.decided_by().may_change_size(), 1);
  EXPECT_EQ(trace.decided_by().may_change(0), "user:admin");
  EXPECT_EQ(trace.hints(0), "penstock describe profile office --rule 1");
  EXPECT_EQ(trace.no_reply(), "not reached");
}

TEST_F(Tracing, BadInputIsAnErrorAndAsksNobody) {
  const auto code = [&] {
    start();
    EXPECT_TRUE(answer && !*answer);
    EXPECT_TRUE(world.hosts["h1"]->orders().empty());
    return answer && !*answer ? (*answer).error() : Error{};
  };
  request.mutable_packet()->set_destination("nobody");
  EXPECT_EQ(code().details[0].field, "packet.destination");
  request.mutable_packet()->set_destination("10.0.0.9");
  request.mutable_packet()->set_protocol("tpc");
  EXPECT_EQ(code().details[0].field, "packet.protocol");
  request.mutable_packet()->set_protocol("tcp");
  request.mutable_packet()->set_source("10.0.0.300");
  EXPECT_EQ(code().details[0].field, "packet.source");
  request.mutable_packet()->clear_source();
  request.set_nic("eth7");
  EXPECT_EQ(code().code, Code::kNotFound);
  request.clear_nic();
  request.set_vm("nobody");
  EXPECT_EQ(code().code, Code::kNotFound);
}

TEST_F(Tracing, WhatTheHostFindsWrongIsAnErrorToo) {
  start();
  auto report = reply("h1", v1::TraceReport::END_UNSPECIFIED);
  report.set_failure("\"sin\" is not a TCP flag");
  report.set_failure_code("invalid_argument");
  report.set_failure_field("packet.tcpFlags");
  world.hosts["h1"]->report(report);
  ASSERT_TRUE(answer && !*answer);
  EXPECT_EQ(answer->error().code, Code::kInvalidArgument);
  EXPECT_EQ(answer->error().details[0].field, "packet.tcpFlags");
}

TEST_F(Tracing, NoRouteNeedsNoHost) {
  World::must(world.put(R"({"kind":"VirtualNetwork","metadata":{"name":"green","tenant":"acme"},
                            "spec":{"subnets":[{"cidr":"10.9.0.0/24"}]}})"));
  World::must(world.put(R"({"kind":"VirtualMachine","metadata":{"name":"lone","tenant":"acme"},
      "spec":{"nics":[{"name":"eth0","network":"green"}],"placement":{"host":"h1"}}})"));
  request.set_vm("lone");
  request.mutable_packet()->set_destination("8.8.8.8");
  start();
  ASSERT_TRUE(answer && *answer) << (answer ? answer->error().text() : "");
  EXPECT_EQ((*answer)->disposition(), v1::DROPPED);
  EXPECT_EQ((*answer)->code(), "no_route");
}

TEST_F(Tracing, TenantsSeeNoHostsAndOwnersNotOthersProtection) {
  World::must(world.put(R"({"kind":"User","metadata":{"name":"bob"},
      "spec":{"roles":[{"role":"VM_OWNER","tenant":"acme"}]}})"));
  World::must(world.put(R"({"kind":"VirtualMachine","metadata":{"name":"bobs","tenant":"acme"},
      "spec":{"owner":"user:bob","nics":[{"name":"eth0","network":"blue"}],"placement":{"host":"h1"}}})"));
  world.run_for(50ms);
  const auto bob = world.token_for_user("bob");
  start(bob);  // from web-1, which is not bob's
  ASSERT_TRUE(answer && !*answer);
  EXPECT_EQ(answer->error().code, Code::kNotFound);

  request.set_vm("bobs");
  start(bob);  // to db-1 by name: he cannot know that it is there
  ASSERT_TRUE(answer && !*answer);
  EXPECT_EQ(answer->error().details[0].field, "packet.destination");

  request.mutable_packet()->set_destination(nic("db-1").addresses(0));
  start(bob);
  auto there = sent_on("h1", "bobs/eth0", "192.0.2.2");
  auto overlay = step("bobs/eth0", "out", "overlay");
  overlay.set_text("to the host at 192.0.2.2");
  overlay.set_next_hop("192.0.2.2");
  *there.add_steps() = overlay;
  world.hosts["h1"]->report(there);
  auto report = reply("h2", v1::TraceReport::DROPPED);
  auto denied = step("db-1/eth0", "in", "filter");
  denied.set_object("secret-profile");
  denied.set_decisive(true);
  *report.add_steps() = denied;
  report.mutable_decided_by()->set_kind("filter");
  report.mutable_decided_by()->set_name("secret-profile");
  report.set_code("policy_deny");
  world.hosts["h2"]->report(report);
  ASSERT_TRUE(answer && *answer);
  const auto text = (*answer)->DebugString();
  EXPECT_EQ((*answer)->disposition(), v1::DROPPED);
  for (const auto* foreign : {"h1", "h2", "192.0.2", "secret-profile", "db-1"})
    EXPECT_EQ(text.find(foreign), std::string::npos) << foreign << " in " << text;
  EXPECT_EQ((*answer)->redacted_size(), 3);
}

// --- live

TEST_F(Tracing, LivePutsTogetherWhatBothHostsSaw) {
  request.set_live(true);
  start();
  ASSERT_TRUE(order("h1").has_watch());
  ASSERT_TRUE(order("h2").has_watch());
  EXPECT_EQ(order("h2").watch().port_ids(0), port_b);
  auto arrives = delivered("h2", "db-1/eth0", port_b);
  *arrives.mutable_packet() = packet(true);
  world.hosts["h2"]->report(arrives);  // may be heard of first
  auto leaves = sent_on("h1", "web-1/eth0", "192.0.2.2");
  *leaves.mutable_packet() = packet(true);
  world.hosts["h1"]->report(leaves);
  EXPECT_FALSE(answer);
  auto back = sent_on("h2", "db-1/eth0", "192.0.2.1");
  *back.mutable_packet() = packet(false);
  world.hosts["h2"]->report(back);
  auto home = delivered("h1", "web-1/eth0", port_a);
  *home.mutable_packet() = packet(false);
  world.hosts["h1"]->report(home);
  ASSERT_TRUE(answer && *answer);
  EXPECT_EQ((*answer)->mode(), "live");
  EXPECT_EQ((*answer)->disposition(), v1::DELIVERED);
  EXPECT_EQ((*answer)->reply().disposition(), v1::DELIVERED);
  EXPECT_TRUE(order("h1").end());
  EXPECT_TRUE(order("h2").end());
}

TEST_F(Tracing, LiveSaysWhereAPacketWasLost) {
  request.set_live(true);
  start();
  auto leaves = sent_on("h1", "web-1/eth0", "192.0.2.2");
  *leaves.mutable_packet() = packet(true);
  world.hosts["h1"]->report(leaves);
  world.run_for(1100ms);
  ASSERT_TRUE(answer && *answer);
  EXPECT_EQ((*answer)->disposition(), v1::LOST);
  EXPECT_EQ((*answer)->at(), "h2");
}

TEST_F(Tracing, LiveCannotSayLostWhenNobodyWatchedThere) {
  request.set_live(true);
  world.hosts["h2"]->leave();
  start();
  auto leaves = sent_on("h1", "web-1/eth0", "192.0.2.2");
  *leaves.mutable_packet() = packet(true);
  world.hosts["h1"]->report(leaves);
  world.run_for(1100ms);
  ASSERT_TRUE(answer && *answer);
  EXPECT_EQ((*answer)->disposition(), v1::UNKNOWN);
  EXPECT_NE((*answer)->reason().find("away"), std::string::npos);
}

TEST_F(Tracing, LiveWithoutAPacketEndsAtItsDeadline) {
  request.set_live(true);
  request.mutable_deadline()->set_seconds(3);
  start();
  world.run_for(3100ms);
  ASSERT_TRUE(answer && *answer);
  EXPECT_EQ((*answer)->disposition(), v1::UNKNOWN);
  EXPECT_EQ((*answer)->code(), "not_seen");
  EXPECT_TRUE(order("h1").end());
}

}  // namespace
}  // namespace penstock
