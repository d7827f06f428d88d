#include "server/audit.h"

#include <algorithm>

#include <google/protobuf/util/message_differencer.h>

#include "model/kinds.h"

namespace penstock {
namespace {

using google::protobuf::util::MessageDifferencer;

// What a caller wrote ends up in a line of the log: its room is bounded.
constexpr std::size_t kMostMessage = 1024, kMostName = 256;
constexpr int kMostChanged = 20;
// Records that wait for a disk with room; what comes then is counted only.
constexpr std::size_t kMostOwed = 10'000;
// Clients whose refused tokens are told apart at a time.
constexpr std::size_t kMostRefused = 64;

// At a boundary of UTF-8, so that it stays text.
void shorten(std::string& text, std::size_t most) {
  if (text.size() <= most) return;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xc0) == 0x80) --most;
  text.resize(most);
  text += "...";
}

using Fields = std::vector<MessageDifferencer::SpecificField>;

class Paths final : public MessageDifferencer::Reporter {
 public:
  explicit Paths(v1::AuditRecord& record) : record_(record) {}
  void ReportAdded(const Message&, const Message&, const Fields& path) override { note(path); }
  void ReportDeleted(const Message&, const Message&, const Fields& path) override { note(path); }
  void ReportModified(const Message&, const Message&, const Fields& path) override {
    // What is around a difference is reported too.
    const auto* field = path.back().field;
    if (field && field->message_type() && !field->is_map()) return;
    note(path);
  }

 private:
  void note(const Fields& path) {
    std::string text;
    for (const auto& part : path) {
      if (!part.field) continue;
      if (!text.empty()) text += '.';
      text += part.field->json_name();
      // The keys of maps are values too.
      if (part.field->is_map()) break;
      if (part.index >= 0 && part.field->is_repeated()) text += fmt::format("[{}]", part.index);
    }
    const bool ours = text.starts_with("spec") || text.starts_with("metadata.labels");
    if (!ours || record_.changed_size() >= kMostChanged) return;
    if (std::ranges::find(record_.changed(), text) == record_.changed().end())
      record_.add_changed(std::move(text));
  }
  v1::AuditRecord& record_;
};

}  // namespace

void set_changed(v1::AuditRecord& record, const google::protobuf::Message& before,
                 const google::protobuf::Message& after) {
  Paths paths(record);
  MessageDifferencer differencer;
  differencer.ReportDifferencesTo(&paths);
  differencer.Compare(before, after);
}

void set_error(v1::AuditRecord& record, const Error& error) {
  const bool denied = error.code == Code::kPermissionDenied || error.code == Code::kUnauthenticated;
  record.set_outcome(denied ? v1::AuditRecord::DENIED : v1::AuditRecord::FAILED);
  record.set_code(std::string(name(error.code)));
  if (error.details.empty()) return record.set_message(error.message);
  // What is said of fields quotes what was in them: only which ones.
  std::string fields;
  for (const auto& detail : error.details)
    if (fields.size() < kMostMessage)
      fields += (fields.empty() ? "" : ", ") + (detail.field.empty() ? "the object" : detail.field);
  record.set_message("wrong: " + fields);
}

Audit::Audit(Runtime& runtime, Log& log, Journal& journal, AuditLog& audit_log)
    : runtime_(runtime), log_(log), journal_(journal), audit_log_(audit_log) {}

Status Audit::start() {
  const auto most = static_cast<std::size_t>(runtime_.tunables().audit_records_kept);
  for (const auto& record : PENSTOCK_TRY(audit_log_.newest(most)))
    journal_.audit_again(std::make_unique<v1::AuditRecord>(*record));
  return {};
}

