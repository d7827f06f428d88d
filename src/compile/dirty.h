// Which items edits can touch: for every kind of object the places where it is read. May name too
// many, never too few; the property test in compile_test.cc holds it against compiling everything.
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>

#include "compile/view.h"

namespace penstock {

using Dirty = std::map<std::string, std::set<ItemRef>, std::less<>>;  // by host

Dirty dirty_items(View& before, View& after, std::span<const Edit> edits);

}  // namespace penstock
