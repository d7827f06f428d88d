#include "host/switch/switch_abi.h"

#include <gtest/gtest.h>

namespace penstock::host {
namespace {

TEST(SwitchAbi, KeysHaveZeroPadding) {
  const auto key = bytes_of(endpoint_key(Vni(0x010203), Mac{{2, 0, 0, 0, 0, 9}}));
  const Bytes expected = bytes_of(std::array<std::uint8_t, 12>{3, 2, 1, 0, 2, 0, 0, 0, 0, 9, 0, 0});
  EXPECT_EQ(key, expected);
}

TEST(SwitchAbi, EqualBytesOfTwoFamiliesAreTwoKeys) {
  IpAddress six{Family::kV6, IpAddress::v4(0x0a000001).bytes};
  EXPECT_NE(bytes_of(network_key(Vni(7), IpAddress::v4(0x0a000001))),
            bytes_of(network_key(Vni(7), six)));
}

TEST(SwitchAbi, AddressesComeBack) {
  const auto address = IpAddress::parse("2001:db8::7").value();
  EXPECT_EQ(address_of(allowed_key(PortId(3), address)), address);
  EXPECT_EQ(address_of(vtep(IpAddress::v4(0x0a000001))), IpAddress::v4(0x0a000001));
}

TEST(SwitchAbi, LinkLocalFromMac) {
  EXPECT_EQ(eui64_link_local(Mac::parse("02:00:0a:00:01:05").value()).text(), "fe80::aff:fe00:105");
}

TEST(SwitchAbi, StepListFillsWholeLines) {
  std::vector<ps_step> steps(4);
  EXPECT_EQ(step_list(std::span(steps).first(3), 1)->size(), 64u);
  EXPECT_EQ(step_list(steps, 1)->size(), 128u);
  steps.resize(PS_STEPS_MAX + 1);
  EXPECT_EQ(step_list(steps, 1).error().code, Code::kResourceExhausted);
}

TEST(SwitchAbi, ListsThatDoNotFitAreRefused) {
  const std::vector<std::uint32_t> nine(9, 1);
  EXPECT_EQ(group_list(nine).error().code, Code::kResourceExhausted);
  EXPECT_EQ(flood(std::vector<std::uint32_t>(PS_FLOOD_LOCAL_MAX + 1), {}).error().code,
            Code::kResourceExhausted);
  EXPECT_EQ(group_list(std::vector<std::uint32_t>{5, 2})->group[0], 2u);
}

TEST(SwitchAbi, EveryReasonHasNameAndHelp) {
  EXPECT_EQ(drop_reasons().size(), std::size_t{PS_DROP_REASON_COUNT});
  EXPECT_EQ(switch_counters().size(), std::size_t{PS_COUNTER_COUNT});
  for (const auto& reason : drop_reasons()) {
    EXPECT_FALSE(reason.name.empty());
    EXPECT_FALSE(reason.help.empty());
  }
  EXPECT_EQ(drop_reasons()[PS_DROP_POLICY_DENY].name, "policy_deny");
}

TEST(SwitchAbi, PolicyWordIsStoredWhole) {
  ps_port port{};
  store_policy(port, PS_IN, PS_POLICY(7, 12));
  EXPECT_EQ(load_policy(port, PS_IN), (7ull << 32) | 12);
  EXPECT_EQ(load_policy(port, PS_OUT), 0u);
}

}  // namespace
}  // namespace penstock::host
