#include "base/error.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include <fmt/format.h>

namespace penstock {
namespace {

struct Row {
  Code code;
  std::string_view name;
  int http, grpc, exit;
  bool retry;
};

// The table of DESIGN: one code -> gRPC -> HTTP -> exit code -> retry.
constexpr std::array kTable{
    Row{Code::kInvalidArgument, "invalid_argument", 400, 3, 6, false},
    Row{Code::kNotFound, "not_found", 404, 5, 3, false},
    Row{Code::kAlreadyExists, "already_exists", 409, 6, 5, false},
    Row{Code::kPermissionDenied, "permission_denied", 403, 7, 4, false},
    Row{Code::kUnauthenticated, "unauthenticated", 401, 16, 4, false},
    Row{Code::kConflict, "conflict", 409, 10, 5, true},
    Row{Code::kFailedPrecondition, "failed_precondition", 412, 9, 5, false},
    Row{Code::kResourceExhausted, "resource_exhausted", 429, 8, 8, true},
    Row{Code::kDeadlineExceeded, "deadline_exceeded", 504, 4, 7, false},
    Row{Code::kUnavailable, "unavailable", 503, 14, 9, true},
    Row{Code::kUnimplemented, "unimplemented", 501, 12, 8, false},
    Row{Code::kInternal, "internal", 500, 13, 8, false},
};

const Row& row(Code code) {
  return *std::ranges::find(kTable, code, &Row::code);
}

Code code_of_errno(int error_number) {
  switch (error_number) {
    case EPERM:
    case EACCES: return Code::kPermissionDenied;
    case ENOENT:
    case ENODEV:
    case ESRCH: return Code::kNotFound;
    case EEXIST: return Code::kAlreadyExists;
    case EINVAL: return Code::kInvalidArgument;
    case ENOSPC:
    case ENOMEM:
    case E2BIG:
    case EMFILE:
    case ENFILE: return Code::kResourceExhausted;
    case EBUSY:
    case EAGAIN:
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE: return Code::kUnavailable;
    case EOPNOTSUPP:
    case ENOSYS: return Code::kUnimplemented;
    case ETIMEDOUT: return Code::kDeadlineExceeded;
    default: return Code::kInternal;
  }
}

}  // namespace

Error Error::in(std::string_view doing) && {
  message = fmt::format("{}: {}", doing, message);
  return std::move(*this);
}

std::string Error::text() const {
  std::string out = fmt::format("{}: {}", name(code), message);
  for (const auto& detail : details) {
    out += fmt::format("\n  {}: {}", detail.field, detail.message);
    if (!detail.hint.empty()) out += fmt::format(" ({})", detail.hint);
  }
  if (!hint.empty()) out += "\n  " + hint;
  return out;
}

std::unexpected<Error> fail_field(std::string field, std::string message, std::string hint) {
  std::string summary = fmt::format("{}: {}", field, message);
  return std::unexpected(Error{Code::kInvalidArgument,
                               std::move(summary),
                               {{std::move(field), std::move(message), std::move(hint)}},
                               {}});
}

std::unexpected<Error> fail_errno(int error_number, std::string_view doing) {
  return fail(code_of_errno(error_number),
              fmt::format("{}: {}", doing, std::generic_category().message(error_number)));
}

std::string_view name(Code code) { return row(code).name; }
int http_status(Code code) { return row(code).http; }
int grpc_status(Code code) { return row(code).grpc; }
int exit_code(Code code) { return row(code).exit; }
bool retryable(Code code) { return row(code).retry; }

Result<Code> parse_code(std::string_view text) {
  const auto found = std::ranges::find(kTable, text, &Row::name);
  if (found == kTable.end()) return fail(Code::kInvalidArgument, fmt::format("no error code \"{}\"", text));
  return found->code;
}

}  // namespace penstock
