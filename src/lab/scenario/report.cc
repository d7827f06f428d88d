#include "lab/scenario/report.h"

#include <algorithm>

#include <fmt/format.h>

#include "cli/xml.h"

namespace penstock::lab {

std::string junit_xml(const std::vector<Verdict>& verdicts) {
  double time = 0;
  for (const auto& verdict : verdicts) time += verdict.time.count();
  auto xml = fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<testsuite name=\"penstock lab test\" tests=\"{}\" failures=\"{}\" time=\"{:.3f}\">\n",
      verdicts.size(), std::ranges::count_if(verdicts, [](const auto& v) { return !v.passed(); }),
      time);
  for (const auto& verdict : verdicts) {
    xml += fmt::format("  <testcase classname=\"{}\" name=\"{}\" time=\"{:.3f}\"",
                       cli::xml_escaped(verdict.file), cli::xml_escaped(verdict.name),
                       verdict.time.count());
    if (verdict.passed()) {
      xml += "/>\n";
      continue;
    }
    xml += fmt::format(">\n    <failure message=\"{}\">{}\n{}</failure>\n  </testcase>\n",
                       cli::xml_escaped(verdict.failure), cli::xml_escaped(verdict.place),
                       cli::xml_escaped(verdict.output));
  }
  return xml + "</testsuite>\n";
}

}  // namespace penstock::lab
