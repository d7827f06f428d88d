#include "lab/capture/pcapng.h"

#include <cstring>

#include <gtest/gtest.h>

#include "lab/capture/filter.h"

namespace penstock::lab {
namespace {

std::uint32_t word(const std::string& text, std::size_t at) {
  std::uint32_t value = 0;
  std::memcpy(&value, text.data() + at, 4);
  return value;  // tests run on little-endian machines, as the file is
}

TEST(Pcapng, BlocksAreFramedAndPadded) {
  const std::vector<std::byte> bytes(61, std::byte{0xab});
  const std::vector<std::string> comments{"dropped by rule 3", "odd"};
  for (const auto& block :
       {pcapng::section("test", "a comment"), pcapng::interface_block({.name = "h1:eth0"}),
        pcapng::packet_block(
            {.bytes = bytes, .direction = pcapng::Direction::kOut, .comments = comments}),
        pcapng::statistics_block(0, std::chrono::seconds(5), 10, 2)}) {
    EXPECT_EQ(block.size() % 4, 0u);
    EXPECT_EQ(word(block, 4), block.size());
    EXPECT_EQ(word(block, block.size() - 4), block.size());
  }
}

TEST(Pcapng, APacketKeepsTimeLengthsAndComments) {
  const std::vector<std::byte> bytes(5, std::byte{1});
  const std::vector<std::string> comments{"dropped by rule 3"};
  const auto block = pcapng::packet_block({.interface = 2,
                                           .time = std::chrono::nanoseconds(0x1234'5678'9abc'def0),
                                           .bytes = bytes,
                                           .length = 1'500,
                                           .comments = comments});
  EXPECT_EQ(word(block, 0), 6u);
  EXPECT_EQ(word(block, 8), 2u);
  EXPECT_EQ(word(block, 12), 0x12345678u);
  EXPECT_EQ(word(block, 16), 0x9abcdef0u);
  EXPECT_EQ(word(block, 20), 5u);
  EXPECT_EQ(word(block, 24), 1'500u);
  EXPECT_NE(block.find("dropped by rule 3"), std::string::npos);
}

TEST(Filter, ReadsWhatTcpdumpPrints) {
  const auto program = parse_filter("2\n40 0 0 12\n6 0 0 262144\n");
  ASSERT_TRUE(program);
  ASSERT_EQ(program->size(), 2u);
  EXPECT_EQ((*program)[0].code, 40);
  EXPECT_EQ((*program)[1].k, 262'144u);
  for (const auto* bad : {"", "x", "2\n40 0 0 12\n", "1\n40 0 0 12 9\n"})
    EXPECT_FALSE(parse_filter(bad)) << bad;
}

}  // namespace
}  // namespace penstock::lab
