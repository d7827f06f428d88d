#include "base/log.h"

#include <memory>

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

namespace penstock {
namespace {

spdlog::level::level_enum level(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return spdlog::level::debug;
    case LogLevel::kInfo: return spdlog::level::info;
    case LogLevel::kWarning: return spdlog::level::warn;
    case LogLevel::kError: return spdlog::level::err;
  }
  return spdlog::level::info;
}

}  // namespace

struct StderrLog::Impl {
  spdlog::logger logger;
};

StderrLog::StderrLog(std::string program, LogLevel lowest)
    : impl_(new Impl{{std::move(program), std::make_shared<spdlog::sinks::stderr_sink_mt>()}}) {
  impl_->logger.set_level(level(lowest));
  impl_->logger.flush_on(spdlog::level::debug);
}

StderrLog::~StderrLog() { delete impl_; }

void StderrLog::write(LogLevel at, std::string_view line) {
  impl_->logger.log(level(at), "{}", line);
}

}  // namespace penstock
