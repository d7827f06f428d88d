#include "host/switch/reach.h"

#include <bpf/bpf.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstring>

#include <gtest/gtest.h>

namespace penstock::host {
namespace {

constexpr std::uint32_t kLines = 3 * 1024 + 5;  // of 64 bytes: three pieces and a bit
constexpr std::size_t kBytes = kLines * 64;

struct ReachTest : testing::Test {
  int map = -1;
  Reach reach;

  void SetUp() override {
    bpf_map_create_opts options{};
    options.sz = sizeof(options);
    options.map_flags = BPF_F_MMAPABLE;
    map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "reach_test", 4, 64, kLines, &options);
    ASSERT_GE(map, 0) << strerror(errno);
    ASSERT_TRUE(reach.open(map, kBytes));
  }
  ~ReachTest() override { ::close(map); }

  std::array<unsigned char, 64> line(std::uint32_t number) const {
    std::array<unsigned char, 64> bytes{};
    EXPECT_EQ(bpf_map_lookup_elem(map, &number, bytes.data()), 0);
    return bytes;
  }
};

TEST_F(ReachTest, WhatIsWrittenIsInTheMap) {
  for (const std::uint32_t number : {0u, 1023u, 1024u, kLines - 1}) {
    const auto at = reach.at(number * 64, 64);
    ASSERT_TRUE(at) << at.error().text();
    std::memset(at->data(), static_cast<int>(number % 251 + 1), 64);
    EXPECT_EQ(line(number)[63], number % 251 + 1);
  }
  // One stretch over the border of two pieces.
  const auto both = reach.at(2047 * 64, 128);
  ASSERT_TRUE(both);
  std::memset(both->data(), 9, 128);
  EXPECT_EQ(line(2047)[0], 9);
  EXPECT_EQ(line(2048)[63], 9);
}

TEST_F(ReachTest, OnlyWhatIsUsedIsMapped) {
  EXPECT_EQ(reach.bytes_mapped(), 0u);
  ASSERT_TRUE(reach.at(64, 64));
  EXPECT_EQ(reach.bytes_mapped(), 64u << 10);
  ASSERT_TRUE(reach.at(128, 640));
  EXPECT_EQ(reach.bytes_mapped(), 64u << 10);
  ASSERT_TRUE(reach.at(0, kBytes));
  EXPECT_EQ(reach.bytes_mapped(), kBytes);
}

TEST_F(ReachTest, APlaceStaysWhereItIs) {
  const auto before = reach.at(64, 64)->data();
  ASSERT_TRUE(reach.at(0, kBytes));
  EXPECT_EQ(reach.at(64, 64)->data(), before);
}

TEST_F(ReachTest, OutsideIsRefused) {
  EXPECT_EQ(reach.at(kBytes - 64, 65).error().code, Code::kInvalidArgument);
  EXPECT_EQ(reach.at(kBytes + 64, 0).error().code, Code::kInvalidArgument);
  EXPECT_EQ(reach.at(64, SIZE_MAX).error().code, Code::kInvalidArgument);
  EXPECT_TRUE(reach.at(kBytes, 0));
}

}  // namespace
}  // namespace penstock::host
