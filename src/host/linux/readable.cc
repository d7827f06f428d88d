#include "host/linux/readable.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "base/real_runtime.h"

namespace penstock::host {

namespace asio = boost::asio;

// Shared with the handler that waits in the event loop: one that runs after our end finds it
// closed.
struct Readable::Wait : std::enable_shared_from_this<Wait> {
  Wait(RealRuntime& runtime, int fd, std::function<void()> call)
      : descriptor(runtime.io(), fd), readable(std::move(call)) {}

  void close() {
    if (descriptor.is_open()) descriptor.release();
  }

  void again() {
    descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                          [self = shared_from_this()](boost::system::error_code error) {
                            if (error || !self->descriptor.is_open()) return;
                            self->readable();
                            if (self->descriptor.is_open()) self->again();
                          });
  }

  asio::posix::stream_descriptor descriptor;
  std::function<void()> readable;
};

Readable::Readable(RealRuntime& runtime, int fd, std::function<void()> readable)
    : wait_(std::make_shared<Wait>(runtime, fd, std::move(readable))) {
  wait_->again();
}

Readable::~Readable() {
  wait_->close();
}

}  // namespace penstock::host
