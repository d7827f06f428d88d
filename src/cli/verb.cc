#include "cli/verb.h"

#include <algorithm>

#include <fmt/format.h>

#include "cli/api.h"

namespace penstock::cli {

Invocation::Invocation(const Io& io, GlobalOptions options)
    : io_(io), console_(io), options_(std::move(options)) {}
Invocation::~Invocation() = default;

Result<const Settings*> Invocation::settings() {
  if (!settings_) {
    settings_ = std::make_unique<Settings>(PENSTOCK_TRY(load_settings(io_, options_)));
  }
  return settings_.get();
}

Result<Api*> Invocation::api() {
  if (!api_) {
    const Settings& found = *PENSTOCK_TRY(settings());
    api_ = std::make_unique<Api>(PENSTOCK_TRY(parse_server(found.server)), found.token);
    api_->set_waiting([this](std::chrono::seconds waited) {
      console_.progress(fmt::format("waiting for {}, {} s", api_->server().text(), waited.count()));
    });
  }
  return api_.get();
}

Exit Invocation::usage(std::string_view message, std::string_view try_command) {
  console_.note(fmt::format("usage: {}", message));
  console_.note(fmt::format("Try: {}", try_command));
  return Exit::kUsage;
}

Exit Invocation::usage(const Error& error, std::string_view try_command) {
  if (error.hint.empty()) return usage(error.message, try_command);
  // After a question comes its answer.
  return usage(error.message + (error.message.ends_with('?') ? " " : "; ") + error.hint,
               try_command);
}

Verb& Verbs::add(std::string name, std::string description, std::vector<std::string> examples,
                 CLI::App* parent) {
  auto verb = std::make_unique<Verb>();
  verb->app = (parent ? parent : &root_)->add_subcommand(std::move(name), std::move(description));
  // --tenant, --server and --token are taken in front of the verb and behind it.
  verb->app->fallthrough();
  std::string footer = examples.size() == 1 ? "Example:" : "Examples:";
  for (const auto& example : examples) footer += "\n  " + example;
  footer +=
      "\nEvery verb takes --server URL, --token TOKEN and -t,--tenant TENANT: penstock --help";
  verb->app->footer(footer);
  verb->examples = std::move(examples);
  verbs_.push_back(std::move(verb));
  return *verbs_.back();
}

const Verb* Verbs::find(const CLI::App* app) const {
  const auto found = std::ranges::find(verbs_, app, [](const auto& verb) { return verb->app; });
  return found == verbs_.end() ? nullptr : found->get();
}

}  // namespace penstock::cli
