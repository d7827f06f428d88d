#include "compile/policy/build.h"

#include <algorithm>
#include <utility>

#include "compile/policy/family.h"
#include "compile/policy/intervals.h"
#include "compile/policy/rows.h"

namespace penstock::policy {
namespace {

std::uint8_t verdict_of(Action action, bool log, bool stateless) {
  return static_cast<std::uint8_t>(std::to_underlying(action) | (log ? PS_VERDICT_LOG : 0) |
                                   (stateless ? PS_VERDICT_STATELESS : 0));
}
static_assert(std::to_underlying(Action::kAllow) == PS_ACTION_ALLOW);
static_assert(std::to_underlying(Action::kDeny) == PS_ACTION_DENY);
static_assert(std::to_underlying(Action::kReject) == PS_ACTION_REJECT);

}  // namespace

Result<PolicyImage> build_policy(const RuleSet& set, const BuildLimits& limits) {
  PENSTOCK_CHECK(check(set));
  const std::size_t max_rows = std::min<std::size_t>(limits.max_rows, PS_MAX_ROWS);
  PolicyImage image;
  image.lines.emplace_back();
  ps_policy_header header{};
  header.magic = PS_POLICY_MAGIC;
  header.version = PS_POLICY_VERSION;
  header.default_verdict = verdict_of(set.default_action, set.log_default, false);
  header.rules = static_cast<std::uint32_t>(set.rules.size());

  std::vector<bool> has_rows(set.rules.size());
  for (int i : {0, 1}) {
    const Family family = i == 0 ? Family::kV4 : Family::kV6;
    const auto rows = PENSTOCK_TRY(expand(set, family, max_rows));
    for (const Row& row : rows) has_rows[row.tail.rule] = true;
    header.family_line[i] = write_family(image.lines, family, rows, image.stats.family[i]);
  }
  std::vector<std::uint8_t> verdicts;
  for (const Rule& rule : set.rules)
    verdicts.push_back(verdict_of(rule.action, rule.log, rule.stateless));
  header.verdicts_line = append_packed(image.lines, std::span<const std::uint8_t>(verdicts));
  header.lines = static_cast<std::uint32_t>(image.lines.size());
  image.lines[0].header = header;

  for (std::size_t i = 0; i < set.rules.size(); i++)
    if (!has_rows[i]) image.stats.never.push_back(i);
  image.stats.bytes = image.lines.size() * PS_LINE_BYTES;
  if (!set.rules.empty())
    image.stats.bytes_per_rule = double(image.stats.bytes) / double(set.rules.size());
  return image;
}

}  // namespace penstock::policy
