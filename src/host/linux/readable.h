// Calls back on the strand whenever a file descriptor is readable: ring buffers, event descriptors.
#pragma once

#include <functional>
#include <memory>

namespace penstock {
class RealRuntime;
}

namespace penstock::host {

class Readable {
 public:
  // `fd` stays the caller's and must stay open as long as this object; `readable` must read it
  // empty (it is called again at once otherwise).
  Readable(RealRuntime&, int fd, std::function<void()> readable);
  ~Readable();
  Readable(const Readable&) = delete;
  Readable& operator=(const Readable&) = delete;

 private:
  struct Wait;
  std::shared_ptr<Wait> wait_;
};

}  // namespace penstock::host
