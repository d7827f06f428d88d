#include "base/linux/disk_files.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace penstock {
namespace {

struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash == 0 ? 1 : slash);
}

Status make_folders(const std::string& folder) {
  for (std::size_t end = 1; end <= folder.size(); ++end) {
    if (end != folder.size() && folder[end] != '/') continue;
    const auto part = folder.substr(0, end);
    if (::mkdir(part.c_str(), 0755) != 0 && errno != EEXIST)
      return fail_errno(errno, "make folder " + part);
  }
  return {};
}

Status write_all(int fd, const std::string& content, const std::string& path) {
  std::size_t written = 0;
  while (written < content.size()) {
    const auto n = ::write(fd, content.data() + written, content.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, "write " + path);
    written += static_cast<std::size_t>(n);
  }
  if (::fsync(fd) != 0) return fail_errno(errno, "fsync " + path);
  return {};
}

Status replace_now(const std::string& path, const std::string& content) {
  const auto folder = folder_of(path);
  PENSTOCK_CHECK(make_folders(folder));
  const auto temporary = path + ".new";
  {
    const Descriptor file{
        ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
    if (file.fd < 0) return fail_errno(errno, "open " + temporary);
    if (auto status = write_all(file.fd, content, temporary); !status) {
      ::unlink(temporary.c_str());
      return status;
    }
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) return fail_errno(errno, "rename to " + path);
  // Without this the rename itself may be lost by a power failure.
  const Descriptor dir{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (dir.fd < 0 || ::fsync(dir.fd) != 0) return fail_errno(errno, "fsync " + folder);
  return {};
}

}  // namespace

struct DiskFiles::Impl {
  struct Job {
    std::string path, content;
    Done done;
  };
  Runtime& runtime;
  std::shared_ptr<bool> alive =
      std::make_shared<bool>(true);  // read and written on the strand only
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<Job> jobs;
  bool stop = false;
  std::thread thread;

  explicit Impl(Runtime& r) : runtime(r), thread([this] { work(); }) {}

  void work() {
    std::unique_lock lock(mutex);
    while (true) {
      wake.wait(lock, [this] { return stop || !jobs.empty(); });
      if (jobs.empty()) return;
      auto job = std::move(jobs.front());
      jobs.pop_front();
      lock.unlock();
      auto status = replace_now(job.path, job.content);
      runtime.post_from_any_thread(
          [alive = alive, done = std::move(job.done), status = std::move(status)]() mutable {
            if (*alive) done(std::move(status));
          });
      lock.lock();
    }
  }
};

DiskFiles::DiskFiles(Runtime& runtime) : impl_(std::make_unique<Impl>(runtime)) {}

DiskFiles::~DiskFiles() {
  *impl_->alive = false;
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stop = true;
  }
  impl_->wake.notify_one();
  impl_->thread.join();
}

Result<std::optional<std::string>> DiskFiles::read(const std::string& path) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) {
    if (errno == ENOENT) return std::nullopt;
    return fail_errno(errno, "open " + path);
  }
  std::string content;
  char buffer[65536];
  while (true) {
    const auto n = ::read(file.fd, buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, "read " + path);
    if (n == 0) return content;
    content.append(buffer, static_cast<std::size_t>(n));
  }
}

void DiskFiles::replace(const std::string& path, std::string content, Done done) {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->jobs.push_back({path, std::move(content), std::move(done)});
  }
  impl_->wake.notify_one();
}

}  // namespace penstock
