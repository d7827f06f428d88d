#include "cli/ref.h"

#include <algorithm>

#include <fmt/format.h>

namespace penstock::cli {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

}  // namespace

std::string ObjectRef::full_name() const {
  return tenant.empty() ? name : tenant + "/" + name;
}
std::string ObjectRef::text() const {
  return singular(*kind) + "/" + full_name();
}
std::string ObjectRef::display() const {
  return singular(*kind) + " " + full_name();
}

std::string singular(const Kind& kind) {
  // The API's plurals are all regular; a kind without one ("catalog") is called by it.
  return kind.plural.ends_with('s') ? kind.plural.substr(0, kind.plural.size() - 1) : kind.plural;
}

Result<const Kind*> kind_named(std::string_view spelling) {
  auto found = find_kind(spelling);
  if (found) return found;
  const std::string word = lower(spelling);
  for (const Kind& kind : kinds()) {
    if (singular(kind) == word) return &kind;
  }
  return found;
}

Result<ObjectRef> parse_name(const Kind& kind, std::string_view name,
                             const std::string& default_tenant) {
  ObjectRef ref{.kind = &kind, .tenant = {}, .name = std::string(name)};
  const auto slash = name.find('/');
  if (slash != std::string_view::npos) {
    if (!kind.tenant_scoped) {
      return fail(Code::kInvalidArgument,
                  fmt::format("\"{}\": {} belong to the whole deployment, not to a tenant", name,
                              kind.plural),
                  fmt::format("write {}", name.substr(slash + 1)));
    }
    ref.tenant = std::string(name.substr(0, slash));
    ref.name = std::string(name.substr(slash + 1));
  } else if (kind.tenant_scoped) {
    ref.tenant = default_tenant;
    if (ref.tenant.empty()) {
      return fail(Code::kInvalidArgument,
                  fmt::format("{} \"{}\": of which tenant?", singular(kind), name),
                  fmt::format("write TENANT/{}, or give --tenant or PENSTOCK_TENANT", name));
    }
  }
  if (ref.name.empty() || (kind.tenant_scoped && ref.tenant.empty()) ||
      ref.name.find('/') != std::string::npos) {
    return fail(Code::kInvalidArgument,
                fmt::format("\"{}\" is not the name of a {}", name, singular(kind)),
                kind.tenant_scoped ? "write TENANT/NAME" : "write NAME");
  }
  return ref;
}

Result<ObjectRef> parse_ref(const std::vector<std::string>& words,
                            const std::string& default_tenant) {
  if (words.empty() || words.size() > 2) {
    return fail(Code::kInvalidArgument, "an object is needed, and only one",
                "write KIND NAME or KIND/NAME");
  }
  if (words.size() == 2) {
    const Kind* kind = PENSTOCK_TRY(kind_named(words[0]));
    return parse_name(*kind, words[1], default_tenant);
  }
  const std::string_view word = words[0];
  const auto slash = word.find('/');
  if (slash == std::string_view::npos) {
    return fail(Code::kInvalidArgument, fmt::format("\"{}\" names no object", word),
                "write KIND NAME or KIND/NAME");
  }
  const Kind* kind = PENSTOCK_TRY(kind_named(word.substr(0, slash)));
  return parse_name(*kind, word.substr(slash + 1), default_tenant);
}

ObjectRef ref_of(const Json& object) {
  ObjectRef ref;
  if (const auto kind = kind_named(text_at(at(object, "kind")))) ref.kind = *kind;
  ref.tenant = text_at(at(object, "metadata", "tenant"));
  ref.name = text_at(at(object, "metadata", "name"));
  return ref;
}

}  // namespace penstock::cli
