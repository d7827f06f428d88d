#include <fmt/format.h>

#include "cli/api.h"
#include "cli/catalog_table.h"
#include "cli/flags.h"
#include "cli/format.h"
#include "cli/verbs/verbs.h"
#include "cli/watching.h"
#include "cli/whoami.h"

namespace penstock::cli {
namespace {

struct Options {
  std::string vm, query, category, deadline;
  bool watch = false;
  OutputOptions output;
};

Result<Exit> catalog(Invocation& inv, const Options& options) {
  constexpr std::string_view kTry = "penstock catalog --vm TENANT/NAME";
  const auto form = parse_output(options.output);
  if (!form) return inv.usage(form.error(), kTry);
  const Kind& kind = **kind_named("CatalogEntry");
  if (const auto columns = columns_of(kind, *form); !columns)
    return inv.usage(columns.error(), kTry);
  std::string tenant = PENSTOCK_TRY(inv.settings())->tenant;
  Query query;
  if (!options.vm.empty()) {
    const auto vm = parse_name(kind_of<v1::VirtualMachine>(), options.vm, tenant);
    if (!vm) return inv.usage(vm.error(), kTry);
    tenant = vm->tenant;
    query.emplace_back("vm", vm->name);
  }
  if (tenant.empty()) tenant = PENSTOCK_TRY(only_tenant(*PENSTOCK_TRY(inv.api())));
  if (tenant.empty())
    return inv.usage(
        "the catalog of which tenant? give --vm or --tenant, set PENSTOCK_TENANT, or choose one "
        "for "
        "good: penstock login --tenant TENANT",
        kTry);
  if (options.watch) {
    if (!options.vm.empty() || !options.query.empty() || !options.category.empty())
      return inv.usage("--watch follows the whole catalog: leave --vm, --query and --category out",
                       "penstock catalog --tenant TENANT --watch");
    return watch_kind(inv.console(), *PENSTOCK_TRY(inv.api()), kind, {kind.plural, tenant, ""},
                      {.selector = {}, .name = {}, .deadline = options.deadline}, *form, false);
  }
  if (!options.deadline.empty()) return inv.usage("--deadline is of no use without --watch", kTry);
  if (!options.query.empty()) query.emplace_back("query", options.query);
  if (!options.category.empty()) query.emplace_back("category", options.category);
  Api& api = *PENSTOCK_TRY(inv.api());
  const Json entries = PENSTOCK_TRY(api.catalog(tenant, query));
  if (entries.empty() && form->is_table()) {
    std::string narrow;
    if (!options.query.empty()) narrow += fmt::format(" has \"{}\"", options.query);
    if (!options.category.empty())
      narrow += fmt::format("{} is of category {}", narrow.empty() ? "" : " and", options.category);
    inv.console().note(narrow.empty()
                           ? fmt::format("nothing in the catalog of {}", tenant)
                           : fmt::format("nothing in the catalog of {}{}", tenant, narrow));
    return Exit::kDone;
  }
  // Wide is by level, with what it allows.
  if (form->form == Output::Form::kWide && form->columns.empty() && form->sort_by.empty())
    inv.console().write(levels_table(entries).text());
  else
    PENSTOCK_CHECK(print_objects(inv.console(), kind, entries, false, *form, false));
  return Exit::kDone;
}

}  // namespace

void add_catalog_verb(Verbs& verbs) {
  auto options = std::make_shared<Options>();
  Verb& verb =
      verbs.add("catalog", "the services you can enable, and on a given VM whether and why not",
                {"penstock catalog --tenant acme", "penstock catalog --vm acme/web-1",
                 "penstock catalog --tenant acme --query firewall -o wide",
                 "penstock catalog --tenant acme --watch"});
  verb.app->add_option("--vm", options->vm, "usable for this VM?");
  verb.app->add_option("--query", options->query,
                       "words in name, vendor, description or categories");
  verb.app->add_option("--category", options->category, "only of this category");
  verb.app->add_flag("-w,--watch", options->watch, "go on with what appears, changes and vanishes");
  verb.app->add_option("--deadline", options->deadline, "end the watch after 10s, 5m");
  verb.completes({"--vm", Complete::kNameOfKind, {"vm"}});
  options->output.declare(verb, /*tables=*/true);
  verb.on([options](Invocation& inv) { return catalog(inv, *options); });
  add_catalog_file_verbs(verbs, *verb.app);
}

}  // namespace penstock::cli
