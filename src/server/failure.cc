#include "server/failure.h"

namespace penstock {

v1::Failure failure_of(const Error& error) {
  v1::Failure failure;
  failure.set_code(std::string(name(error.code)));
  failure.set_message(error.message);
  failure.set_hint(error.hint);
  for (const auto& detail : error.details) {
    auto& one = *failure.add_details();
    one.set_field(detail.field);
    one.set_message(detail.message);
    one.set_hint(detail.hint);
  }
  return failure;
}

}  // namespace penstock
