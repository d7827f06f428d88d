// penstock diag bundle: what whoever helps will ask for, in one file, without secrets.
#include <chrono>

#include <fmt/format.h>

#include "cli/api.h"
#include "cli/junit.h"
#include "cli/tar_gz.h"
#include "cli/verbs/operations.h"

namespace penstock::cli {
namespace {

constexpr const char* kTry = "penstock diag bundle -o penstock.tar.gz";

// What is a secret to the server is one here, and so is what people put into free fields under
// such names. Annotations and cloud-init data are anybody's guess: only that they are there.
void strip(Json& json) {
  if (json.is_object()) {
    for (auto& [name, value] : json.items()) {
      std::string low = name;
      for (auto& c : low) c = static_cast<char>(std::tolower(c));
      const bool secret = low.find("secret") != low.npos || low.find("password") != low.npos ||
                          low.find("sha256") != low.npos || low == "annotations" ||
                          low == "userdata" || low == "agentjson" ||
                          low.find("privatekey") != low.npos;
      if (secret)
        value = "(stripped)";
      else
        strip(value);
    }
  } else if (json.is_array()) {
    for (auto& value : json) strip(value);
  }
}

Result<Exit> bundle(Invocation& inv, const std::string& path) {
  Api& api = *PENSTOCK_TRY(inv.api());
  std::vector<std::pair<std::string, std::string>> files;
  std::vector<std::string> missing;
  const auto add = [&](const std::string& name, Result<Json> answer) {
    inv.console().progress(name);
    if (!answer) {
      missing.push_back(fmt::format("{}: {}", name, answer.error().message));
      return;
    }
    strip(*answer);
    files.emplace_back(name, answer->dump(2) + "\n");
  };
  // Without a server there is nothing to bundle.
  const Json who = PENSTOCK_TRY(api.read("/v1:whoami", {}));
  add("whoami.json", who);
  add("status.json", api.read("/v1:status", {}));
  add("check.json", api.read("/v1:check", {}));
  const auto& settings = *PENSTOCK_TRY(inv.settings());
  HttpClient plain(api.server(), settings.token);
  if (auto metrics = plain.call({"GET", "/metrics", ""}, std::chrono::seconds(10));
      metrics && metrics->status == 200)
    files.emplace_back("metrics.txt", std::move(metrics->body));
  else
    missing.push_back("metrics.txt: " + (metrics
                                             ? failure_of(metrics->status, metrics->body).message
                                             : metrics.error().message));
  for (const auto& kind : kinds()) {
    if (kind.name == "CatalogEntry") continue;
    add(fmt::format("objects/{}.json", kind.plural), api.list({kind.plural, "", ""}, ""));
  }
  std::string about =
      fmt::format("penstock {}\nserver {}\n", PENSTOCK_VERSION, api.server().text());
  for (const auto& line : missing) about += "not in here: " + line + "\n";
  files.emplace_back("about.txt", about);
  const auto when = std::chrono::duration_cast<std::chrono::seconds>(
                        std::chrono::system_clock::now().time_since_epoch())
                        .count();
  for (auto& [name, content] : files) name = "penstock-diag/" + name;
  PENSTOCK_CHECK(write_file(path, tar_gz(files, when)));
  inv.console().line(
      fmt::format("{}: {}{}", path, counted(std::ssize(files), "file"),
                  missing.empty() ? "" : fmt::format("; {} missing", missing.size())));
  for (const auto& line : missing) inv.console().line("  not in it: " + line);
  inv.console().line(
      "Secrets, annotations and cloud-init data are stripped; names, addresses and rules are in "
      "it.");
  return Exit::kDone;
}

}  // namespace

void add_diag_verb(Verbs& verbs) {
  Verb& diag = verbs.add("diag", "what whoever helps will ask for", {kTry});
  diag.app->require_subcommand(1);
  auto path = std::make_shared<std::string>();
  Verb& verb = verbs.add("bundle",
                         "status, checks, objects, events, audit and metrics in one file, without "
                         "secrets",
                         {kTry}, diag.app);
  verb.app->add_option("-o,--output", *path, "file to write: NAME.tar.gz")->required();
  verb.completes({"-o", Complete::kFile, {}});
  verb.on([path](Invocation& inv) { return bundle(inv, *path); });
}

}  // namespace penstock::cli
