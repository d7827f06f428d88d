#include "host/linux/count_reader.h"

namespace penstock::host {

CountReader::CountReader(Runtime& runtime, Switch& programs)
    : runtime_(runtime), switch_(programs), self_(std::make_shared<CountReader*>(this)) {}

CountReader::~CountReader() {
  if (thread_.joinable()) thread_.join();
}

void CountReader::ask(CountsWanted wanted, Done done) {
  questions_.push_back({std::move(wanted), std::move(done)});
  if (questions_.size() == 1) begin();
}

void CountReader::begin() {
  thread_ =
      std::thread([this, wanted = questions_.front().wanted, still_there = std::weak_ptr(self_)] {
        // The destructor joins this thread, so `this` is alive here; it may be gone when the task
        // runs.
        auto counts = switch_.count(wanted);
        runtime_.post_from_any_thread([still_there, counts = std::move(counts)]() mutable {
          if (const auto self = still_there.lock()) (*self)->finished(std::move(counts));
        });
      });
}

void CountReader::finished(Result<Counts> counts) {
  thread_.join();
  const auto done = std::move(questions_.front().done);
  questions_.pop_front();
  if (!questions_.empty()) begin();
  done(std::move(counts));
}

}  // namespace penstock::host
