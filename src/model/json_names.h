// Names of fields and enum values as JSON has them. Shared by decoder, encoder and field-path
// look-ups.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <google/protobuf/descriptor.h>

#include "penstock/v1/resource.pb.h"

namespace penstock {

// By camelCase or snake_case name; nullptr: none.
const google::protobuf::FieldDescriptor* field_named(const google::protobuf::Descriptor*,
                                                     std::string_view);
std::vector<std::string> field_names(const google::protobuf::Descriptor*);
// In any case; nullptr: none. The zero value of an enum ("..._UNSPECIFIED") has no name in JSON.
const google::protobuf::EnumValueDescriptor* enum_value_named(
    const google::protobuf::EnumDescriptor*, std::string_view);
const v1::FieldRule& rule_of(const google::protobuf::FieldDescriptor*);

}  // namespace penstock
