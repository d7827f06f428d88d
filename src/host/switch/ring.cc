#include "host/switch/ring.h"

#include <bpf/libbpf.h>

#include <cerrno>

namespace penstock::host {

Result<std::unique_ptr<Ring>> Ring::open(int map_fd, Sink sink) {
  std::unique_ptr<Ring> ring(new Ring(std::move(sink)));
  const auto record = [](void* self, void* data, size_t size) {
    static_cast<Ring*>(self)->sink_({static_cast<const std::byte*>(data), size});
    return 0;
  };
  ring->ring_ = ring_buffer__new(map_fd, record, ring.get(), nullptr);
  if (!ring->ring_) return fail_errno(errno, "open ring buffer");
  return ring;
}

Ring::~Ring() {
  ring_buffer__free(ring_);
}

int Ring::fd() const {
  return ring_buffer__epoll_fd(ring_);
}

Result<int> Ring::consume() {
  const int count = ring_buffer__consume(ring_);
  if (count < 0) return fail_errno(-count, "read ring buffer");
  return count;
}

}  // namespace penstock::host
