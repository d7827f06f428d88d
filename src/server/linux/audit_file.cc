#include "server/linux/audit_file.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "model/json.h"

namespace penstock {
namespace {

struct Job {
  std::vector<AuditRecordPtr> records;
  AuditLog::Done done;
};

std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash == 0 ? 1 : slash);
}

// A file and where its last whole line ends.
class LineFile {
 public:
  explicit LineFile(std::string path) : path_(std::move(path)) {}
  LineFile(LineFile&& other) noexcept
      : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), end_(other.end_) {}
  ~LineFile() {
    if (fd_ >= 0) ::close(fd_);
  }

  Status open() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd_ < 0) return fail_errno(errno, "open " + path_);
    struct stat file {};
    if (::fstat(fd_, &file) != 0) return fail_errno(errno, "look at " + path_);
    end_ = file.st_size;
    PENSTOCK_CHECK(cut_torn_line());
    return sync_folder();
  }

  // All or nothing: what was written of it is taken back.
  Status append(const std::string& lines) {
    if (fd_ < 0) PENSTOCK_CHECK(open());
    std::size_t done = 0;
    while (done < lines.size()) {
      const auto n =
          ::pwrite(fd_, lines.data() + done, lines.size() - done, end_ + static_cast<off_t>(done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return taken_back(errno, "write ");
      done += static_cast<std::size_t>(n);
    }
    if (::fdatasync(fd_) != 0) return taken_back(errno, "fdatasync ");
    end_ += static_cast<off_t>(lines.size());
    return {};
  }

  Status rotate() {
    if (::rename(path_.c_str(), (path_ + ".1").c_str()) != 0)
      return fail_errno(errno, "rename " + path_);
    return open();
  }

  off_t size() const { return end_; }

 private:
  Status taken_back(int error, const char* doing) {
    // Not written again by this descriptor when the sync failed: the kernel says so once only.
    if (::ftruncate(fd_, end_) != 0 || error == EIO) {
      ::close(fd_);
      fd_ = -1;
    }
    return fail_errno(error, doing + path_);
  }
  Status cut_torn_line() {
    char last = '\n';
    off_t at = end_;
    while (at > 0) {
      if (::pread(fd_, &last, 1, at - 1) != 1) return fail_errno(errno, "read " + path_);
      if (last == '\n') break;
      --at;
    }
    if (at == end_) return {};
    if (::ftruncate(fd_, at) != 0) return fail_errno(errno, "cut the torn line of " + path_);
    end_ = at;
    return {};
  }
  // Without this a new name may be lost by a power failure.
  Status sync_folder() {
    const auto folder = folder_of(path_);
    const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool good = fd >= 0 && ::fsync(fd) == 0;
    const int error = errno;
    if (fd >= 0) ::close(fd);
    return good ? Status() : fail_errno(error, "fsync " + folder);
  }

  std::string path_;
  int fd_ = -1;
  off_t end_ = 0;
};

// The last `most` lines; of a long file its end only.
std::vector<AuditRecordPtr> read_newest(const std::string& path, std::size_t most) {
  constexpr off_t kPiece = 1 << 20;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  off_t from = ::lseek(fd, 0, SEEK_END);
  std::string text;
  std::size_t lines = 0;
  while (from > 0 && lines <= most) {
    const auto size = std::min(from, kPiece);
    std::string piece(static_cast<std::size_t>(size), 0);
    if (::pread(fd, piece.data(), piece.size(), from - size) != size) break;
    from -= size;
    lines += static_cast<std::size_t>(std::ranges::count(piece, '\n'));
    text.insert(0, piece);
  }
  ::close(fd);
  std::vector<AuditRecordPtr> found;
  for (auto end = text.size(); end > 0 && found.size() < most;) {
    const auto before = end > 1 ? text.rfind('\n', end - 2) : std::string::npos;
    const auto begin = before == std::string::npos ? 0 : before + 1;
    // A line that cannot be read (somebody edited the file) hides only itself.
    const auto tree = parse_json(std::string_view(text).substr(begin, end - begin - 1));
    auto record = std::make_shared<v1::AuditRecord>();
    if (tree) {
      const auto object =
          decode_object(*tree, &kind_of<v1::AuditRecord>(), {.keep_output_only = true});
      if (object) {
        record->CopyFrom(**object);
        found.push_back(std::move(record));
      }
    }
    end = begin;
  }
  std::ranges::reverse(found);
  return found;
}

class AuditFile final : public AuditLog {
 public:
  AuditFile(Runtime& runtime, std::string path, LineFile file)
      : runtime_(runtime), path_(std::move(path)), file_(std::move(file)) {
    writer_ = std::thread([this] { work(); });
  }
  // Finishes what was begun; answers that were not delivered yet are dropped.
  ~AuditFile() override {
    *alive_ = false;
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    writer_.join();
  }

  void append(std::vector<AuditRecordPtr> records, Done done) override {
    {
      const std::lock_guard lock(mutex_);
      jobs_.push_back({std::move(records), std::move(done)});
    }
    wake_.notify_one();
  }

  Result<std::vector<AuditRecordPtr>> newest(std::size_t most) override {
    auto records = read_newest(path_, most);
    if (records.size() < most) {
      auto older = read_newest(path_ + ".1", most - records.size());
      records.insert(records.begin(), older.begin(), older.end());
    }
    return records;
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      auto jobs = std::exchange(jobs_, {});
      lock.unlock();
      auto status = write(jobs);
      runtime_.post_from_any_thread(
          [alive = alive_, jobs = std::move(jobs), status = std::move(status)]() mutable {
            for (auto& job : jobs)
              if (*alive) job.done(status);
          });
      lock.lock();
    }
  }

  Status write(const std::vector<Job>& jobs) {
    std::string lines;
    for (const auto& job : jobs)
      for (const auto& record : job.records) lines += encode_text(*record) + "\n";
    if (lines.empty()) return {};
    // A new file that cannot be made is no reason to lose records: the old one grows on.
    if (file_.size() >= runtime_.tunables().audit_file_kib * 1024) (void)file_.rotate();
    return file_.append(lines);
  }

  Runtime& runtime_;
  const std::string path_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // of the strand

  std::mutex mutex_;  // guards jobs_ and stopping_
  std::condition_variable wake_;
  std::vector<Job> jobs_;
  bool stopping_ = false;

  LineFile file_;       // of the writer's thread
  std::thread writer_;  // last: it uses all of the above
};

}  // namespace

Result<std::unique_ptr<AuditLog>> open_audit_file(Runtime& runtime, const std::string& path) {
  LineFile file(path);
  PENSTOCK_CHECK(file.open());
  return std::make_unique<AuditFile>(runtime, path, std::move(file));
}

}  // namespace penstock
