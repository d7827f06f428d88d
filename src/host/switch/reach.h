// An mmap-able BPF array of which only the parts in use are mapped. Mapping a whole array makes all
// of its pages count as this process's memory at once (the kernel inserts them eagerly:
// remap_vmalloc_range in kernel/bpf/arraymap.c), and most of an arena is empty.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/error.h"

namespace penstock::host {

class Reach {
 public:
  Reach() = default;
  ~Reach();
  Reach(const Reach&) = delete;
  Reach& operator=(const Reach&) = delete;

  // Takes addresses for `bytes` of the array, none of its memory. The fd must stay open.
  Status open(int map_fd, std::size_t bytes);
  // That part of the array; it stays where it is as long as this object. kInvalidArgument: outside;
  // kResourceExhausted: the kernel gives no more mappings.
  Result<std::span<std::byte>> at(std::size_t offset, std::size_t bytes);
  std::size_t bytes() const { return bytes_; }
  std::size_t bytes_mapped() const { return mapped_; }

 private:
  static constexpr std::size_t kPiece = 64 << 10;  // a multiple of every page size

  int fd_ = -1;
  std::byte* base_ = nullptr;
  std::size_t bytes_ = 0, reserved_ = 0, mapped_ = 0;
  std::vector<bool> pieces_;  // mapped
};

}  // namespace penstock::host
