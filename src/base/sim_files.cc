#include "base/sim_files.h"

#include <utility>

namespace penstock {

Result<std::optional<std::string>> SimFiles::read(const std::string& path) {
  const auto found = disk_.files.find(path);
  if (found == disk_.files.end()) return std::nullopt;
  return found->second;
}

void SimFiles::replace(const std::string& path, std::string content, Done done) {
  // A crash before `done` may come before or after the rename: the dice say which.
  const bool early = (runtime_.random() & 1) && !disk_.full;
  if (early) disk_.files[path] = content;
  runtime_.after(disk_.write_time, [this, path, content = std::move(content),
                                    done = std::move(done), early]() mutable {
    if (disk_.full && !early)
      return done(fail(Code::kResourceExhausted, "write " + path + ": disk full"));
    disk_.files[path] = std::move(content);
    done({});
  });
}

}  // namespace penstock
