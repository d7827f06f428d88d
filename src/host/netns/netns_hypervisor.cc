#include "host/netns/netns_hypervisor.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include "base/real_runtime.h"
#include "host/linux/link_watch.h"
#include "host/netns/guests.h"

namespace penstock::host {
namespace {

// One thread that does one thing after the other.
class Worker {
 public:
  Worker() : thread_([this] { work(); }) {}
  // What is waiting is dropped; what is in hand is finished.
  ~Worker() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }
  void post(Task task) {
    {
      const std::lock_guard lock(mutex_);
      tasks_.push_back(std::move(task));
    }
    wake_.notify_one();
  }

 private:
  void work() {
    for (std::unique_lock lock(mutex_);;) {
      wake_.wait(lock, [this] { return ending_ || !tasks_.empty(); });
      if (ending_) return;
      auto task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> tasks_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace

struct NetnsHypervisor::Impl : std::enable_shared_from_this<Impl> {
  Impl(RealRuntime& r, Guests look, Guests act, LinkWatch links)
      : runtime(r), looking(std::move(look)), acting(std::move(act)), watch(std::move(links)) {}

  // Runs `work` on the worker and hands what it returned to `then` on the strand, unless the driver
  // ended meanwhile.
  template <typename Work, typename Then>
  void off_strand(Work work, Then then) {
    worker->post(
        [this, weak = weak_from_this(), work = std::move(work), then = std::move(then)]() mutable {
          // The worker is joined before anything else of this object goes, so `this` is alive here.
          auto result = work(acting);
          runtime.post_from_any_thread(
              [weak, result = std::move(result), then = std::move(then)]() mutable {
                if (const auto self = weak.lock(); self && self->worker) then(std::move(result));
              });
        });
  }

  RealRuntime& runtime;
  Guests looking;  // the strand's
  Guests acting;   // the worker's
  LinkWatch watch;
  std::vector<InstanceInfo>
      seen;  // what list() last said, to tell changes of guests from other changes of links
  std::optional<Worker> worker;
};

NetnsHypervisor::NetnsHypervisor(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

NetnsHypervisor::~NetnsHypervisor() {
  impl_->watch.on_change(nullptr);
  impl_->worker.reset();
}

Result<std::unique_ptr<NetnsHypervisor>> NetnsHypervisor::open(RealRuntime& runtime, Log& log,
                                                               const std::string& run_dir) {
  auto looking = PENSTOCK_TRY(Guests::open(run_dir));
  auto acting = PENSTOCK_TRY(Guests::open(run_dir));
  auto watch = PENSTOCK_TRY(LinkWatch::open(runtime, log));
  auto impl =
      std::make_shared<Impl>(runtime, std::move(looking), std::move(acting), std::move(watch));
  impl->worker.emplace();
  return std::unique_ptr<NetnsHypervisor>(new NetnsHypervisor(std::move(impl)));
}

Result<std::vector<InstanceInfo>> NetnsHypervisor::list() {
  auto instances = impl_->looking.list();
  if (instances) impl_->seen = *instances;
  return instances;
}

void NetnsHypervisor::ensure_instance(const InstanceSpec& spec,
                                      std::function<Status(const InstanceInfo&)> devices_ready,
                                      Done done) {
  auto* impl = impl_.get();  // alive whenever a completion runs
  impl->off_strand([spec](Guests& guests) { return guests.prepare(spec); },
                   [=](Result<InstanceInfo> prepared) {
                     if (!prepared) return done(std::unexpected(std::move(prepared).error()));
                     if (!prepared->running) return done({});
                     if (auto ready = devices_ready(*prepared); !ready)
                       return done(std::move(ready));
                     impl->off_strand([spec](Guests& guests) { return guests.start(spec); },
                                      [=](Status started) { done(std::move(started)); });
                   });
}

void NetnsHypervisor::remove_instance(const std::string& id, Done done) {
  impl_->off_strand([id](Guests& guests) { return guests.remove(id); },
                    [done](Status removed) { done(std::move(removed)); });
}

void NetnsHypervisor::depart(const std::string& id, std::function<void()> silent, Handed handed) {
  auto* impl = impl_.get();
  impl->off_strand([id](Guests& guests) { return guests.silence(id); },
                   [=](Status silenced) {
                     if (!silenced) return handed(std::unexpected(std::move(silenced).error()));
                     silent();
                     impl->off_strand(
                         [id](Guests& guests) { return guests.let_go(id); },
                         [=](Result<std::string> handle) { handed(std::move(handle)); });
                   });
}

void NetnsHypervisor::arrive(const InstanceSpec& spec, const std::string& handle,
                             std::function<Status(const InstanceInfo&)> devices_ready, Done done) {
  auto* impl = impl_.get();
  const auto give_back = [impl, spec, done](Error error) {
    impl->off_strand(
        [spec](Guests& guests) {
          guests.forget(spec);
          return Status{};
        },
        [done, error](Status) { done(std::unexpected(error)); });
  };
  impl->off_strand([spec, handle](Guests& guests) { return guests.take(spec, handle); },
                   [=](Result<InstanceInfo> taken) {
                     if (!taken) return give_back(std::move(taken).error());
                     if (auto ready = devices_ready(*taken); !ready)
                       return give_back(std::move(ready).error());
                     impl->off_strand([spec](Guests& guests) { return guests.start(spec); },
                                      [=](Status started) {
                                        if (!started) return give_back(std::move(started).error());
                                        done({});
                                      });
                   });
}

void NetnsHypervisor::on_changed(std::function<void()> changed) {
  if (!changed) return impl_->watch.on_change(nullptr);
  (void)list();
  impl_->watch.on_change([impl = impl_.get(), changed = std::move(changed)] {
    auto now = impl->looking.list();
    if (now && *now == impl->seen) return;
    if (now) impl->seen = std::move(*now);
    changed();
  });
}

}  // namespace penstock::host
