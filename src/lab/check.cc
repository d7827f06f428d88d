#include "lab/check.h"

#include <algorithm>
#include <chrono>
#include <random>
#include <set>

#include <fmt/format.h>

#include "cli/ref.h"
#include "compile/intent.h"
#include "model/admit.h"
#include "model/json.h"

namespace penstock::lab {
namespace {

constexpr std::size_t kTold = 50;
// As whom the lab applies, and who is there from the first start of a server.
constexpr const char* kAdmin = "admin";

class Inventory {
 public:
  Inventory() : kinds_(standard_step_kinds()) {
    context_.user = kAdmin;
    context_.user_is_administrator = true;
    context_.random = [this] { return random_(); };
    context_.now = {std::chrono::system_clock::now().time_since_epoch()};
    context_.step_kinds = &kinds_;
  }

  Status add(const Json& object) {
    const auto proposed = PENSTOCK_TRY(decode_object(object));
    // Each token has a secret of its own.
    context_.token_sha256 = fmt::format("{:064x}", ++revision_);
    const auto admission = PENSTOCK_TRY(admit(snapshot_, *proposed, context_));
    snapshot_ = snapshot_.with(admission.edits, revision_);
    return {};
  }

 private:
  StepKinds kinds_;
  AdmitContext context_;
  std::mt19937_64 random_;
  Snapshot snapshot_;
  std::int64_t revision_ = 0;
};

class Check {
 public:
  explicit Check(const Topology& topology) {
    for (const auto& host : topology.hosts) hosts_.push_back(host.name);
  }

  void object(const Wanted& wanted) {
    const auto added = inventory_.add(wanted.object);
    if (added) return;
    for (const auto& detail : details_of(added.error())) {
      if (follows(detail.message)) continue;
      auto problem = wanted.placed(detail);
      if (problem.hint.empty() && detail.field == "spec.placement.host")
        problem.hint = a_host(wanted);
      // Once for a hundred VMs that are made of one line.
      if (told_.insert(problem.field.substr(0, problem.field.find(' ')) + problem.message).second)
        problems_.push_back(std::move(problem));
    }
    const auto ref = cli::ref_of(wanted.object);
    if (ref.kind)
      refused_.push_back(fmt::format("there is no {} \"{}\"", ref.kind->name, ref.name));
  }

  Status status(const std::string& title) && {
    if (problems_.empty()) return {};
    const auto count = problems_.size();
    if (count > kTold) problems_.resize(kTold);
    return std::unexpected(Error{
        Code::kInvalidArgument,
        fmt::format("{}: {} problem{}{}; nothing was started", title, count, count == 1 ? "" : "s",
                    count > kTold ? fmt::format(", the first {} of them here", kTold) : ""),
        std::move(problems_),
        {}});
  }

  static std::vector<ErrorDetail> details_of(const Error& error) {
    if (!error.details.empty()) return error.details;
    return {{"", error.message, error.hint}};
  }

  Inventory& inventory() { return inventory_; }

 private:
  // The server does not tell tenants about hosts; whoever wrote the file knows them.
  std::string a_host(const Wanted& wanted) const {
    const auto given = cli::text_at(cli::at(wanted.object, "spec", "placement", "host"));
    auto hint = did_you_mean(given, hosts_);
    if (!hint.empty() || hosts_.size() > 8) return hint;
    return fmt::format("hosts: {}", fmt::join(hosts_, ", "));
  }

  bool follows(const std::string& message) const {
    return std::ranges::any_of(refused_,
                               [&](const auto& start) { return message.starts_with(start); });
  }

  Inventory inventory_;
  std::vector<std::string> hosts_, refused_;
  std::set<std::string> told_;
  std::vector<ErrorDetail> problems_;
};

}  // namespace

std::vector<ErrorDetail> placed(const Wanted& wanted, const Error& error) {
  std::vector<ErrorDetail> details;
  for (const auto& detail : Check::details_of(error)) details.push_back(wanted.placed(detail));
  return details;
}

Status check_objects(const Topology& topology) {
  Check check(topology);
  const auto roles = Json::array({Json::object({{"role", "ADMINISTRATOR"}})});
  PENSTOCK_CHECK(check.inventory().add(
      {{"kind", "User"}, {"metadata", {{"name", kAdmin}}}, {"spec", {{"roles", roles}}}}));
  for (const auto& host : host_objects(topology))
    check.object({host, [&](const ErrorDetail& detail) {
                    const cli::Document document{{}, {}, host};
                    return ErrorDetail{
                        fmt::format("{}  {}  {}", topology.source.place("hosts", false),
                                    document.title(), detail.field),
                        detail.message, detail.hint};
                  }});
  for (const auto& wanted : PENSTOCK_TRY(wanted_objects(topology))) check.object(wanted);
  return std::move(check).status(topology.source.title);
}

}  // namespace penstock::lab
