#include "cli/api.h"
#include "cli/flags.h"
#include "cli/format.h"
#include "cli/verbs/verbs.h"
#include "cli/watching.h"

namespace penstock::cli {
namespace {

struct Options {
  std::vector<std::string> words;
  std::string selector, deadline;
  bool all_tenants = false;
  OutputOptions output;
};

Result<Exit> watch(Invocation& inv, const Options& options) {
  constexpr std::string_view kTry = "penstock watch vms";
  const auto form = parse_output(options.output);
  if (!form) return inv.usage(form.error(), kTry);
  if (!options.deadline.empty()) {
    if (const auto deadline = parse_duration(options.deadline); !deadline)
      return inv.usage(deadline.error(), kTry);
  }
  std::string tenant = options.all_tenants ? "" : PENSTOCK_TRY(inv.settings())->tenant;
  WatchOptions watched{.selector = options.selector, .name = {}, .deadline = options.deadline};
  const Kind* kind = nullptr;
  if (options.words.size() == 1 && options.words[0].find('/') == std::string::npos) {
    const auto found = kind_named(options.words[0]);
    if (!found) return inv.usage(found.error(), kTry);
    kind = *found;
    // A catalog is of no tenant, but each tenant's is another.
    if (!kind->tenant_scoped && kind != &kind_of<v1::CatalogEntry>()) tenant.clear();
  } else {
    const auto ref = parse_ref(options.words, tenant);
    if (!ref) return inv.usage(ref.error(), kTry);
    kind = ref->kind;
    tenant = ref->tenant;
    watched.name = ref->name;
  }
  if (const auto columns = columns_of(*kind, *form); !columns)
    return inv.usage(columns.error(), kTry);
  Api& api = *PENSTOCK_TRY(inv.api());
  if (!watched.name.empty()) {
    const auto there = api.get({kind->plural, kind->tenant_scoped ? tenant : "", watched.name});
    if (!there && there.error().code == Code::kNotFound)
      inv.console().note(there.error().message + "; waiting for it");
  }
  return watch_kind(inv.console(), api, *kind, {kind->plural, tenant, ""}, watched, *form,
                    kind->tenant_scoped && tenant.empty());
}

}  // namespace

void add_watch_verb(Verbs& verbs) {
  auto options = std::make_shared<Options>();
  Verb& verb = verbs.add(
      "watch", "objects of a kind, or one, as they change",
      {"penstock watch vms --tenant acme", "penstock watch enablement acme/web-firewall",
       "penstock watch hosts -o json --deadline 30s", "penstock watch catalog --tenant acme"});
  verb.app->add_option("what", options->words, "KIND, KIND NAME or KIND/NAME")
      ->required()
      ->expected(1, 2);
  verb.app->add_option("-l,--selector", options->selector, "labels: role=web,tier in (a,b),!old");
  verb.app->add_flag("-A,--all-tenants", options->all_tenants, "of all tenants you may see");
  verb.app->add_option("--deadline", options->deadline, "end after 10s, 5m");
  verb.completes({"", Complete::kObject, {}});
  options->output.declare(verb, /*tables=*/true);
  verb.on([options](Invocation& inv) { return watch(inv, *options); });
}

}  // namespace penstock::cli
