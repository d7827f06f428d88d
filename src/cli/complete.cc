#include "cli/complete.h"

#include <algorithm>
#include <set>

#include "cli/api.h"
#include "cli/ref.h"

namespace penstock::cli {
namespace {

constexpr std::chrono::milliseconds kPatience{1000};

// Where the words before the last one have led.
struct Position {
  CLI::App* app = nullptr;
  std::vector<std::string> positionals;
  const CLI::Option* waiting = nullptr;  // an option that wants its value next
};

const CLI::Option* option_of(const CLI::App* app, const std::string& name) {
  for (; app; app = app->get_parent()) {
    if (const CLI::Option* option = app->get_option_no_throw(name)) return option;
  }
  return nullptr;
}

CLI::App* verb_of(CLI::App* app, const std::string& name) {
  const auto found = app->get_subcommands([&](CLI::App* verb) { return verb->get_name() == name; });
  return found.empty() ? nullptr : found.front();
}

void set_global(GlobalOptions& options, const CLI::Option& option, const std::string& value) {
  if (option.check_name("--tenant")) options.tenant = value;
  if (option.check_name("--server")) options.server = value;
  if (option.check_name("--token")) options.token = value;
}

Position walk(CommandLine& line, const std::vector<std::string>& words) {
  Position position{.app = &line.app, .positionals = {}};
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    const std::string& word = words[i];
    if (position.waiting) {
      set_global(line.options, *position.waiting, word);
      position.waiting = nullptr;
    } else if (word.starts_with('-') && word.size() > 1) {
      const auto equals = word.find('=');
      const CLI::Option* option = option_of(position.app, word.substr(0, equals));
      if (!option || option->get_expected_max() == 0) continue;
      if (equals == std::string::npos) {
        position.waiting = option;
      } else {
        set_global(line.options, *option, word.substr(equals + 1));
      }
    } else if (CLI::App* verb =
                   position.positionals.empty() ? verb_of(position.app, word) : nullptr) {
      position.app = verb;
    } else {
      position.positionals.push_back(word);
    }
  }
  return position;
}

class Candidates {
 public:
  Candidates(CommandLine& line, const Io& io) : line_(line), invocation_(io, line.options) {}

  std::vector<std::string> at(const Position& position, const std::string& current) {
    if (position.waiting) return value_of(position, *position.waiting, current);
    if (current.starts_with('-')) {
      const auto equals = current.find('=');
      if (equals == std::string::npos) return options(position.app);
      const CLI::Option* option = option_of(position.app, current.substr(0, equals));
      std::vector<std::string> out;
      if (!option) return out;
      for (const auto& value : value_of(position, *option, current.substr(equals + 1))) {
        out.push_back(current.substr(0, equals + 1) + value);
      }
      return out;
    }
    std::vector<std::string> out;
    for (const CLI::App* verb : position.app->get_subcommands([](CLI::App*) { return true; })) {
      out.push_back(verb->get_name());
    }
    if (!out.empty()) return out;
    const Verb* verb = line_.verbs.find(position.app);
    if (!verb || position.positionals.size() >= room(position)) return {};
    const Place* last = nullptr;
    std::size_t index = position.positionals.size();
    for (const auto& place : verb->places) {
      if (!place.option.empty()) continue;
      last = &place;
      if (index-- == 0) break;
    }
    return last ? of_place(*last, position, current) : out;
  }

 private:
  // How many positionals the verb takes.
  static std::size_t room(const Position& position) {
    std::size_t most = 0;
    for (const CLI::Option* option :
         position.app->get_options([](const CLI::Option* o) { return o->get_positional(); }))
      most += static_cast<std::size_t>(option->get_items_expected_max());
    // "vm/acme/web-1" is an object in one word where "vm acme/web-1" would be two.
    const bool whole =
        !position.positionals.empty() && position.positionals[0].find('/') != std::string::npos;
    return most == 2 && whole ? 1 : most;
  }

  static std::vector<std::string> options(const CLI::App* app) {
    std::set<std::string> names;
    for (; app; app = app->get_parent()) {
      for (const CLI::Option* option : app->get_options()) {
        for (const auto& name : option->get_lnames()) names.insert("--" + name);
      }
    }
    return {names.begin(), names.end()};
  }

  std::vector<std::string> value_of(const Position& position, const CLI::Option& option,
                                    const std::string& current) {
    if (option.check_name("--tenant")) return names(*kind_named("tenant").value(), "");
    const Verb* verb = line_.verbs.find(position.app);
    if (!verb) return {};
    for (const auto& place : verb->places) {
      if (!place.option.empty() && option.check_name(place.option))
        return of_place(place, position, current);
    }
    return {};
  }

