// Errors as they travel: v1.Failure, the body of every error.
#pragma once

#include "base/error.h"
#include "penstock/v1/api.pb.h"

namespace penstock {

v1::Failure failure_of(const Error&);

}  // namespace penstock
