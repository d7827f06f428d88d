// The syntax of names, labels and selectors.
#pragma once

#include <string>
#include <string_view>

#include "model/kinds.h"
#include "model/problems.h"

namespace penstock {

// [a-z0-9]([-a-z0-9.]*[a-z0-9])?, at most 63 characters: names of objects, NICs, uplinks, levels.
void check_name(std::string_view name, Problems&, std::string field);
// [prefix/]name with name [A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])? of at most 63 characters.
void check_label_key(std::string_view key, Problems&, std::string field);
void check_label_value(std::string_view value, Problems&, std::string field);
void check_labels(const google::protobuf::Map<std::string, std::string>&, Problems&,
                  std::string_view field);
void check_selector(const v1::LabelSelector&, Problems&, std::string_view field);

}  // namespace penstock
