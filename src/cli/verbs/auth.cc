#include <fmt/format.h>

#include "cli/api.h"
#include "cli/format.h"
#include "cli/verbs/verbs.h"
#include "cli/whoami.h"

namespace penstock::cli {

void add_auth_verb(Verbs& verbs) {
  Verb& auth = verbs.add("auth", "who the server takes you for", {"penstock auth whoami"});
  auth.app->require_subcommand(1);
  auto output = std::make_shared<OutputOptions>();
  Verb& whoami = verbs.add("whoami", "user, roles and groups of the token in use",
                           {"penstock auth whoami", "penstock auth whoami -o json"}, auth.app);
  output->declare(whoami, /*tables=*/false);
  whoami.on([output](Invocation& inv) -> Result<Exit> {
    const auto form = parse_output(*output);
    if (!form) return inv.usage(form.error(), "penstock auth whoami --help");
    Api& api = *PENSTOCK_TRY(inv.api());
    const Json answer = PENSTOCK_TRY(api.read("/v1:whoami", {}));
    if (!form->is_table()) {
      PENSTOCK_CHECK(print_data(inv.console(), answer, *form));
      return Exit::kDone;
    }
    inv.console().line(whoami_text(answer));
    return Exit::kDone;
  });
}

}  // namespace penstock::cli