  std::vector<std::string> of_place(const Place& place, const Position& position,
                                    const std::string& current) {
    switch (place.what) {
      case Complete::kNothing:
      case Complete::kFile:
        return {};  // the shell itself knows files
      case Complete::kWords:
        return place.words;
      case Complete::kOffer:
        return place.offer(position.positionals);
      case Complete::kKind:
        return kind_words("");
      case Complete::kNameOfKind: {
        const auto kind = kind_named(place.words.at(0));
        return kind ? names(**kind, current) : std::vector<std::string>{};
      }
      case Complete::kObject:
        return objects(position, current);
      case Complete::kTarget:
        return targets(current);
      case Complete::kCatalog:
        return catalog();
      case Complete::kLevel:
        return levels(position);
    }
    return {};
  }

  static std::vector<std::string> kind_words(std::string_view suffix) {
    std::vector<std::string> out;
    for (const Kind& kind : kinds()) out.push_back(singular(kind) + std::string(suffix));
    return out;
  }

  // "vm" first, then a name; or both in one word.
  std::vector<std::string> objects(const Position& position, const std::string& current) {
    const auto slash = current.find('/');
    const bool kind_before =
        !position.positionals.empty() && position.positionals[0].find('/') == std::string::npos;
    if (kind_before) {
      const auto kind = kind_named(position.positionals[0]);
      return kind ? names(**kind, current) : std::vector<std::string>{};
    }
    if (slash == std::string::npos) return kind_words("");
    const auto kind = kind_named(current.substr(0, slash));
    if (!kind) return {};
    return prefixed(current.substr(0, slash + 1), names(**kind, current.substr(slash + 1)));
  }

  std::vector<std::string> targets(const std::string& current) {
    const auto slash = current.find('/');
    if (slash == std::string::npos) return {"vm/", "nic/", "pool/", "network/"};
    const auto word = current.substr(0, slash);
    if (word == "nic") return nics(current.substr(slash + 1));
    const auto kind = kind_named(word);
    if (!kind) return {};
    return prefixed(current.substr(0, slash + 1), names(**kind, current.substr(slash + 1)));
  }

  std::vector<std::string> nics(const std::string& current) {
    const Json vms = list({"vms", tenant(), ""});
    std::vector<std::string> out;
    for (const auto& vm : vms) {
      const ObjectRef ref = ref_of(vm);
      const bool full = tenant().empty() || current.starts_with(ref.tenant + "/");
      for (const auto& nic : penstock::cli::at(vm, "spec", "nics")) {
        out.push_back("nic/" + (full ? ref.full_name() : ref.name) + "/" +
                      text_at(penstock::cli::at(nic, "name")));
      }
    }
    return out;
  }

  std::vector<std::string> catalog() {
    if (tenant().empty()) return names(*kind_named("profile").value(), "");
    std::vector<std::string> out;
    const auto api = ready_api();
    if (!api) return out;
    const auto answer = api->read("/v1/tenants/" + encode(tenant()) + "/catalog", {});
    if (!answer) return out;
    for (const auto& entry : penstock::cli::at(*answer, "entries"))
      out.push_back(ref_of(entry).name);
    return out;
  }

  std::vector<std::string> levels(const Position& position) {
    std::vector<std::string> out;
    const auto api = ready_api();
    if (!api || position.positionals.empty()) return out;
    const auto profile = api->get({"profiles", "", position.positionals[0]});
    if (!profile) return out;
    for (const auto& level : penstock::cli::at(*profile, "status", "levels"))
      out.push_back(text_at(level));
    return out;
  }

  // Short names of the default tenant; full ones when there is none or a slash was typed.
  std::vector<std::string> names(const Kind& kind, const std::string& current) {
    const bool full =
        kind.tenant_scoped && (tenant().empty() || current.find('/') != std::string::npos);
    std::vector<std::string> out;
    for (const auto& object :
         list({kind.plural, full || !kind.tenant_scoped ? "" : tenant(), ""})) {
      const ObjectRef ref = ref_of(object);
      out.push_back(full ? ref.full_name() : ref.name);
    }
    return out;
  }

  static std::vector<std::string> prefixed(const std::string& prefix,
                                           std::vector<std::string> words) {
    for (auto& word : words) word.insert(0, prefix);
    return words;
  }

  Json list(const Location& location) {
    Api* api = ready_api();
    if (!api) return Json::array();
    return api->list(location, "").value_or(Json::array());
  }

  Api* ready_api() {
    const auto api = invocation_.api();
    if (!api) return nullptr;
    (*api)->set_timeout(kPatience);
    return *api;
  }

  std::string tenant() {
    const auto settings = invocation_.settings();
    return settings ? (*settings)->tenant : std::string();
  }

  CommandLine& line_;
  Invocation invocation_;
};

}  // namespace

std::vector<std::string> complete(const std::vector<std::string>& words, const Io& io,
                                  const std::vector<AddVerbs>& more) {
  const std::vector<std::string> typed = words.empty() ? std::vector<std::string>{""} : words;
  CommandLine line(more);
  const Position position = walk(line, typed);
  Candidates candidates(line, io);
  std::vector<std::string> out = candidates.at(position, typed.back());
  std::erase_if(out, [&](const std::string& word) { return !word.starts_with(typed.back()); });
  std::ranges::sort(out);
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

}  // namespace penstock::cli
