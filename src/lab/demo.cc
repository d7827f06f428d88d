#include "lab/demo.h"

#include <unistd.h>

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "lab/form.h"
#include "lab/guard.h"
#include "lab/stories/story.h"
#include "model/kinds.h"

namespace penstock::lab {
namespace {

using cli::Exit;
using cli::Invocation;

struct Story {
  const char* name;
  const char* about;
  Status (*tell)(Stage&);
};

constexpr std::array kStories{
    Story{"services", "figure 2 on figure 1: from a service definition to filtered traffic",
          tell_services},
    Story{"equal-addresses", "two tenants with the same addresses never meet",
          tell_equal_addresses},
    Story{"server-away", "a host goes on without its server, and without its agent",
          tell_server_away},
    Story{"lossy-link", "a bad underlay link, set and mended while packets flow", tell_lossy_link},
};

struct Options {
  bool keep = false, list = false, replace = false;
  std::string story = kStories.front().name;
  StoryOptions of_story;
};

std::vector<std::string> story_names() {
  std::vector<std::string> names;
  for (const auto& story : kStories) names.push_back(story.name);
  return names;
}

void leave_up(Invocation& inv, const Story& story, Stage& stage) {
  auto& console = inv.console();
  console.line("");
  const bool services = story.tell == tell_services;
  const auto token = services ? stage.lab().token_file_of("alice") : Result<std::string>("");
  if (services && token) {
    console.line("The lab stays up. As alice, who administers tenant acme:");
    console.line(
        fmt::format("  export PENSTOCK_SERVER={} PENSTOCK_TOKEN=$(cat {}) PENSTOCK_TENANT=acme",
                    stage.lab().folder().server_url(), *token));
    for (const auto& command : services_what_to_try(stage.lab().folder().lab()))
      console.try_next(command);
    return;
  }
  console.line("The lab stays up.");
  console.try_next("penstock lab status " + stage.lab().folder().lab());
  console.try_next("penstock lab down " + stage.lab().folder().lab());
}

// What people did in a lab that was kept is theirs. One whose programs are all gone has nothing
// left to go on with.
Status make_room(const Options& options) {
  const auto& name = options.of_story.lab;
  const Folder folder(name);
  if (options.replace || !folder.exists() || folder.dead()) return {};
  const auto same = name == StoryOptions().lab ? "" : " --lab " + name;
  return fail(Code::kAlreadyExists,
              folder.building()
                  ? fmt::format("lab {} is being built right now", name)
                  : fmt::format("lab {} is up; go on in it (penstock lab status {}), end it "
                                "(penstock lab down {}), or let the demo take its place",
                                name, name, name),
              folder.building() ? "penstock lab list"
                                : fmt::format("penstock demo {} --replace{}", options.story, same));
}

Result<Exit> tell(Invocation& inv, const Story& story, const Options& options) {
  PENSTOCK_CHECK(Lab::down(options.of_story.lab));
  Teller teller(inv.console());
  Stage stage(teller, options.of_story);
  auto told = story.tell(stage);
  if (options.keep && Folder(options.of_story.lab).exists()) {
    if (told) leave_up(inv, story, stage);
  } else if (auto gone = Lab::down(options.of_story.lab); !gone && told) {
    return std::unexpected(std::move(gone).error());
  }
  if (!told) return std::unexpected(std::move(told).error());
  return teller.verdict();
}

Result<Exit> demo(Invocation& inv, const Options& options) {
  if (options.list) {
    for (const auto& story : kStories)
      inv.console().line(fmt::format("{:<16} {}", story.name, story.about));
    inv.console().try_next("penstock demo lossy-link");
    return Exit::kDone;
  }
  const auto story = std::ranges::find(kStories, options.story, &Story::name);
  if (story == kStories.end()) {
    const auto names = story_names();
    auto hint = did_you_mean(options.story, names);
    return fail(Code::kNotFound, fmt::format("there is no story {}", options.story),
                hint.empty() ? "penstock demo --list" : std::move(hint));
  }
  if (geteuid() != 0)
    return fail(Code::kPermissionDenied,
                "the demo makes network namespaces and loads eBPF programs, which needs root",
                "sudo make demo");
  if (const auto good = check_lab_name(options.of_story.lab); !good)
    return inv.usage(good.error(), "penstock demo --help");
  // Before the guard, which takes the lab down when it is interrupted.
  PENSTOCK_CHECK(make_room(options));
  return guarded(
      inv, [&] { return std::vector{options.of_story.lab}; },
      [&] { return tell(inv, *story, options); });
}

}  // namespace

void add_demo_verb(cli::Verbs& verbs) {
  auto options = std::make_shared<Options>();
  auto& verb =
      verbs.add("demo", "stories on real packets, told step by step",
                {"penstock demo", "penstock demo --list", "penstock demo lossy-link --keep"});
  verb.app->add_option("story", options->story, "one of --list; else services");
  verb.app->add_flag("--list", options->list, "say which stories there are");
  verb.app->add_flag("--keep", options->keep, "leave the lab up and say what to try");
  verb.app->add_flag("--replace", options->replace, "take down a lab of that name that is up");
  verb.app->add_option("--lab", options->of_story.lab, "name of the lab; else demo");
  verb.app->add_option("--topology", options->of_story.topology,
                       "of services: instead of examples/figure1.yaml");
  verb.app->add_option("--bundle", options->of_story.bundle,
                       "of services: instead of services/firewall/definition.yaml");
  verb.app->add_option("--results", options->of_story.results,
                       "of services: write what was measured to this file, as JSON");
  verb.completes({"", cli::Complete::kWords, story_names()});
  verb.on([options](Invocation& inv) { return demo(inv, *options); });
}

}  // namespace penstock::lab
