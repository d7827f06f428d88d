#include "lab/capture/filter.h"

#include <algorithm>
#include <sstream>

#include "lab/process.h"

namespace penstock::lab {

Result<std::vector<sock_filter>> parse_filter(const std::string& text) {
  std::istringstream in(text);
  std::size_t count = 0;
  in >> count >> std::ws;
  std::vector<sock_filter> program;
  bool good = count != 0;
  for (std::string line; good && std::getline(in, line);) {
    std::istringstream fields(line);
    unsigned code = 0, jt = 0, jf = 0, k = 0;
    std::string more;
    good = (fields >> code >> jt >> jf >> k) && !(fields >> more);
    program.push_back({static_cast<__u16>(code), static_cast<__u8>(jt), static_cast<__u8>(jf), k});
  }
  if (!good || program.size() != count)
    return fail(Code::kInternal, "tcpdump printed no filter: " + text);
  return program;
}

Result<std::vector<sock_filter>> compile_filter(const std::string& expression) {
  if (expression.empty()) return std::vector<sock_filter>{};
  // It needs an interface to know the kind of link; `lo` is everywhere and looks like Ethernet.
  const auto output = PENSTOCK_TRY(capture_in(
      {{"tcpdump", "-ddd", "-i", "lo", "-s", "262144", "--", expression}, "", "", ""}, 10'000));
  if (output.status == 127)
    return fail(Code::kFailedPrecondition, "filters are made by tcpdump, which cannot be started",
                "install tcpdump");
  if (output.status == 0) return parse_filter(output.text);
  auto why = output.text;
  while (!why.empty() && why.back() == '\n') why.pop_back();
  std::ranges::replace(why, '\n', ' ');
  return fail(Code::kInvalidArgument, "filter \"" + expression + "\": " + why,
              "see pcap-filter(7)");
}

}  // namespace penstock::lab
