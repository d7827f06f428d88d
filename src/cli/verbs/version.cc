#include "cli/verbs/verbs.h"

namespace penstock::cli {

void add_version_verb(Verbs& verbs) {
  verbs.add("version", "the version of this program", {"penstock version"})
      .on([](Invocation& inv) -> Result<Exit> {
        inv.console().line("penstock " PENSTOCK_VERSION);
        return Exit::kDone;
      });
}

}  // namespace penstock::cli
