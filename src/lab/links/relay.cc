#include "lab/links/relay.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>

#include <fmt/format.h>

#include "lab/links/line.h"
#include "net/linux/fd.h"
#include "net/linux/links.h"

namespace penstock::lab {
namespace {

using cli::Json;
using linux_net::Fd;

constexpr std::size_t kLargestFrame = 65'536 + 64;
constexpr int kTapQueue = 10'000;  // frames that arrive while the relay is not running
constexpr int kFramesATurn = 64;   // then the others get theirs
constexpr timeval kPatience{5, 0};

Moment now() {
  return std::chrono::duration_cast<Moment>(std::chrono::steady_clock::now().time_since_epoch());
}

struct Tap {
  Fd fd;
  Line line;
  std::uint64_t unsent = 0;
};

Result<Fd> open_tap(const std::string& name, int mtu) {
  Fd fd(open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return fail_errno(errno, "/dev/net/tun");
  ifreq request{};
  std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL;
  if (ioctl(fd.get(), TUNSETIFF, &request) != 0) return fail_errno(errno, "make TAP " + name);
  const Fd any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  request.ifr_qlen = kTapQueue;
  if (!any || ioctl(any.get(), SIOCSIFTXQLEN, &request) != 0)
    return fail_errno(errno, "set the queue of TAP " + name);
  auto netlink = PENSTOCK_TRY(linux_net::NetlinkSocket::open());
  const auto link = PENSTOCK_TRY(linux_net::find_link(netlink, name));
  PENSTOCK_CHECK(linux_net::set_link_mtu(netlink, link.ifindex, mtu));
  PENSTOCK_CHECK(linux_net::set_link_up(netlink, link.ifindex, true));
  return fd;
}

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return fail(Code::kInvalidArgument, path + ": too long for a socket");
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

class Relay {
 public:
  Relay(std::string file, Fd listener, Fd timer, Fd events)
      : file_(std::move(file)),
        listener_(std::move(listener)),
        timer_(std::move(timer)),
        events_(std::move(events)) {}

  Status serve() {
    PENSTOCK_CHECK(look_at(listener_, nullptr));
    PENSTOCK_CHECK(look_at(timer_, nullptr));
    while (true) {
      std::array<epoll_event, 64> ready;
      const int count = epoll_wait(events_.get(), ready.data(), ready.size(), -1);
      if (count < 0 && errno != EINTR) return fail_errno(errno, "wait for frames");
      bool asked = false;
      for (int i = 0; i < count; ++i) {
        if (auto* tap = static_cast<Tap*>(ready[static_cast<std::size_t>(i)].data.ptr)) {
          read(*tap);
        } else {
          asked = true;
        }
      }
      if (asked) answer();
      depart();
    }
  }

 private:
  Status look_at(const Fd& fd, Tap* tap) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = tap;
    if (epoll_ctl(events_.get(), EPOLL_CTL_ADD, fd.get(), &event) != 0)
      return fail_errno(errno, "wait for a file");
    return {};
  }

  // False: nothing is left to read.
  bool read(Tap& tap) {
    for (int i = 0; i < kFramesATurn; ++i) {
      const auto size = ::read(tap.fd.get(), buffer_.data(), buffer_.size());
      if (size <= 0) return false;
      tap.line.take(Frame(buffer_.begin(), buffer_.begin() + size), now());
    }
    return true;
  }

  void write(Tap& tap, const Frame& frame) {
    if (::write(tap.fd.get(), frame.data(), frame.size()) < 0) ++tap.unsent;
  }

  // Sends what is due, then sets the timer for what comes next.
  void depart() {
    std::optional<Moment> first;
    for (auto& [name, tap] : taps_) {
      const auto due = tap->line.next();
      if (due && *due <= now())
        tap->line.depart(now(), [&, &tap = *tap](const Frame& frame) { write(tap, frame); });
      const auto next = tap->line.next();
      if (next && (!first || *next < *first)) first = next;
    }
    itimerspec when{};
    if (first) {
      when.it_value.tv_sec = first->count() / 1'000'000'000;
      when.it_value.tv_nsec = first->count() % 1'000'000'000 + 1;  // all zero would disarm it
    }
    timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
  }

  void answer() {
    std::uint64_t expirations = 0;
    (void)!::read(timer_.get(), &expirations, sizeof expirations);
    const Fd client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!client) return;
    setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
    std::array<char, 64> word{};
    const auto size = ::read(client.get(), word.data(), word.size());
    const auto said =
        said_to(std::string(word.data(), size > 0 ? static_cast<std::size_t>(size) : 0));
    const auto text = said.dump();
    (void)!::write(client.get(), text.data(), text.size());
  }

