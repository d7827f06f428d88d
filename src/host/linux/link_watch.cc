#include "host/linux/link_watch.h"

#include <linux/rtnetlink.h>

#include <array>
#include <chrono>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "base/real_runtime.h"
#include "net/linux/netlink_socket.h"

namespace penstock::host {

using linux_net::NetlinkSocket;
namespace asio = boost::asio;

struct LinkWatch::Listener : std::enable_shared_from_this<Listener> {
  Listener(RealRuntime& r, Log& l, NetlinkSocket s)
      : runtime(r), log(l), socket(std::move(s)), readable(r.io(), socket.fd()) {}
  // The socket closes the descriptor, not asio.
  ~Listener() { close(); }

  void close() {
    changed = nullptr;
    if (readable.is_open()) readable.release();
  }

  void wait() {
    readable.async_wait(asio::posix::stream_descriptor::wait_read,
                        [self = shared_from_this()](boost::system::error_code error) {
                          if (!error && self->readable.is_open()) self->arrived();
                        });
  }

  void arrived() {
    const auto any = socket.drain();
    if (!any) log.warning("links are watched no longer: {}", any.error().text());
    if (!any) return;
    if (*any && changed) changed();
    // Whatever comes meanwhile waits in the socket; if it overflows, drain() says "look again" all
    // the same.
    runtime.after(std::chrono::milliseconds(runtime.tunables().netlink_gather_ms),
                  [weak = weak_from_this()] {
                    if (const auto self = weak.lock(); self && self->readable.is_open())
                      self->wait();
                  });
  }

  RealRuntime& runtime;
  Log& log;
  NetlinkSocket socket;
  asio::posix::stream_descriptor readable;
  std::function<void()> changed;
};

LinkWatch::LinkWatch(std::shared_ptr<Listener> listener) : listener_(std::move(listener)) {}

LinkWatch::~LinkWatch() {
  if (listener_) listener_->close();
}

Result<LinkWatch> LinkWatch::open(RealRuntime& runtime, Log& log) {
  constexpr std::array<unsigned, 1> kGroups{RTNLGRP_LINK};
  auto notifications = PENSTOCK_TRY(NetlinkSocket::open_listener(kGroups));
  auto listener = std::make_shared<Listener>(runtime, log, std::move(notifications));
  listener->wait();
  return LinkWatch(std::move(listener));
}

void LinkWatch::on_change(std::function<void()> changed) {
  listener_->changed = std::move(changed);
}

}  // namespace penstock::host
