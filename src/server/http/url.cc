#include "server/http/url.h"

namespace penstock {
namespace {

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Result<std::string> unescape(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      const int high = i + 2 < text.size() ? hex(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex(text[i + 2]) : -1;
      if (high < 0 || low < 0)
        return fail(Code::kInvalidArgument, "the URL has a broken %-escape",
                    "write a % itself as %25");
      c = static_cast<char>(high * 16 + low);
      i += 2;
    } else if (c == '+' && plus_is_space) {
      c = ' ';
    }
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      return fail(Code::kInvalidArgument, "the URL has a control character");
    out.push_back(c);
  }
  return out;
}

}  // namespace

Result<Url> Url::parse(std::string_view target) {
  if (target.empty() || target[0] != '/')
    return fail(Code::kInvalidArgument, "the URL has no path that begins with \"/\"");
  target = target.substr(0, target.find('#'));
  Url url;
  const auto question = target.find('?');
  auto path = target.substr(1, question == target.npos ? target.npos : question - 1);
  while (!path.empty()) {
    const auto slash = path.find('/');
    if (const auto segment = path.substr(0, slash); !segment.empty())
      url.segments.push_back(PENSTOCK_TRY(unescape(segment, false)));
    path = slash == path.npos ? std::string_view() : path.substr(slash + 1);
  }
  auto query = question == target.npos ? std::string_view() : target.substr(question + 1);
  while (!query.empty()) {
    const auto end = query.find('&');
    const auto pair = query.substr(0, end);
    query = end == query.npos ? std::string_view() : query.substr(end + 1);
    if (pair.empty()) continue;
    const auto equals = pair.find('=');
    auto name = PENSTOCK_TRY(unescape(pair.substr(0, equals), true));
    auto value =
        equals == pair.npos ? std::string() : PENSTOCK_TRY(unescape(pair.substr(equals + 1), true));
    url.query.emplace_back(std::move(name), std::move(value));
  }
  return url;
}

std::optional<std::string_view> Url::parameter(std::string_view name) const {
  std::optional<std::string_view> found;
  for (const auto& [key, value] : query)
    if (key == name) found = value;
  return found;
}

}  // namespace penstock
