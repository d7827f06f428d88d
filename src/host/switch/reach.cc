#include "host/switch/reach.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

namespace penstock::host {

Reach::~Reach() {
  if (base_) munmap(base_, reserved_);
}

Status Reach::open(int map_fd, std::size_t bytes) {
  const auto pieces = (bytes + kPiece - 1) / kPiece;
  void* base =
      mmap(nullptr, pieces * kPiece, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) return fail_errno(errno, "take addresses for a map of the switch");
  fd_ = map_fd;
  base_ = static_cast<std::byte*>(base);
  bytes_ = bytes;
  reserved_ = pieces * kPiece;
  pieces_.assign(pieces, false);
  return {};
}

Result<std::span<std::byte>> Reach::at(std::size_t offset, std::size_t bytes) {
  if (offset > bytes_ || bytes > bytes_ - offset)
    return fail(Code::kInvalidArgument, fmt::format("bytes {} to {} are outside the arena of {}",
                                                    offset, offset + bytes, bytes_));
  for (auto piece = offset / kPiece; piece * kPiece < offset + bytes; ++piece) {
    if (pieces_[piece]) continue;
    const auto start = piece * kPiece;
    const auto length = std::min(kPiece, bytes_ - start);  // the kernel rounds up to a page
    if (mmap(base_ + start, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd_,
             static_cast<off_t>(start)) == MAP_FAILED) {
      auto error =
          fail_errno(errno, fmt::format("map bytes {} to {} of the arena", start, start + length));
      // A failure may have left a hole, which must not become somebody else's memory.
      mmap(base_ + start, length, PROT_NONE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
      return error;
    }
    pieces_[piece] = true;
    mapped_ += length;
  }
  return std::span(base_ + offset, bytes);
}

}  // namespace penstock::host
