// Checks a value against a JSON Schema, as far as the schemas of this folder go: what the schema
// says and what is checked cannot differ.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "cli/json.h"

namespace penstock::lab {

cli::Json list_of(cli::Json item);
cli::Json object_of(cli::Json properties, std::vector<std::string> required = {"name"});
cli::Json text_form(std::string description = {});
cli::Json flag_form();
cli::Json number_form(std::int64_t low, std::int64_t high);
// A name of at most 32 characters; a stem may end in '-', because a number follows.
cli::Json name_form();
cli::Json stem_form();

// Of a lab: kInvalidArgument unless name_form() says so.
Status check_lab_name(const std::string&);

// Adds a problem for everything that differs, with its field path below `path`.
void check_form(const cli::Json& value, const cli::Json& schema, const std::string& path,
                std::vector<ErrorDetail>& problems);

}  // namespace penstock::lab
