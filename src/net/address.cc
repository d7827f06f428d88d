#include "net/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include <fmt/format.h>

namespace penstock {
namespace {

template <typename Number>
std::optional<Number> number(std::string_view text, int base = 10) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Error invalid(std::string message, std::string hint = {}) {
  return {Code::kInvalidArgument, std::move(message), {}, std::move(hint)};
}

IpAddress masked(IpAddress address, int length) {
  for (int bit = length; bit < address.width(); ++bit)
    address.bytes[bit / 8] &= static_cast<std::uint8_t>(~(0x80 >> bit % 8));
  return address;
}

struct ProtocolName {
  std::string_view name;
  std::uint8_t number;
};
constexpr ProtocolName kProtocols[] = {{"icmp", 1},   {"tcp", 6}, {"udp", 17},   {"gre", 47},
                                       {"esp", 50},   {"ah", 51}, {"icmpv6", 58}, {"sctp", 132}};

}  // namespace

Result<Mac> Mac::parse(std::string_view text) {
  Mac mac;
  const auto bad = [&] {
    return std::unexpected(invalid(fmt::format("\"{}\" is not a MAC address", text),
                                   "six bytes in hex, like 02:00:0a:00:01:05"));
  };
  if (text.size() != 17) return bad();
  for (int i = 0; i < 6; ++i) {
    const auto byte = number<std::uint8_t>(text.substr(3 * i, 2), 16);
    if (!byte || (i < 5 && text[3 * i + 2] != ':')) return bad();
    mac.bytes[i] = *byte;
  }
  return mac;
}

std::string Mac::text() const { return fmt::format("{:02x}", fmt::join(bytes, ":")); }

Result<IpAddress> IpAddress::parse(std::string_view text) {
  IpAddress address;
  const std::string copy(text);
  address.family = copy.find(':') == std::string::npos ? Family::kV4 : Family::kV6;
  if (inet_pton(address.family == Family::kV4 ? AF_INET : AF_INET6, copy.c_str(), address.bytes.data()) != 1)
    return std::unexpected(invalid(fmt::format("\"{}\" is not an IP address", text)));
  return address;
}

IpAddress IpAddress::v4(std::uint32_t host_order) {
  IpAddress address;
  for (int i = 0; i < 4; ++i) address.bytes[i] = static_cast<std::uint8_t>(host_order >> (24 - 8 * i));
  return address;
}

std::string IpAddress::text() const {
  char buffer[INET6_ADDRSTRLEN];
  return inet_ntop(family == Family::kV4 ? AF_INET : AF_INET6, bytes.data(), buffer, sizeof buffer);
}

std::uint32_t IpAddress::v4_host_order() const {
  return std::uint32_t{bytes[0]} << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
}

IpAddress IpAddress::plus(std::uint64_t n) const {
  IpAddress sum = *this;
  for (int i = width() / 8 - 1; i >= 0 && n > 0; --i) {
    n += sum.bytes[i];
    sum.bytes[i] = static_cast<std::uint8_t>(n);
    n >>= 8;
  }
  return sum;
}

Result<IpPrefix> IpPrefix::parse(std::string_view text) {
  const auto slash = text.find('/');
  const auto address = PENSTOCK_TRY(IpAddress::parse(text.substr(0, slash)));
  int length = address.width();
  if (slash != std::string_view::npos) {
    const auto given = number<int>(text.substr(slash + 1));
    if (!given || *given < 0 || *given > address.width())
      return std::unexpected(invalid(fmt::format("\"{}\" is not a prefix", text),
                                     fmt::format("the length is 0 to {}", address.width())));
    length = *given;
  }
  const IpPrefix prefix{masked(address, length), static_cast<std::uint8_t>(length)};
  if (prefix.address != address)
    return std::unexpected(invalid(fmt::format("\"{}\" has bits set past its length", text),
                                   fmt::format("did you mean \"{}\"?", prefix.text())));
  return prefix;
}

std::string IpPrefix::text() const { return fmt::format("{}/{}", address.text(), length); }

bool IpPrefix::contains(const IpAddress& other) const {
  return other.family == address.family && masked(other, length) == address;
}

bool IpPrefix::overlaps(const IpPrefix& other) const {
  return contains(other.address) || other.contains(address);
}

IpAddress IpPrefix::last() const {
  IpAddress end = address;
  for (int bit = length; bit < address.width(); ++bit)
    end.bytes[bit / 8] |= static_cast<std::uint8_t>(0x80 >> bit % 8);
  return end;
}

Result<PortRange> PortRange::parse(std::string_view text) {
  const auto dash = text.find('-');
  const auto low = number<std::uint16_t>(text.substr(0, dash));
  const auto high = dash == std::string_view::npos ? low : number<std::uint16_t>(text.substr(dash + 1));
  if (!low || !high)
    return std::unexpected(
        invalid(fmt::format("\"{}\" is not a port or range of ports", text), "like 22 or 8000-8080"));
  if (*low > *high)
    return std::unexpected(invalid(fmt::format("\"{}\" is not a range: low end above high end", text),
                                   fmt::format("did you mean \"{}-{}\"?", *high, *low)));
  return PortRange{*low, *high};
}

std::string PortRange::text() const {
  return low == high ? fmt::format("{}", low) : fmt::format("{}-{}", low, high);
}

Result<std::uint8_t> parse_ip_protocol(std::string_view text) {
  const auto known = std::ranges::find(kProtocols, text, &ProtocolName::name);
  if (known != std::end(kProtocols)) return known->number;
  if (const auto value = number<std::uint8_t>(text)) return *value;
  return std::unexpected(invalid(fmt::format("\"{}\" is not an IP protocol", text),
                                 "tcp, udp, icmp, icmpv6, sctp, gre, esp, ah, or a number up to 255"));
}

std::string ip_protocol_text(std::uint8_t protocol) {
  const auto known = std::ranges::find(kProtocols, protocol, &ProtocolName::number);
  return known != std::end(kProtocols) ? std::string(known->name) : fmt::format("{}", protocol);
}

}  // namespace penstock
