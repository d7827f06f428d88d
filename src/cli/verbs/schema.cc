#include "cli/schema.h"

#include "cli/format.h"
#include "cli/reach_file.h"
#include "cli/ref.h"
#include "cli/verbs/verbs.h"

namespace penstock::cli {

void add_schema_verb(Verbs& verbs) {
  auto kind = std::make_shared<std::string>();
  Verb& verb = verbs.add("schema", "the JSON Schema of a kind, for editors",
                         {"penstock schema vm > vm.schema.json", "penstock schema definition"});
  verb.app->add_option("kind", *kind, "vm, network, profile, ..., trace or reach")->required();
  verb.completes({"", Complete::kKind, {}});
  verb.on([kind](Invocation& inv) -> Result<Exit> {
    if (*kind == "trace") {
      inv.console().line(schema_of(*v1::Trace::descriptor(), "Trace").dump(2));
      return Exit::kDone;
    }
    if (*kind == "reach") {
      inv.console().line(reach_schema().dump(2));
      return Exit::kDone;
    }
    const auto found = kind_named(*kind);
    if (!found) return inv.usage(found.error(), "penstock schema vm");
    inv.console().line(schema_of(**found).dump(2));
    return Exit::kDone;
  });
}

}  // namespace penstock::cli
