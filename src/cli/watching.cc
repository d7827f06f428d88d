#include "cli/watching.h"

#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "cli/flags.h"
#include "cli/yaml_text.h"

namespace penstock::cli {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kReconnects = 10;
constexpr std::chrono::milliseconds kReconnectPause{500};

// Rows of a growing table: the header before the first row, widths as far as they are known.
class Rows {
 public:
  Rows(Console& console, std::vector<Column> columns, bool with_tenant)
      : console_(console),
        columns_(std::move(columns)),
        with_tenant_(with_tenant),
        table_(header()) {}

  void add(const std::string& type, const Json& object) {
    auto row = row_of(columns_, object, with_tenant_);
    row.insert(row.begin(), type);
    table_.add(row);
    if (!started_) console_.line(table_.header_text());
    started_ = true;
    console_.line(table_.text_of(row));
  }

 private:
  std::vector<std::string> header() const {
    std::vector<std::string> out{"CHANGE  "};
    for (const auto& column : columns_) out.push_back(column.header);
    return out;
  }
  Console& console_;
  std::vector<Column> columns_;
  bool with_tenant_;
  Table table_;
  bool started_ = false;
};

}  // namespace

Result<Exit> follow(Console& console, Api& api, const Location& location, std::string_view selector,
                    std::string_view until, const std::function<void(const Json&)>& show) {
  auto deadline = Clock::time_point::max();
  if (!until.empty()) deadline = Clock::now() + PENSTOCK_TRY(parse_duration(until));
  std::int64_t revision = 0;
  const auto take = [&](const Json& event) {
    if (const auto at_revision = number_at(at(event, "revision")); at_revision > 0)
      revision = at_revision;
    if (text_at(at(event, "type")) == "COMPACTED") {
      revision = 0;
      return false;
    }
    // Silence from here on is nothing to report, not a server that does not answer.
    api.set_waiting({});
    show(event);
    return !console.gone();
  };
  int failures = 0;
  while (!console.gone()) {
    const auto before = revision;
    const Status ended = api.watch(location, selector, revision, take, deadline);
    if (console.gone()) break;
    if (!ended && ended.error().code == Code::kDeadlineExceeded) break;
    if (Clock::now() >= deadline) break;
    if (!ended && ended.error().code != Code::kUnavailable) return std::unexpected(ended.error());
    failures = revision != before ? 0 : failures + 1;
    if (failures > kReconnects || (!ended && before == 0 && revision == 0)) {
      if (!ended) return std::unexpected(ended.error());
      return fail(Code::kUnavailable, "the server ends the watch each time without an event");
    }
    std::this_thread::sleep_for(kReconnectPause);
  }
  return Exit::kDone;
}

Result<Exit> watch_kind(Console& console, Api& api, const Kind& kind, const Location& location,
                        const WatchOptions& options, const Output& form, bool with_tenant) {
  Rows rows(console, PENSTOCK_TRY(columns_of(kind, form)), with_tenant);
  return follow(console, api, location, options.selector, options.deadline, [&](const Json& event) {
    const auto type = text_at(at(event, "type"));
    const Json& object = at(event, "object");
    if (!object.is_object() ||
        (!options.name.empty() && at(object, "metadata", "name") != options.name))
      return;
    switch (form.form) {
      case Output::Form::kJson:
        console.line(event.dump(-1, ' ', false, Json::error_handler_t::replace));
        break;
      case Output::Form::kYaml:
        console.write("---\n" + yaml_text(event));
        break;
      case Output::Form::kJsonPath:
        console.line(form.path->render(object));
        break;
      case Output::Form::kName:
        console.line(fmt::format("{} {}", type, ref_of(object).text()));
        break;
      default:
        rows.add(type, object);
    }
  });
}

}  // namespace penstock::cli
