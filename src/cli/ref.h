// Names of objects as people type them: "vm/acme/web-1", or a kind and a name in two words.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cli/api.h"
#include "cli/json.h"
#include "model/kinds.h"

namespace penstock::cli {

struct ObjectRef {
  const Kind* kind = nullptr;
  std::string tenant, name;  // tenant empty for kinds without; name empty: all of the kind

  Location location() const { return {kind->plural, tenant, name}; }
  std::string full_name() const;  // "acme/web-1", "h1"
  std::string text() const;       // "vm/acme/web-1": can be typed again
  std::string display() const;    // "vm acme/web-1"
};

// Kind name, plural, alias or singular of the plural, in any case. The error carries "did you mean"
// as its hint.
Result<const Kind*> kind_named(std::string_view spelling);
// The word for one object of the kind: "vm", "network", "profile".
std::string singular(const Kind&);

// One word with a slash, or kind and name. Errors are misuse of the command line.
Result<ObjectRef> parse_ref(const std::vector<std::string>& words,
                            const std::string& default_tenant);
// "acme/web-1" or "web-1" of a known kind.
Result<ObjectRef> parse_name(const Kind&, std::string_view name, const std::string& default_tenant);

// The place of an object that the server sent or a file holds; kind nullptr when it says no known
// kind.
ObjectRef ref_of(const Json& object);

}  // namespace penstock::cli
