#include <fmt/format.h>

#include "cli/api.h"
#include "cli/verbs/verbs.h"
#include "cli/whoami.h"

namespace penstock::cli {
namespace {

Result<Exit> login(Invocation& inv, bool from_stdin) {
  // A broken configuration file is what this verb mends.
  const auto stored = inv.settings();
  Settings settings = stored ? **stored : merge_settings(inv.io(), inv.options(), {});
  if (from_stdin) {
    settings.token = inv.io().in();
    while (!settings.token.empty() &&
           std::isspace(static_cast<unsigned char>(settings.token.back()))) {
      settings.token.pop_back();
    }
  }
  if (settings.token.empty()) {
    return inv.usage("which token?", "penstock login --token TOKEN");
  }
  const ServerAddress server = PENSTOCK_TRY(parse_server(settings.server));
  // Nothing is stored that the server does not take.
  Api api(server, settings.token);
  auto who = api.read("/v1:whoami", {});
  if (!who && who.error().code == Code::kUnauthenticated) {
    who.error().message = fmt::format("{} does not take this token", server.text());
    who.error().hint =
        "it is another server's, has expired or was deleted; an administrator makes new ones: "
        "kind Token with spec.user";
  }
  PENSTOCK_CHECK(who);
  if (!settings.tenant.empty()) PENSTOCK_CHECK(api.get({"tenants", "", settings.tenant}));
  settings.server = server.text();
  const auto path = PENSTOCK_TRY(config_path(inv.io()));
  PENSTOCK_CHECK(store_settings(path, settings));
  inv.console().line(fmt::format("logged in to {} as {}", settings.server, whoami_text(*who)));
  inv.console().line(fmt::format("  stored in {}, readable by you only", path.string()));
  inv.console().try_next("penstock status");
  return Exit::kDone;
}

}  // namespace

void add_login_verb(Verbs& verbs) {
  auto from_stdin = std::make_shared<bool>(false);
  Verb& verb = verbs.add("login", "store server, token and tenant for later commands",
                         {"penstock login --server http://127.0.0.1:7780 --token TOKEN",
                          "penstock login --tenant acme --token-stdin < admin.token"});
  verb.app->add_flag("--token-stdin", *from_stdin, "read the token from standard input");
  verb.on([from_stdin](Invocation& inv) { return login(inv, *from_stdin); });
}

}  // namespace penstock::cli
