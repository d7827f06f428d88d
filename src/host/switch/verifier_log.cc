#include "host/switch/verifier_log.h"

#include <cerrno>

#include <fmt/format.h>

namespace penstock::host {
namespace {

constexpr std::size_t kBytes = 1 << 20;

std::string last_lines(const std::string& text, int lines) {
  auto at = text.find_last_not_of("\n\0");
  if (at == std::string::npos) return {};
  const auto end = at + 1;
  while (lines-- > 0 && at != std::string::npos && at > 0) at = text.rfind('\n', at - 1);
  return text.substr(at == std::string::npos ? 0 : at + 1,
                     end - (at == std::string::npos ? 0 : at + 1));
}

}  // namespace

VerifierLog::VerifierLog() : text_(kBytes, '\0') {}

bpf_object_open_opts VerifierLog::options() {
  bpf_object_open_opts options{};
  options.sz = sizeof(options);
  options.kernel_log_buf = text_.data();
  options.kernel_log_size = text_.size();
  libbpf_set_print(nullptr);
  return options;
}

Status VerifierLog::refused(int error) const {
  const std::string said = last_lines(text_.substr(0, text_.find('\0')), 8);
  if (error == -EPERM && said.empty())
    return fail(Code::kPermissionDenied, "the kernel refuses BPF programs from this process",
                "run as root");
  return fail(Code::kUnimplemented,
              fmt::format("the kernel refuses the programs (error {}): {}", -error, said));
}

}  // namespace penstock::host
