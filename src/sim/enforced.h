// What a host's switch does with the packets of each port, read from the bytes of its kernel alone
// and quickly enough to be asked after every operation. (host/inspect.h is the thorough reader;
// this one compares images by content.)
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "host/sim/fake_kernel.h"
#include "net/address.h"

namespace penstock::sim {

// Numbers for byte strings: equal strings have equal numbers. In order of first sight, so equal in
// every run of a seed.
class Book {
 public:
  int number_of(std::string text) {
    return numbers_.emplace(std::move(text), static_cast<int>(numbers_.size())).first->second;
  }

 private:
  std::unordered_map<std::string, int> numbers_;  // looked up only, never iterated
};

// One port: its network, its MAC, and the services on its traffic. Text, for comparing and for
// people: "vni 7 mac 02:.. out [1:i3 2:i4] in [2:i5 1?:i6]", policies by id and image,
// "?" for one that only observes.
struct EnforcedPort {
  bool device = false;    // its device exists
  bool forwards = false;  // the guest can reach others
  std::string facet;
  std::array<std::uint64_t, 2> words{};  // the policy words
  std::array<std::string, 2> steps;      // the part of the facet
};

class EnforcedReader {
 public:
  EnforcedReader(host::FakeKernel& kernel, Book& images) : kernel_(kernel), images_(images) {}
  std::map<PortId, EnforcedPort> read();

 private:
  std::string steps_at(std::uint32_t line);
  int image_at(std::uint32_t line);

  host::FakeKernel& kernel_;
  Book& images_;
  struct Seen {
    std::string bytes;
    int number = 0;
  };
  std::map<std::uint32_t, Seen> seen_;  // by line; believed only while the bytes are the same
};

std::string facet(std::uint32_t vni, std::span<const std::uint8_t> mac, const std::string& out,
                  const std::string& in);

}  // namespace penstock::sim
