#include "cli/tar_gz.h"

#include <array>
#include <cstring>

#include <fmt/format.h>
#include <zlib.h>

namespace penstock::cli {
namespace {

constexpr std::size_t kBlock = 512;

// POSIX.1-1988 ustar header.
std::string header(const std::string& name, std::size_t size, std::int64_t when) {
  std::string block(kBlock, '\0');
  const auto put = [&](std::size_t at, const std::string& text) {
    std::memcpy(block.data() + at, text.data(), text.size());
  };
  put(0, name.substr(0, 99));
  put(100, "0000600");
  put(108, "0000000");
  put(116, "0000000");
  put(124, fmt::format("{:011o}", size));
  put(136, fmt::format("{:011o}", when));
  put(148, "        ");
  put(156, "0");
  put(257, "ustar");
  put(263, "00");
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  put(148, fmt::format("{:06o}", sum));
  block[154] = '\0';
  return block;
}

std::string gzip(const std::string& text) {
  z_stream stream{};
  // 15 + 16: the largest window, in gzip's format.
  if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    return {};
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

}  // namespace

std::string tar_gz(const std::vector<std::pair<std::string, std::string>>& files,
                   std::int64_t when) {
  std::string tar;
  for (const auto& [name, content] : files) {
    tar += header(name, content.size(), when);
    tar += content;
    tar.append((kBlock - content.size() % kBlock) % kBlock, '\0');
  }
  tar.append(2 * kBlock, '\0');
  return gzip(tar);
}

}  // namespace penstock::cli
