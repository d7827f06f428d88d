#include <fmt/format.h>

#include "cli/api.h"
#include "cli/flags.h"
#include "cli/format.h"
#include "cli/verbs/verbs.h"
#include "cli/watching.h"

namespace penstock::cli {
namespace {

constexpr std::string_view kTry = "penstock get vms";
constexpr std::string_view kAbout = "penstock get events --for vm/acme/web-1";

struct Options {
  std::vector<std::string> words;
  std::string selector, deadline, about;
  bool all_tenants = false, watch = false, awaiting = false;
  OutputOptions output;
};

Result<Exit> get_named(Invocation& inv, const std::vector<ObjectRef>& refs, const Output& form) {
  Api& api = *PENSTOCK_TRY(inv.api());
  Json objects = Json::array();
  for (const auto& ref : refs) {
    if (ref.kind != refs[0].kind) return inv.usage("only objects of one kind at a time", kTry);
    objects.push_back(PENSTOCK_TRY(api.get(ref.location())));
  }
  PENSTOCK_CHECK(
      print_objects(inv.console(), *refs[0].kind, objects, refs.size() == 1, form, false));
  return Exit::kDone;
}

Result<Exit> get_all(Invocation& inv, const Kind& kind, const Options& options,
                     const Output& form) {
  const bool about_objects = kind.name == "Event" || kind.name == "AuditRecord";
  if (!options.about.empty() && (!about_objects || options.watch))
    return inv.usage("--for is of events and audit, without --watch", kAbout);
  std::string tenant = options.all_tenants ? "" : PENSTOCK_TRY(inv.settings())->tenant;
  if (!kind.tenant_scoped) tenant.clear();
  const bool with_tenant = kind.tenant_scoped && tenant.empty();
  Api& api = *PENSTOCK_TRY(inv.api());
  const Location location{kind.plural, tenant, ""};
  if (options.watch) {
    return watch_kind(inv.console(), api, kind, location,
                      {.selector = options.selector, .name = {}, .deadline = options.deadline},
                      form, with_tenant);
  }
  Json objects = PENSTOCK_TRY(api.list(location, options.selector));
  if (!options.about.empty()) {
    const auto ref = parse_ref({options.about}, PENSTOCK_TRY(inv.settings())->tenant);
    if (!ref) return inv.usage(ref.error(), kAbout);
    Json kept = Json::array();
    for (auto& one : objects) {
      const Json& object = at(one, "object");
      if (text_at(at(object, "kind")) == ref->kind->name &&
          text_at(at(object, "tenant")) == ref->tenant && text_at(at(object, "name")) == ref->name)
        kept.push_back(std::move(one));
    }
    objects = std::move(kept);
  }
  if (options.awaiting) {
    Json waiting = Json::array();
    for (auto& object : objects)
      if (at(object, "spec", "approval", "state") == "ASKED") waiting.push_back(std::move(object));
    objects = std::move(waiting);
    if (objects.empty() && form.is_table()) {
      inv.console().note("nothing waits for approval");
      return Exit::kDone;
    }
    if (form.is_table() && form.columns.empty()) {
      Output asked = form;
      asked.columns = {"PROFILE", "LEVEL", "ON", "ASKED BY=spec.approval.askedBy",
                       "ASKED AT=spec.approval.askedAt"};
      asked.columns.insert(asked.columns.begin(), "NAME");
      PENSTOCK_CHECK(print_objects(inv.console(), kind, objects, false, asked, with_tenant));
      return Exit::kDone;
    }
  }
  if (objects.empty() && form.is_table()) {
    // Said on err, so that `get ... | wc -l` counts nothing.
    inv.console().note(
        fmt::format("no {}{}{}", kind.plural, tenant.empty() ? "" : " in tenant " + tenant,
                    (options.about.empty() ? "" : " for " + options.about) +
                        (options.selector.empty() ? "" : " with " + options.selector)));
    return Exit::kDone;
  }
  PENSTOCK_CHECK(print_objects(inv.console(), kind, objects, false, form, with_tenant));
  return Exit::kDone;
}

Result<Exit> get(Invocation& inv, const Options& options) {
  const auto form = parse_output(options.output);
  if (!form) return inv.usage(form.error(), kTry);
  const auto& words = options.words;
  if (words.size() == 1 && words[0].find('/') == std::string::npos) {
    const auto kind = kind_named(words[0]);
    if (!kind) return inv.usage(kind.error(), kTry);
    if ((*kind)->name == "CatalogEntry") {
      return inv.usage("the catalog has a verb of its own", "penstock catalog");
    }
    if (const auto columns = columns_of(**kind, *form); !columns)
      return inv.usage(columns.error(), kTry);
    if (options.awaiting && ((*kind)->name != "Enablement" || options.watch))
      return inv.usage("--awaiting is for lists of enablements",
                       "penstock get enablements -A --awaiting");
    return get_all(inv, **kind, options, *form);
  }
  if (options.watch)
    return inv.usage("one object is watched by `watch`", "penstock watch vm acme/web-1");
  if (!options.selector.empty())
    return inv.usage("--selector is of no use with a name", "penstock get vms -l role=web");
  const auto refs = parse_refs(words, PENSTOCK_TRY(inv.settings())->tenant);
  if (!refs) return inv.usage(refs.error(), kTry);
  if (const auto columns = columns_of(*(*refs)[0].kind, *form); !columns)
    return inv.usage(columns.error(), kTry);
  return get_named(inv, *refs, *form);
}

}  // namespace

void add_get_verb(Verbs& verbs) {
  auto options = std::make_shared<Options>();
  Verb& verb =
      verbs.add("get", "objects of a kind, or some of them by name",
                {"penstock get vms --tenant acme", "penstock get events --for vm/acme/web-1",
                 "penstock get audit -l outcome=DENIED", "penstock get enablements -A --awaiting",
                 "penstock get vms -A -l role=web --sort-by HOST",
                 "penstock get vm acme/web-1 -o yaml", "penstock get hosts -o wide -w",
                 "penstock get vms -A -o jsonpath='{range .items[*]}{.metadata.name} "
                 "{.status.host}{\"\\n\"}{end}'"});
  verb.app->add_option("what", options->words, "KIND, KIND NAME... or KIND/NAME...")->required();
  verb.app->add_option("-l,--selector", options->selector, "labels: role=web,tier in (a,b),!old");
  verb.app->add_option("--for", options->about, "of events and audit: those about KIND/NAME");
  verb.app->add_flag("-A,--all-tenants", options->all_tenants, "of all tenants you may see");
  verb.app->add_flag("-w,--watch", options->watch, "go on with what changes");
  verb.app->add_flag("--awaiting", options->awaiting,
                     "of enablements: those that wait for approval");
  verb.app->add_option("--deadline", options->deadline, "of --watch: end after 10s, 5m");
  verb.completes({"", Complete::kObject, {}});
  verb.completes({"--for", Complete::kObject, {}});
  options->output.declare(verb, /*tables=*/true);
  verb.on([options](Invocation& inv) { return get(inv, *options); });
}

}  // namespace penstock::cli
