#include "host/guestconf/dhcp6.h"

#include <map>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "host/guestconf/test_guest.h"

namespace penstock::host {
namespace {

enum Type {
  kSolicit = 1,
  kAdvertise,
  kRequest,
  kConfirm,
  kRenew,
  kRebind,
  kReply,
  kRelease,
  kDecline,
  kInform = 11
};

const std::string kClient = "\x01\x02\x03\x04\x05\x06";
const std::string kServer = std::string("\0\x03\0\x01\x02\x50\x53\x01\x02\x03", 10);

struct Ask {
  int type = kSolicit;
  std::string client = kClient, server{};
  bool rapid = false;
  struct Ia {
    int kind;
    std::uint32_t id;
    std::vector<const char*> addresses;
  };
  std::vector<Ia> associations{{3, 1, {}}};
};

Frame ask(const Ask& a) {
  ByteWriter out;
  out.u8(static_cast<unsigned>(a.type)).u8(0xab).u16(0xcdef);
  const auto put = [&](unsigned code, const std::string& value) {
    if (!value.empty()) out.u16(code).u16(static_cast<unsigned>(value.size())).text(value);
  };
  put(1, a.client);
  put(2, a.server);
  if (a.rapid) out.u16(14).u16(0);
  for (const auto& ia : a.associations) {
    const unsigned fixed = ia.kind == 4 ? 4 : 12;
    out.u16(static_cast<unsigned>(ia.kind))
        .u16(fixed + 28 * static_cast<unsigned>(ia.addresses.size()));
    out.u32(ia.id).zeroes(fixed - 4);
    for (const auto* address : ia.addresses) out.u16(5).u16(24).ip(ip(address)).zeroes(8);
  }
  return make_udp({web().mac, *Mac::parse("33:33:00:01:00:02"), kGuestLinkLocal, ip("ff02::1:2")},
                  546, 547, out.view());
}

// "type" and then the options, as text: "7 client server ia(1: fd00:1::5/3600) dns(fd00:1::2)".
std::string read_options(ByteReader in);
std::string read_option(int code, FrameView value) {
  ByteReader in(value);
  switch (code) {
    case 1:
      return "client";
    case 2:
      return std::string_view(reinterpret_cast<const char*>(value.data()), value.size()) == kServer
                 ? "server"
                 : "?";
    case 3:
    case 25:
    case 4: {
      const auto id = in.u32();
      if (code != 4) in.skip(8);
      return fmt::format("{}({}:{})",
                         code == 3   ? "ia"
                         : code == 4 ? "ta"
                                     : "pd",
                         id, read_options(in));
    }
    case 5: {
      const auto address = in.v6();
      in.skip(4);
      return fmt::format("{}/{}", address.text(), in.u32());
    }
    case 13:
      return fmt::format("status{}", in.u16());
    case 14:
      return "rapid";
    case 23:
      return "dns=" + in.v6().text();
    default:
      return fmt::format("option{}", code);
  }
}
std::string read_options(ByteReader in) {
  std::string text;
  while (in.ok() && !in.empty()) {
    const auto code = in.u16();
    text += " " + read_option(code, in.bytes(in.u16()));
  }
  EXPECT_TRUE(in.ok());
  return text;
}

std::string answer(const Ask& a, const Guest& guest = web()) {
  const auto frame = answer_dhcp6(guest, ask(a));
  if (!frame) return "none";
  const auto udp = parse_udp(*frame);
  EXPECT_TRUE(udp);
  EXPECT_EQ(udp->source, ip("fe80::50:53ff:fe01:203"));
  EXPECT_EQ(udp->destination, kGuestLinkLocal);
  EXPECT_EQ(udp->source_port, 547);
  EXPECT_EQ(udp->destination_port, 546);
  EXPECT_EQ(ByteReader(*frame).mac(), guest.mac);
  ByteReader in(udp->payload);
  const auto type = in.u8();
  EXPECT_EQ(in.u8(), 0xab);
  EXPECT_EQ(in.u16(), 0xcdef);
  return fmt::format("{}{}", type, read_options(in));
}

TEST(Dhcp6, SolicitIsAdvertisedAndRequestGranted) {
  EXPECT_EQ(answer({.type = kSolicit}), "2 client server ia(1: fd00:1::5/3600) dns=fd00:1::2");
  EXPECT_EQ(answer({.type = kRequest, .server = kServer}),
            "7 client server ia(1: fd00:1::5/3600) dns=fd00:1::2");
  EXPECT_EQ(answer({.type = kSolicit, .rapid = true}),
            "7 client server rapid ia(1: fd00:1::5/3600) dns=fd00:1::2");
}

TEST(Dhcp6, AddressesOfElsewhereAreTakenAway) {
  for (const auto& [type, server] :
       {std::pair{int{kRenew}, kServer}, {int{kRebind}, std::string()}}) {
    EXPECT_EQ(
        answer(
            {.type = type, .server = server, .associations = {{3, 9, {"fd00:9::9", "fd00:1::5"}}}}),
        "7 client server ia(9: fd00:1::5/3600 fd00:9::9/0) dns=fd00:1::2");
  }
}

TEST(Dhcp6, OnlyTheFirstAssociationGetsAddresses) {
  EXPECT_EQ(answer({.associations = {{25, 1, {}}, {4, 2, {}}, {3, 3, {}}, {3, 4, {}}}}),
            "2 client server pd(1: status6) ta(2: status2) ia(3: fd00:1::5/3600) ia(4: status2) "
            "dns=fd00:1::2");
}

TEST(Dhcp6, AGuestWithoutIpv6IsToldSo) {
  auto guest = web();
  guest.addresses.pop_back();
  EXPECT_EQ(answer({}, guest), "2 client server ia(1: status2) dns=fd00:1::2");
}

TEST(Dhcp6, ConfirmSaysWhetherTheAddressesAreRight) {
  EXPECT_EQ(answer({.type = kConfirm, .associations = {{3, 1, {"fd00:1::5"}}}}),
            "7 client server status0 dns=fd00:1::2");
  EXPECT_EQ(answer({.type = kConfirm, .associations = {{3, 1, {"fd00:9::5"}}}}),
            "7 client server status4 dns=fd00:1::2");
  EXPECT_EQ(answer({.type = kConfirm}), "none");
}

TEST(Dhcp6, ReleaseAndInformationRequest) {
  EXPECT_EQ(answer({.type = kRelease, .server = kServer}), "7 client server status0 dns=fd00:1::2");
  EXPECT_EQ(answer({.type = kInform, .client = "", .associations = {}}), "7 server dns=fd00:1::2");
  EXPECT_EQ(answer({.type = kInform}), "none");  // must not ask for addresses
}

TEST(Dhcp6, MessagesForOthersAreDiscarded) {
  EXPECT_EQ(answer({.type = kSolicit, .client = ""}), "none");
  EXPECT_EQ(answer({.type = kSolicit, .server = kServer}), "none");
  EXPECT_EQ(answer({.type = kRequest}), "none");
  EXPECT_EQ(answer({.type = kRequest, .server = "another one"}), "none");
  EXPECT_EQ(answer({.type = kAdvertise}), "none");
  EXPECT_EQ(answer({.type = kSolicit, .client = std::string(131, 'x')}), "none");
}

TEST(Dhcp6, DamagedFramesDoNoHarm) {
  const Guest guest = web();
  torture(ask({.type = kRenew,
               .server = kServer,
               .associations = {{3, 1, {"fd00:1::5"}}, {4, 2, {"fd00:1::6"}}}}),
          [&](FrameView frame) { (void)answer_dhcp6(guest, frame); });
}

}  // namespace
}  // namespace penstock::host
