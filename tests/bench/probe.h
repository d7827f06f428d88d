// Watches when a port closes: UDP packets at a steady rate from one namespace into another, each
// with its number, and the moment each was sent.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "net/linux/fd.h"

namespace penstock::bench {

using Clock = std::chrono::steady_clock;

// A UDP socket in the network namespace at `path`; bound to `port` when it is not 0.
Result<linux_net::Fd> udp_socket_in(const std::string& path, std::uint16_t port);

// One stream of numbered packets, sent by a thread of its own from construction to stop().
class Stream {
 public:
  // `from` and `to` are lent. `to` receives what is sent to `address` (IPv4), `port`.
  Stream(int from, int to, const std::string& address, std::uint16_t port, int packets_per_s);
  ~Stream();
  Stream(const Stream&) = delete;

  // Reads what has arrived so far.
  void drain();
  // Packets that arrived, and that were sent by now, counted from 1: the number of the last.
  std::size_t last_arrived() const { return last_arrived_; }
  std::size_t sent() const { return sent_.load(std::memory_order_acquire); }
  // When packet `number` was handed to the kernel. It has been sent.
  Clock::time_point sent_at(std::size_t number) const { return times_[number - 1]; }
  void stop();

 private:
  void send_all(int packets_per_s);

  int from_, to_;
  std::uint64_t id_;  // tells this stream's packets from late ones of another
  std::size_t last_arrived_ = 0;
  std::vector<Clock::time_point> times_;  // by number - 1; its size is the most that is sent
  std::atomic<std::size_t> sent_{0};
  std::atomic<bool> stop_{false};
  std::jthread thread_;
};

}  // namespace penstock::bench
