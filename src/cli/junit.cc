#include "cli/junit.h"

#include <algorithm>
#include <cerrno>
#include <fstream>

#include <fmt/format.h>

#include "cli/xml.h"

namespace penstock::cli {

std::string junit_xml(const std::string& suite, const std::vector<JunitCase>& cases) {
  double time = 0;
  for (const auto& one : cases) time += one.seconds;
  auto xml = fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\" time=\"{:.3f}\">\n",
      xml_escaped(suite), cases.size(),
      std::ranges::count_if(cases, [](const auto& one) { return !one.failure.empty(); }),
      std::ranges::count_if(cases, [](const auto& one) { return one.skipped; }), time);
  for (const auto& one : cases) {
    xml += fmt::format("  <testcase classname=\"{}\" name=\"{}\" time=\"{:.3f}\"",
                       xml_escaped(one.group), xml_escaped(one.name), one.seconds);
    if (one.skipped)
      xml += "><skipped/></testcase>\n";
    else if (one.failure.empty())
      xml += "/>\n";
    else
      xml += fmt::format(">\n    <failure message=\"{}\">{}</failure>\n  </testcase>\n",
                         xml_escaped(one.failure), xml_escaped(one.output));
  }
  return xml + "</testsuite>\n";
}

Status write_junit(const std::string& path, const std::string& suite,
                   const std::vector<JunitCase>& cases) {
  return write_file(path, junit_xml(suite, cases));
}

Status write_file(const std::string& path, const std::string& content) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << content;
  file.close();
  return file ? Status() : fail_errno(errno ? errno : EIO, "write " + path);
}

}  // namespace penstock::cli
