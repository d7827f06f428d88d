#include "cli/run.h"

#include <algorithm>

#include <fmt/format.h>

#include "cli/complete.h"
#include "cli/verbs/verbs.h"
#include "model/kinds.h"

namespace penstock::cli {
namespace {

std::string command_of(const CLI::App& app) {
  return app.get_parent() ? command_of(*app.get_parent()) + " " + app.get_name() : app.get_name();
}

// The deepest verb that the words reached, for help and suggestions.
CLI::App& deepest(CLI::App& app) {
  const auto chosen = app.get_subcommands();
  return chosen.empty() ? app : deepest(*chosen.back());
}

std::vector<std::string> verb_names(CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* verb : app.get_subcommands([](CLI::App*) { return true; })) {
    if (!verb->get_name().starts_with("__")) names.push_back(verb->get_name());
  }
  return names;
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* here = &app; here; here = here->get_parent()) {
    for (const CLI::Option* option : here->get_options()) {
      for (const auto& name : option->get_lnames()) names.push_back("--" + name);
      for (const auto& name : option->get_snames()) names.push_back("-" + name);
    }
  }
  return names;
}

Exit misused(CLI::App& root, const CLI::ParseError& error, Console& console) {
  CLI::App& app = deepest(root);
  std::string message = error.what(), hint;
  const auto verbs = verb_names(app);
  if (const auto left = root.remaining(true); !left.empty()) {
    const std::string& word = left.front();
    const std::string name = word.substr(0, word.find('='));
    if (word.starts_with('-')) {
      message = fmt::format("{} has no option {}", command_of(app), name);
      hint = did_you_mean(name, option_names(app));
    } else if (!verbs.empty()) {
      message = fmt::format("{} has no verb \"{}\"", command_of(app), word);
      hint = did_you_mean(word, verbs);
    } else {
      message = fmt::format("{} does not know what to do with \"{}\"", command_of(app), word);
    }
  } else if (!verbs.empty()) {
    message = fmt::format("{} needs a verb: {}", command_of(app), fmt::join(verbs, ", "));
  }
  console.note(fmt::format("usage: {}{}{}", message, hint.empty() ? "" : "; ", hint));
  console.note(fmt::format("Try: {} --help", command_of(app)));
  return Exit::kUsage;
}

}  // namespace

CommandLine::CommandLine(const std::vector<AddVerbs>& more) {
  app.name("penstock");
  app.set_help_flag("-h,--help", "say how it is used");
  app.set_version_flag("--version", "penstock " PENSTOCK_VERSION, "say which version this is");
  app.add_option("--server", options.server,
                 "URL of the server; else PENSTOCK_SERVER, else `penstock login`");
  app.add_option("--token", options.token,
                 "bearer token; else PENSTOCK_TOKEN, else `penstock login`");
  app.add_option("-t,--tenant", options.tenant,
                 "tenant of names without one; else PENSTOCK_TENANT");
  app.require_subcommand(1);
  app.footer("Names of a tenant's objects: acme/web-1.   Try: penstock help apply");
  add_standard_verbs(verbs);
  for (const auto& add : more) add(verbs);
}

CommandLine::Chosen CommandLine::parse(const std::vector<std::string>& words, Console& console) {
  std::vector<std::string> reversed(words.rbegin(), words.rend());  // as CLI11 wants it
  if (!words.empty() && words.front() == "help") {
    // `help VERB` is `VERB --help`.
    reversed.pop_back();
    reversed.insert(reversed.begin(), "--help");
  }
  try {
    app.parse(std::move(reversed));
  } catch (const CLI::CallForHelp& help) {
    if (app.get_subcommands().empty() && !app.remaining().empty())
      return {nullptr, misused(app, help, console)};
    console.write(app.help());
    return {};
  } catch (const CLI::CallForVersion&) {
    console.line("penstock " PENSTOCK_VERSION);
    return {};
  } catch (const CLI::ParseError& error) {
    return {nullptr, misused(app, error, console)};
  }
  CLI::App& chosen = deepest(app);
  const Verb* verb = verbs.find(&chosen);
  if (verb && verb->body) return {verb, Exit::kDone};
  return {nullptr, misused(app, CLI::RequiredError("A verb"), console)};
}

Exit run(const std::vector<std::string>& words, const Io& io, const std::vector<AddVerbs>& more) {
  Console console(io);
  // Asked by the shell, with half a command line: nothing the parser could take.
  if (!words.empty() && words.front() == "__complete") {
    for (const auto& word : complete({words.begin() + 1, words.end()}, io, more))
      console.line(word);
    return Exit::kDone;
  }
  CommandLine line(more);
  const auto chosen = line.parse(words, console);
  if (!chosen.verb) return chosen.exit;
  Invocation invocation(io, line.options);
  const Result<Exit> result = chosen.verb->body(invocation);
  if (result) return *result;
  invocation.console().error(result.error());
  return exit_of(result.error().code);
}

std::vector<std::string> words_of(std::string_view command) {
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  char quote = 0;
  for (const char c : command) {
    if (quote) {
      if (c == quote) {
        quote = 0;
      } else {
        word += c;
      }
    } else if (c == '"' || c == '\'') {
      quote = c;
      in_word = true;
    } else if (c == '|' || c == '>' || c == '<' || (c == '#' && !in_word)) {
      break;
    } else if (c == ' ') {
      if (in_word) words.push_back(std::exchange(word, {}));
      in_word = false;
    } else {
      word += c;
      in_word = true;
    }
  }
  if (in_word) words.push_back(word);
  if (!words.empty() && words.front() == "penstock") words.erase(words.begin());
  return words;
}

}  // namespace penstock::cli
