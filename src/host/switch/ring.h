// A BPF ring buffer, read on the strand.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>

#include "base/error.h"

struct ring_buffer;

namespace penstock::host {

class Ring {
 public:
  using Sink = std::function<void(std::span<const std::byte>)>;
  // Does not take the map's fd over. The sink is called by consume() only.
  static Result<std::unique_ptr<Ring>> open(int map_fd, Sink);
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // Readable (an epoll instance) when there are records.
  int fd() const;
  // Hands all records there are to the sink; how many.
  Result<int> consume();

 private:
  explicit Ring(Sink sink) : sink_(std::move(sink)) {}
  Sink sink_;
  ring_buffer* ring_ = nullptr;
};

}  // namespace penstock::host
