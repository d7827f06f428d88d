// How scenarios went, for machines.
#pragma once

#include <string>
#include <vector>

#include "lab/scenario/runner.h"

namespace penstock::lab {

// JUnit's XML, as most build servers read it: one test case a scenario.
std::string junit_xml(const std::vector<Verdict>&);

}  // namespace penstock::lab
