// Step kind `filter`: ordered stateful rules (api/penstock/v1/filter.proto). The example for
// further kinds: what is checked, what is compiled and what is said about it lie in this folder and
// nowhere else.
#pragma once

#include <memory>

#include "model/step_kind.h"

namespace penstock {

std::unique_ptr<StepKind> make_filter_step_kind();

}  // namespace penstock
