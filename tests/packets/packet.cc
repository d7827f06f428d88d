#include "tests/packets/packet.h"

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

#include "base/ensure.h"

namespace penstock::packets {
namespace {

std::pair<std::string_view, std::string_view> split(std::string_view text) {
  const auto at = text.find(" > ");
  ensure(at != std::string_view::npos, "a pair is written \"source > destination\"");
  return {text.substr(0, at), text.substr(at + 3)};
}

Mac mac(std::string_view text) {
  const auto parsed = Mac::parse(text);
  ensure(parsed, "test MAC address");
  return *parsed;
}

IpAddress address(std::string_view text) {
  const auto parsed = IpAddress::parse(text);
  ensure(parsed, "test IP address");
  return *parsed;
}

void put16(Frame& to, std::uint32_t value) {
  to.push_back(static_cast<std::uint8_t>(value >> 8));
  to.push_back(static_cast<std::uint8_t>(value));
}

void put32(Frame& to, std::uint32_t value) {
  put16(to, value >> 16);
  put16(to, value);
}

void set16(Frame& in, std::size_t at, std::uint32_t value) {
  in[at] = static_cast<std::uint8_t>(value >> 8);
  in[at + 1] = static_cast<std::uint8_t>(value);
}

std::uint32_t get16(std::span<const std::uint8_t> bytes, std::size_t at) {
  return bytes[at] << 8 | bytes[at + 1];
}

std::uint32_t get32(std::span<const std::uint8_t> bytes, std::size_t at) {
  return get16(bytes, at) << 16 | get16(bytes, at + 2);
}

std::uint32_t sum(std::span<const std::uint8_t> bytes) {
  std::uint32_t total = 0;
  for (std::size_t i = 0; i < bytes.size(); i += 2)
    total += bytes[i] << 8 | (i + 1 < bytes.size() ? bytes[i + 1] : 0);
  return total;
}

std::uint16_t fold(std::uint32_t total) {
  while (total >> 16) total = (total & 0xffff) + (total >> 16);
  return static_cast<std::uint16_t>(~total);
}

std::uint32_t pseudo(std::span<const std::uint8_t> source,
                     std::span<const std::uint8_t> destination, std::uint8_t protocol,
                     std::size_t length) {
  return sum(source) + sum(destination) + protocol + static_cast<std::uint32_t>(length);
}

std::span<const std::uint8_t> wire(const IpAddress& a) {
  return std::span(a.bytes).first(a.family == Family::kV4 ? 4 : 16);
}

void ethernet(Frame& to, std::string_view macs, std::uint16_t type) {
  const auto [from, dest] = split(macs);
  const Mac source = mac(from), destination = mac(dest);
  to.insert(to.end(), destination.bytes.begin(), destination.bytes.end());
  to.insert(to.end(), source.bytes.begin(), source.bytes.end());
  put16(to, type);
}

Frame arp(std::string_view macs, int operation, std::string_view sender, std::string_view target,
          std::string_view sender_mac) {
  Frame frame;
  ethernet(frame, macs, 0x0806);
  const auto [from, to] = split(macs);
  const Mac source = mac(sender_mac.empty() ? from : sender_mac);
  const Mac destination = operation == 1 ? Mac{} : mac(to);
  put16(frame, 1);
  put16(frame, 0x0800);
  put16(frame, 0x0604);
  put16(frame, static_cast<std::uint32_t>(operation));
  frame.insert(frame.end(), source.bytes.begin(), source.bytes.end());
  put32(frame, address(sender).v4_host_order());
  frame.insert(frame.end(), destination.bytes.begin(), destination.bytes.end());
  put32(frame, address(target).v4_host_order());
  return frame;
}

Frame discovery(std::string_view macs, std::string_view ips, std::uint8_t type,
                std::string_view target, std::string_view option_mac) {
  Frame body;
  const auto t = address(target);
  body.insert(body.end(), t.bytes.begin(), t.bytes.end());
  if (!option_mac.empty()) {
    const Mac m = mac(option_mac);
    body.push_back(type == 135 ? 1 : 2);
    body.push_back(1);
    body.insert(body.end(), m.bytes.begin(), m.bytes.end());
  }
  const std::uint32_t flags = type == 136 ? 0x60000000 : 0;
  return Packet(macs).ip(ips).hops(255).icmp(type, 0, flags).payload(body).frame();
}

}  // namespace

Packet::Packet(std::string_view macs)
    : from_(mac(split(macs).first)), to_(mac(split(macs).second)) {}

Packet& Packet::vlan(std::uint16_t id) {
  vlan_ = id;
  return *this;
}

Packet& Packet::ip(std::string_view addresses) {
  source_ = address(split(addresses).first);
  destination_ = address(split(addresses).second);
  return *this;
}

Packet& Packet::options(int words) {
  option_words_ = words;
  return *this;
}

Packet& Packet::extension(std::uint8_t header, int words) {
  extensions_.push_back({header, words});
  return *this;
}

Packet& Packet::fragment(std::uint32_t id, std::uint16_t offset, bool more) {
  fragmented_ = true;
  fragment_id_ = id;
  offset_ = offset;
  more_ = more;
  return *this;
}

Packet& Packet::hops(std::uint8_t hops) {
  hops_ = hops;
  return *this;
}

Packet& Packet::tcp(std::uint16_t source, std::uint16_t destination, std::uint8_t flags,
                    std::uint32_t sequence, std::uint32_t acknowledged) {
  protocol_ = 6;
  put16(transport_, source);
  put16(transport_, destination);
  put32(transport_, sequence);
  put32(transport_, acknowledged);
  transport_.push_back(5 << 4);
  transport_.push_back(flags);
  put16(transport_, 65535);
  put32(transport_, 0);
  return *this;
}

Packet& Packet::udp(std::uint16_t source, std::uint16_t destination) {
  protocol_ = 17;
  put16(transport_, source);
  put16(transport_, destination);
  put32(transport_, 0);
  return *this;
}

Packet& Packet::sctp(std::uint16_t source, std::uint16_t destination) {
  protocol_ = 132;
  put16(transport_, source);
  put16(transport_, destination);
  put32(transport_, 0);
  put32(transport_, 0);
  return *this;
}

Packet& Packet::icmp(std::uint8_t type, std::uint8_t code, std::uint32_t rest) {
  protocol_ = source_.family == Family::kV4 ? 1 : 58;
  transport_ = {type, code, 0, 0};
  put32(transport_, rest);
  return *this;
}

Packet& Packet::protocol(std::uint8_t number) {
  protocol_ = number;
  return *this;
}

Packet& Packet::payload(std::size_t bytes, std::uint8_t fill) {
  payload_.assign(bytes, fill);
  return *this;
}

Packet& Packet::payload(std::span<const std::uint8_t> bytes) {
  payload_.assign(bytes.begin(), bytes.end());
  return *this;
}

Frame Packet::frame() const {
  Frame frame(to_.bytes.begin(), to_.bytes.end());
  frame.insert(frame.end(), from_.bytes.begin(), from_.bytes.end());
  if (vlan_ >= 0) {
    put16(frame, 0x8100);
    put16(frame, static_cast<std::uint32_t>(vlan_));
  }
  Frame body = offset_ == 0 ? transport_ : Frame();
  body.insert(body.end(), payload_.begin(), payload_.end());
  if (offset_ == 0 && protocol_ == 17) set16(body, 4, static_cast<std::uint32_t>(body.size()));
  if (offset_ == 0 && !more_) {
    const auto total =
        pseudo(wire(source_), wire(destination_), protocol_, body.size()) + sum(body);
    if (protocol_ == 6) set16(body, 16, fold(total));
    if (protocol_ == 17) set16(body, 6, fold(total));
    if (protocol_ == 58) set16(body, 2, fold(total));
    if (protocol_ == 1) set16(body, 2, fold(sum(body)));
  }
  if (source_.family == Family::kV4) {
    put16(frame, 0x0800);
    Frame header;
    header.push_back(static_cast<std::uint8_t>(0x45 + option_words_));
    header.push_back(0);
    put16(header, static_cast<std::uint32_t>(20 + option_words_ * 4 + body.size()));
    put16(header, fragment_id_);
    put16(header, (more_ ? 0x2000u : 0) | offset_ / 8);
    header.push_back(hops_);
    header.push_back(protocol_);
    put16(header, 0);
    for (const auto* a : {&source_, &destination_})
      header.insert(header.end(), wire(*a).begin(), wire(*a).end());
    header.insert(header.end(), static_cast<std::size_t>(option_words_) * 4, 1);
    set16(header, 10, fold(sum(header)));
    frame.insert(frame.end(), header.begin(), header.end());
  } else {
    put16(frame, 0x86dd);
    Frame chain;
    auto all = extensions_;
    if (fragmented_) all.push_back({44, 0});
    for (std::size_t i = 0; i < all.size(); ++i) {
      const std::uint8_t next = i + 1 < all.size() ? all[i + 1].header : protocol_;
      if (all[i].header == 44) {
        chain.push_back(next);
        chain.push_back(0);
        put16(chain, offset_ | (more_ ? 1u : 0));
        put32(chain, fragment_id_);
      } else {
        chain.push_back(next);
        chain.push_back(static_cast<std::uint8_t>(all[i].words));
        chain.insert(chain.end(), 6 + static_cast<std::size_t>(all[i].words) * 8, 0);
      }
    }
    put32(frame, 0x60000000);
    put16(frame, static_cast<std::uint32_t>(chain.size() + body.size()));
    frame.push_back(all.empty() ? protocol_ : all[0].header);
    frame.push_back(hops_);
    for (const auto* a : {&source_, &destination_})
      frame.insert(frame.end(), wire(*a).begin(), wire(*a).end());
    frame.insert(frame.end(), chain.begin(), chain.end());
  }
  frame.insert(frame.end(), body.begin(), body.end());
  return frame;
}

Frame arp_request(std::string_view macs, std::string_view sender, std::string_view target,
                  std::string_view sender_mac) {
  return arp(macs, 1, sender, target, sender_mac);
}

Frame arp_reply(std::string_view macs, std::string_view sender, std::string_view target) {
  return arp(macs, 2, sender, target, {});
}

Frame neighbor_solicitation(std::string_view macs, std::string_view ips, std::string_view target,
                            std::string_view option_mac) {
  return discovery(macs, ips, 135, target, option_mac);
}

Frame neighbor_advertisement(std::string_view macs, std::string_view ips, std::string_view target,
                             std::string_view option_mac) {
  return discovery(macs, ips, 136, target, option_mac);
}

std::vector<std::uint8_t> quoted(const Frame& frame, std::size_t bytes) {
  return {frame.begin() + 14,
          frame.begin() + static_cast<std::ptrdiff_t>(std::min(frame.size(), 14 + bytes))};
}

namespace {

std::string mac_text(std::span<const std::uint8_t> b) {
  return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", b[0], b[1], b[2], b[3], b[4],
                     b[5]);
}

std::string ip_text(std::span<const std::uint8_t> b) {
  IpAddress a{b.size() == 4 ? Family::kV4 : Family::kV6, {}};
  std::ranges::copy(b, a.bytes.begin());
  return a.text();
}

std::string flags_text(std::uint8_t flags) {
  std::string text;
  for (const auto& [bit, name] :
       {std::pair{SYN, "SYN"}, {FIN, "FIN"}, {RST, "RST"}, {PSH, "PSH"}, {ACK, "ACK"}})
    if (flags & bit) text += (text.empty() ? "" : ",") + std::string(name);
  return text.empty() ? "none" : text;
}

std::string describe_ip(std::span<const std::uint8_t> b, bool quote);

std::string describe_transport(std::span<const std::uint8_t> b, std::uint8_t protocol, int family,
                               bool quote) {
  if (protocol == 6 && b.size() >= 20) {
    auto text = fmt::format(" tcp {} > {} {} seq {}", get16(b, 0), get16(b, 2), flags_text(b[13]),
                            get32(b, 4));
    if (get32(b, 8)) text += fmt::format(" ack {}", get32(b, 8));
    return text;
  }
  if ((protocol == 17 || protocol == 6 || protocol == 132) && b.size() >= 8)
    return fmt::format(" {} {} > {}", ip_protocol_text(protocol), get16(b, 0), get16(b, 2));
  if ((protocol == 1 || protocol == 58) && b.size() >= 8) {
    auto text = fmt::format(" {} type {} code {}", protocol == 1 ? "icmp" : "icmpv6", b[0], b[1]);
    const bool error = family == 4 ? b[0] == 3 || b[0] == 11 || b[0] == 12 : b[0] >= 1 && b[0] <= 4;
    if (error && !quote) {
      if (get32(b, 4)) text += fmt::format(" mtu {}", get32(b, 4));
      return text + " about [" + describe_ip(b.subspan(8), true).substr(1) + "]";
    }
    if (family == 6 && (b[0] == 135 || b[0] == 136) && b.size() >= 24) {
      text += fmt::format(" target {}", ip_text(b.subspan(8, 16)));
      if (b[0] == 136) text += fmt::format(" flags {:x}", b[4] >> 4);
      if (b.size() >= 32) text += fmt::format(" mac {}", mac_text(b.subspan(26, 6)));
    }
    return text;
  }
  return fmt::format(" proto {}", protocol);
}

std::string describe_ip(std::span<const std::uint8_t> b, bool quote) {
  if (b.size() < 20) return " short";
  if (b[0] >> 4 == 4) {
    const std::size_t header = (b[0] & 15) * 4u;
    if (b.size() < header) return " short";
    auto text = fmt::format(" ip4 {} > {}", ip_text(b.subspan(12, 4)), ip_text(b.subspan(16, 4)));
    const auto total = std::min<std::size_t>(get16(b, 2), b.size());
    const auto body = b.subspan(header, std::max(total, header) - header);
    if (get16(b, 6) & 0x1fff) return text + " later fragment";
    text += describe_transport(body, b[9], 4, quote);
    if (quote) return text;
    if (fold(sum(b.first(header))) != 0) text += " BAD IP CHECKSUM";
    const auto p = pseudo(b.subspan(12, 4), b.subspan(16, 4), b[9], body.size());
    if (b[9] == 6 && fold(p + sum(body)) != 0) text += " BAD CHECKSUM";
    if (b[9] == 1 && fold(sum(body)) != 0) text += " BAD CHECKSUM";
    return text;
  }
  if (b.size() < 40) return " short";
  auto text = fmt::format(" ip6 {} > {}", ip_text(b.subspan(8, 16)), ip_text(b.subspan(24, 16)));
  const auto body = b.subspan(40, std::min<std::size_t>(get16(b, 4), b.size() - 40));
  text += describe_transport(body, b[6], 6, quote);
  if (quote) return text;
  const auto p = pseudo(b.subspan(8, 16), b.subspan(24, 16), b[6], body.size());
  if ((b[6] == 6 || b[6] == 58) && fold(p + sum(body)) != 0) text += " BAD CHECKSUM";
  return text;
}

}  // namespace

std::string describe(const Frame& frame) {
  const std::span<const std::uint8_t> b(frame);
  if (b.size() < 14) return "short";
  const auto text = mac_text(b.subspan(6, 6)) + " > " + mac_text(b.first(6));
  const auto type = get16(b, 12);
  if (type == 0x0806 && b.size() >= 42)
    return fmt::format("{} arp {} {} is {} to {} {}", text, get16(b, 20) == 1 ? "request" : "reply",
                       ip_text(b.subspan(28, 4)), mac_text(b.subspan(22, 6)),
                       ip_text(b.subspan(38, 4)), mac_text(b.subspan(32, 6)));
  if (type == 0x0800 || type == 0x86dd) return text + describe_ip(b.subspan(14), false);
  return fmt::format("{} type {:04x}", text, type);
}

}  // namespace penstock::packets
