// The one vocabulary of failure. A code decides gRPC status, HTTP status, CLI exit code and whether a
// caller may retry (see error.cc for the table); details name fields and say how to mend them.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock {

enum class Code {
  kInvalidArgument,     // the request itself is wrong: do not retry until it is changed
  kNotFound,            // no such object, or none the caller may see
  kAlreadyExists,       // create of an object that is there, with other content
  kPermissionDenied,    // known caller, not allowed
  kUnauthenticated,     // no or unknown token
  kConflict,            // resource version is stale: read again, then retry the transaction
  kFailedPrecondition,  // the state of the system forbids it (in use, not published): do not retry until fixed
  kResourceExhausted,   // a quota, a map, a disk is full
  kDeadlineExceeded,    // the wait ended before the goal; what was accepted stays accepted
  kUnavailable,         // peer or store away: retry the call
  kUnimplemented,       // this build or kernel cannot do it
  kInternal,            // a defect, or an error of the operating system with no better name
};

// One thing that is wrong with a request.
struct ErrorDetail {
  std::string field;    // path in the object, e.g. "spec.rules[3].ports[0]"; empty: the object as a whole
  std::string message;  // what is wrong, e.g. "\"22-8\" is not a range: low end above high end"
  std::string hint;     // how to mend it, e.g. "did you mean \"8-22\"?"; may be empty
  bool operator==(const ErrorDetail&) const = default;
};

struct [[nodiscard]] Error {
  Code code = Code::kInternal;
  std::string message;               // one sentence, names before ids, no trailing period
  std::vector<ErrorDetail> details;  // all errors of the request at once
  std::string hint;                  // next thing to try; may be empty
  bool operator==(const Error&) const = default;

  // Adds what the caller was doing in front: "apply port web-1/eth0: attach tcx: Operation not permitted".
  Error in(std::string_view doing) &&;
  // Message, details and hint as lines for a log or a test failure.
  std::string text() const;
};

template <typename T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

inline std::unexpected<Error> fail(Code code, std::string message, std::string hint = {}) {
  return std::unexpected(Error{code, std::move(message), {}, std::move(hint)});
}
// An invalid field, as a whole error.
std::unexpected<Error> fail_field(std::string field, std::string message, std::string hint = {});
// errno as an error: code by meaning, text by strerror. `doing` says which call on what.
std::unexpected<Error> fail_errno(int error_number, std::string_view doing);

std::string_view name(Code);  // "invalid_argument", the form used in JSON
Result<Code> parse_code(std::string_view);
int http_status(Code);
int grpc_status(Code);  // value of grpc::StatusCode
int exit_code(Code);    // of the CLI, the table of docs/cli.md
bool retryable(Code);   // the same call may succeed later without anyone changing anything

// Returns from the enclosing function on error; otherwise the value:
//   auto link = PENSTOCK_TRY(kernel.link("eth0"));
#define PENSTOCK_TRY(expression)                                        \
  ({                                                                    \
    auto penstock_result = (expression);                                \
    if (!penstock_result) return std::unexpected(std::move(penstock_result).error()); \
    std::move(penstock_result).value();                                 \
  })
// The same for a Status.
#define PENSTOCK_CHECK(expression)                                      \
  do {                                                                  \
    if (auto penstock_status = (expression); !penstock_status)          \
      return std::unexpected(std::move(penstock_status).error());       \
  } while (0)

}  // namespace penstock
