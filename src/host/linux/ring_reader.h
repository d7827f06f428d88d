// A ring buffer of the switch, read on the strand as soon as there is something in it.
#pragma once

#include <memory>
#include <string>

#include "base/log.h"
#include "host/linux/readable.h"
#include "host/switch/ring.h"

namespace penstock::host {

class RingReader {
 public:
  // `what`, for the log: "guests' requests". Runtime and log must outlive it.
  RingReader(RealRuntime&, Log&, std::string what, std::unique_ptr<Ring>);

 private:
  Log& log_;
  std::string what_;
  std::unique_ptr<Ring> ring_;
  std::unique_ptr<Readable> readable_;
};

}  // namespace penstock::host
