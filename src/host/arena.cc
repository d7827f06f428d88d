#include "host/arena.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include <fmt/format.h>

#include "base/ensure.h"

namespace penstock::host {

Arena::Arena(Kernel& kernel)
    : kernel_(kernel), lines_(static_cast<std::uint32_t>(kernel.arena_bytes() / kLineBytes)) {
  if (lines_ > 1) free_[1] = lines_ - 1;
  if (const auto line = kernel_.arena(0, kLineBytes)) mark_ = *line;
}

std::uint32_t Arena::find_free(std::uint32_t lines) const {
  for (const auto& [line, length] : free_)
    if (length >= lines) return line;
  return 0;
}

void Arena::take(std::uint32_t line, std::uint32_t lines) {
  auto extent = std::prev(free_.upper_bound(line));
  const auto [start, length] = *extent;
  free_.erase(extent);
  if (start < line) free_[start] = line - start;
  if (line + lines < start + length) free_[line + lines] = start + length - line - lines;
}

void Arena::give_back(std::uint32_t line, std::uint32_t lines) {
  auto next = free_.lower_bound(line);
  if (next != free_.end() && next->first == line + lines) {
    lines += next->second;
    next = free_.erase(next);
  }
  if (next != free_.begin()) {
    auto before = std::prev(next);
    if (before->first + before->second == line) {
      before->second += lines;
      return;
    }
  }
  free_[line] = lines;
}

Result<std::uint32_t> Arena::hold(ByteView content, std::string_view what) {
  ensure(!content.empty() && content.size() % kLineBytes == 0, "arena content is whole lines");
  const auto key = digest(content);
  if (const auto found = by_content_.find(key); found != by_content_.end()) {
    hold_again(found->second);
    return found->second;
  }
  const auto lines = static_cast<std::uint32_t>(content.size() / kLineBytes);
  auto line = find_free(lines);
  if (line == 0 && released_ > 0) {
    PENSTOCK_CHECK(reclaim());
    line = find_free(lines);
  }
  if (line == 0) {
    std::uint32_t free = 0, longest = 0;
    for (const auto& [start, length] : free_) {
      free += length;
      longest = std::max(longest, length);
    }
    return fail(
        Code::kResourceExhausted,
        fmt::format("no room for {}: it needs {} KiB, of {} KiB policy memory {} KiB are free, "
                    "the longest stretch is {} KiB",
                    what, (content.size() + 1023) / 1024, lines_ * kLineBytes / 1024,
                    free * kLineBytes / 1024, longest * kLineBytes / 1024),
        "raise the host's tunable policy_arena_kib");
  }
  const auto place = PENSTOCK_TRY(kernel_.arena(line * kLineBytes, content.size()));
  take(line, lines);
  std::memcpy(place.data(), content.data(), content.size());
  places_[line] = {lines, 1, key};
  by_content_[key] = line;
  held_ += lines;
  return line;
}

void Arena::hold_again(std::uint32_t line) {
  const auto found = places_.find(line);
  ensure(found != places_.end(), "arena place is known");
  if (found->second.holders++ > 0) return;
  released_ -= found->second.lines;
  held_ += found->second.lines;
}

void Arena::release(std::uint32_t line) {
  const auto found = places_.find(line);
  ensure(found != places_.end() && found->second.holders > 0, "released arena place is held");
  if (--found->second.holders > 0) return;
  held_ -= found->second.lines;
  released_ += found->second.lines;
}

bool Arena::adopt(std::uint32_t line, std::uint32_t lines) {
  if (const auto known = places_.find(line); known != places_.end())
    return known->second.lines == lines;
  if (line == 0 || lines == 0 || lines > lines_ || line > lines_ - lines) return false;
  auto extent = free_.upper_bound(line);
  if (extent == free_.begin()) return false;
  --extent;
  if (extent->first + extent->second < line + lines) return false;
  const auto content = bytes(line, lines);
  if (content.empty()) return false;
  take(line, lines);
  const auto key = digest(content);
  places_[line] = {lines, 0, key};
  by_content_.emplace(key,
                      line);  // of two equal places the first serves; the other goes at reclaim
  released_ += lines;
  return true;
}

Status Arena::reclaim() {
  if (released_ == 0) return {};
  PENSTOCK_CHECK(kernel_.synchronize());
  for (auto place = places_.begin(); place != places_.end();) {
    if (place->second.holders > 0) {
      ++place;
      continue;
    }
    const auto content = by_content_.find(place->second.content);
    if (content != by_content_.end() && content->second == place->first) by_content_.erase(content);
    give_back(place->first, place->second.lines);
    place = places_.erase(place);
  }
  released_ = 0;
  return {};
}

AgentMark Arena::mark() const {
  AgentMark mark;
  if (!mark_.empty()) std::memcpy(&mark, mark_.data(), sizeof(mark));
  return mark.magic == AgentMark::kMagic ? mark : AgentMark{};
}

void Arena::set_mark(const AgentMark& mark) {
  if (!mark_.empty()) std::memcpy(mark_.data(), &mark, sizeof(mark));
}

ByteView Arena::bytes(std::uint32_t line, std::uint32_t lines) const {
  if (lines > lines_ || line > lines_ - lines) return {};
  const auto part = kernel_.arena(line * kLineBytes, lines * kLineBytes);
  return part ? ByteView(*part) : ByteView();
}

}  // namespace penstock::host
