#include "host/linux/ring_reader.h"

namespace penstock::host {

RingReader::RingReader(RealRuntime& runtime, Log& log, std::string what, std::unique_ptr<Ring> ring)
    : log_(log), what_(std::move(what)), ring_(std::move(ring)) {
  readable_ = std::make_unique<Readable>(runtime, ring_->fd(), [this] {
    if (const auto consumed = ring_->consume(); !consumed) {
      log_.warning("{} are not read: {}", what_, consumed.error().text());
      readable_.reset();  // it would be called again at once, for ever
    }
  });
}

}  // namespace penstock::host
