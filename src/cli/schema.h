// The JSON Schema of a kind, from the descriptors: what editors complete from.
#pragma once

#include "cli/json.h"
#include "model/kinds.h"

namespace penstock::cli {

// Draft 2020-12; messages under $defs; unknown members refused. The meaning of values is checked by
// the server alone.
Json schema_of(const Kind&);
// Of a message that is an answer, under the title.
Json schema_of(const google::protobuf::Descriptor&, const std::string& title);

}  // namespace penstock::cli