void Audit::add(v1::AuditRecord record) {
  const auto ns = runtime_.wall().since_epoch.count();
  record.mutable_time()->set_seconds(ns / 1'000'000'000);
  record.mutable_time()->set_nanos(static_cast<int>(ns % 1'000'000'000));
  shorten(*record.mutable_message(), kMostMessage);
  for (auto* text :
       {record.mutable_user(), record.mutable_action(), record.mutable_client(),
        record.mutable_request_id(), record.mutable_object()->mutable_kind(),
        record.mutable_object()->mutable_tenant(), record.mutable_object()->mutable_name()})
    shorten(*text, kMostName);
  ++counts_.records;
  turn_.records.push_back(journal_.audit(std::make_unique<v1::AuditRecord>(std::move(record))));
  if (!std::exchange(flush_planned_, true)) runtime_.post([this] { flush(); });
}

void Audit::when_written(AuditLog::Done done) {
  if (turn_.records.empty() && in_flight_ == 0) return done(state_);
  turn_.waiting.push_back(std::move(done));
  if (!std::exchange(flush_planned_, true)) runtime_.post([this] { flush(); });
}

Status Audit::accepts() const {
  if (state_) return {};
  return fail(Code::kUnavailable,
              fmt::format("nothing may be changed now, because the audit log cannot be written: {}",
                          state_.error().message),
              "make room where the server keeps its data; it goes on by itself");
}

void Audit::flush() {
  flush_planned_ = false;
  auto turn = std::exchange(turn_, {});
  if (!state_) return written(std::move(turn), state_);  // behind those that are owed
  auto records = turn.records;  // none: what was added before is on its way, and answered first
  ++in_flight_;
  audit_log_.append(std::move(records), [this, turn = std::move(turn)](Status status) mutable {
    --in_flight_;
    written(std::move(turn), std::move(status));
  });
}

void Audit::written(Turn turn, Status status) {
  if (!status) {
    ++counts_.failures;
    for (auto& record : turn.records) {
      if (owed_.size() < kMostOwed) {
        owed_.push_back(std::move(record));
      } else {
        ++lost_now_;
        ++counts_.lost;
      }
    }
    if (state_) {
      log_.error("{}: nothing is changed until it can be written", status.error().text());
      state_ = status;
      runtime_.after(std::chrono::milliseconds(runtime_.tunables().store_retry_ms),
                     [this] { try_again(); });
    }
  }
  for (auto& done : turn.waiting) done(status);
}

void Audit::try_again() {
  std::vector<AuditRecordPtr> records(owed_.begin(), owed_.end());
  const auto many = records.size();
  audit_log_.append(std::move(records), [this, many](Status status) {
    if (!status) {
      state_ = std::move(status);
      runtime_.after(std::chrono::milliseconds(runtime_.tunables().store_retry_ms),
                     [this] { try_again(); });
      return;
    }
    owed_.erase(owed_.begin(), owed_.begin() + static_cast<std::ptrdiff_t>(many));
    if (!owed_.empty()) return try_again();
    state_ = {};
    log_.warning("the audit log can be written again: {} records were late", many);
    if (const auto lost = std::exchange(lost_now_, 0); lost > 0) {
      v1::AuditRecord record;
      record.set_user("controller");
      record.set_action("audit");
      record.set_outcome(v1::AuditRecord::FAILED);
      record.set_message(
          fmt::format("{} records were lost while the log could not be written", lost));
      add(std::move(record));
    }
  });
}

void Audit::login_refused(std::string_view user, const v1::Reference& object,
                          std::string_view client, const Error& error) {
  const auto key = refusals_.size() < kMostRefused ? fmt::format("{} {}", user, client)
                                                   : std::string("everyone else");
  const auto [found, fresh] = refusals_.try_emplace(key);
  auto& [record, more] = found->second;
  if (!fresh) {
    ++more;
  } else {
    record.set_user(std::string(user));
    record.set_action("login");
    *record.mutable_object() = object;
    record.set_client(std::string(client));
    set_error(record, error);
    record.set_outcome(v1::AuditRecord::DENIED);
    add(record);
  }
  if (!std::exchange(refusals_planned_, true))
    runtime_.after(std::chrono::seconds(1), [this] { refusals_over(); });
}

void Audit::refusals_over() {
  refusals_planned_ = false;
  for (auto& [key, entry] : std::exchange(refusals_, {})) {
    auto& [record, more] = entry;
    if (more == 0) continue;
    if (key == "everyone else") record.clear_client();
    record.set_message(
        fmt::format("{} (and {} times more within a second)", record.message(), more));
    add(std::move(record));
  }
}

}  // namespace penstock