  Json said_to(const std::string& word) {
    const auto done = [](const Status& status) {
      return status ? Json::object() : Json{{"error", status.error().text()}};
    };
    if (word == "update") return done(update());
    if (word == "trim") return done(trim());
    if (word == "counts") return counts();
    return {{"error", "unknown word " + word}};
  }

  // Called with what the file asks for: name of the TAP, its setting, the MTU.
  Status each_wanted(
      const std::function<Status(const std::string&, const Impairment&, int)>& each) {
    std::ifstream file(file_);
    const auto links = Json::parse(file, nullptr, false);
    if (!links.is_object()) return fail(Code::kInternal, file_ + " cannot be read");
    for (const auto& [name, link] : links.items()) {
      const auto impairments = Impairments::from_json(link);
      const auto port = cli::text_at(cli::at(link, "port"));
      const auto mtu = static_cast<int>(cli::number_at(cli::at(link, "mtu")));
      for (const bool out : {false, true}) {
        const auto& way = out ? impairments.out : impairments.in;
        if (way.needs_time()) PENSTOCK_CHECK(each(relay_tap(port, out), way, mtu));
      }
    }
    return {};
  }

  Status update() {
    return each_wanted([&](const std::string& name, const Impairment& way, int mtu) -> Status {
      if (const auto found = taps_.find(name); found != taps_.end()) {
        found->second->line.set(way);
        return {};
      }
      auto tap = std::make_unique<Tap>(Tap{PENSTOCK_TRY(open_tap(name, mtu)), Line(way)});
      PENSTOCK_CHECK(look_at(tap->fd, tap.get()));
      taps_.emplace(name, std::move(tap));
      return {};
    });
  }

  Status trim() {
    std::map<std::string, bool> wanted;
    PENSTOCK_CHECK(each_wanted([&](const std::string& name, const Impairment&, int) -> Status {
      wanted[name] = true;
      return {};
    }));
    std::erase_if(taps_, [&](auto& entry) {
      if (wanted.contains(entry.first)) return false;
      auto& tap = *entry.second;
      while (read(tap)) {
      }
      tap.line.flush([&](const Frame& frame) { write(tap, frame); });
      return true;
    });
    return {};
  }

  Json counts() {
    Json all = Json::object();
    for (const auto& [name, tap] : taps_) {
      const auto& counts = tap->line.counts();
      all[name] = {{"taken", counts.taken},
                   {"overrun", counts.overrun},
                   {"reordered", counts.reordered},
                   {"unsent", tap->unsent}};
    }
    return all;
  }

  const std::string file_;
  const Fd listener_, timer_, events_;
  std::map<std::string, std::unique_ptr<Tap>> taps_;
  std::array<std::byte, kLargestFrame> buffer_;
};

}  // namespace

std::string relay_tap(const std::string& port, bool out) {
  return port + (out ? "o" : "i");
}

Status serve_relay(const std::string& file, const std::string& socket_path) {
  // Late frames are what the relay must not make: first in line, where that is allowed. It only
  // ever runs for as long as it takes to move what is due.
  const sched_param first{.sched_priority = 1};
  if (sched_setscheduler(0, SCHED_RR, &first) != 0) setpriority(PRIO_PROCESS, 0, -20);
  const auto address = PENSTOCK_TRY(address_of(socket_path));
  Fd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  unlink(socket_path.c_str());
  if (!listener ||
      bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener.get(), 8) != 0)
    return fail_errno(errno, socket_path);
  Fd timer(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  Fd events(epoll_create1(EPOLL_CLOEXEC));
  if (!timer || !events) return fail_errno(errno, "make a timer");
  auto relay =
      std::make_unique<Relay>(file, std::move(listener), std::move(timer), std::move(events));
  return relay->serve();
}

Result<Json> ask_relay(const std::string& socket_path, const std::string& word) {
  const auto address = PENSTOCK_TRY(address_of(socket_path));
  const Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  if (!fd || connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail(Code::kUnavailable,
                fmt::format("the relay of slow links does not answer: {}", strerror(errno)));
  if (write(fd.get(), word.data(), word.size()) < 0) return fail_errno(errno, "ask the relay");
  std::string text;
  std::array<char, 4096> part;
  for (ssize_t size; (size = read(fd.get(), part.data(), part.size())) != 0;) {
    if (size < 0) return fail_errno(errno, "hear the relay");
    text.append(part.data(), static_cast<std::size_t>(size));
  }
  auto json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return fail(Code::kInternal, "the relay of slow links said: " + text);
  if (const auto error = cli::text_at(cli::at(json, "error")); !error.empty())
    return fail(Code::kInternal, "relay of slow links: " + error);
  return json;
}

}  // namespace penstock::lab
