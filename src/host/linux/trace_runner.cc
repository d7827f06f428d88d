#include "host/linux/trace_runner.h"

#include <chrono>

namespace penstock::host {
namespace {

// Records wait in their ring that long at most: soon for a person, and nothing while nobody
// watches.
constexpr std::chrono::milliseconds kLookEvery{20};

}  // namespace

TraceRunner::TraceRunner(Runtime& runtime, Log& log, Switch& programs)
    : runtime_(runtime),
      log_(log),
      switch_(programs),
      self_(std::make_shared<TraceRunner*>(this)) {}

TraceRunner::~TraceRunner() {
  end_watch();
  if (thread_.joinable()) thread_.join();
}

void TraceRunner::add(Job job) {
  jobs_.push_back(std::move(job));
  if (jobs_.size() == 1) begin();
}

void TraceRunner::begin() {
  thread_ =
      std::thread([this, work = std::move(jobs_.front().work), still_there = std::weak_ptr(self_)] {
        // The destructor joins this thread, so what the work touches is there; we may be gone when
        // the task runs.
        work();
        runtime_.post_from_any_thread([still_there] {
          if (const auto self = still_there.lock()) (*self)->finished();
        });
      });
}

void TraceRunner::finished() {
  thread_.join();
  const auto done = std::move(jobs_.front().done);
  jobs_.pop_front();
  if (!jobs_.empty()) begin();
  done();
}

void TraceRunner::run(TraceRun wanted, Done done) {
  auto record = std::make_shared<Result<TraceRecord>>(fail(Code::kInternal, "not run"));
  auto shared = std::make_shared<TraceRun>(std::move(wanted));
  add({.work =
           [this, shared, record] {
             *record = [&]() -> Result<TraceRecord> {
               if (!tracing_)
                 tracing_ = PENSTOCK_TRY(TraceSwitch::open(switch_, runtime_.tunables(),
                                                           TraceSwitch::Kind::kDescribed));
               return tracing_->run(*shared);
             }();
           },
       .done = [record, done = std::move(done)] { done(std::move(*record)); }});
}

void TraceRunner::watch(TraceWatch wanted) {
  if (watch_) {
    runtime_.post([begun = std::move(wanted.begun)] {
      begun(fail(Code::kUnavailable, "another live trace is under way on this host"));
    });
    return;
  }
  watch_ = std::move(wanted);
  const auto number = ++watches_;
  auto loaded = std::make_shared<Status>();
  add({.work =
           [this, loaded] {
             *loaded = [&]() -> Status {
               if (!live_)
                 live_ = PENSTOCK_TRY(
                     TraceSwitch::open(switch_, runtime_.tunables(), TraceSwitch::Kind::kLive));
               return {};
             }();
           },
       .done =
           [this, loaded, number] {
             if (!watch_ || watches_ != number) return;  // ended while it was loaded
             const auto begun = watch_->begun;
             auto status = *loaded ? put_in_place() : *loaded;
             if (!status) end_watch();
             begun(std::move(status));
           }});
}

Status TraceRunner::put_in_place() {
  PENSTOCK_CHECK(live_->watch_for(trace_order(watch_->filter, watches_)));
  seen_ = PENSTOCK_TRY(live_->open_records([this](const ps_trace& said) {
    // What an earlier watch left in the ring has its number.
    if (watch_ && said.order == watches_) {
      const auto seen = watch_->seen;  // it may end the watch
      seen(said);
    }
  }));
  for (const auto& at : watch_->at) PENSTOCK_CHECK(switch_.lend(at, live_->program_fd(at.program)));
  look();
  return {};
}

void TraceRunner::look() {
  look_timer_ = runtime_.after(kLookEvery, [this] {
    look_timer_.reset();
    if (!seen_) return;
    if (const auto consumed = seen_->consume(); !consumed)
      log_.warning("a live trace cannot be read: {}", consumed.error().text());
    if (watch_)
      look();
    else
      seen_.reset();
  });
}

void TraceRunner::end_watch() {
  if (look_timer_) runtime_.cancel(*std::exchange(look_timer_, std::nullopt));
  if (!watch_) return;
  // Back first: the others' watch needs nothing from a program that is attached nowhere.
  for (const auto& at : watch_->at)
    if (const auto status = switch_.take_back(at);
        !status && status.error().code != Code::kNotFound)
      log_.error("after a live trace: {}", status.error().text());
  if (live_)
    if (const auto status = live_->watch_for({}); !status)
      log_.warning("after a live trace: {}", status.error().text());
  watch_.reset();
}

}  // namespace penstock::host
