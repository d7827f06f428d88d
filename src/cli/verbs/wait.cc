#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "cli/api.h"
#include "cli/flags.h"
#include "cli/verbs/verbs.h"
#include "cli/waiting.h"

namespace penstock::cli {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::string_view kTry = "penstock wait vm TENANT/NAME --for=ready";
constexpr std::chrono::milliseconds kFirstPause{20}, kLongestPause{500};

struct Options {
  std::vector<std::string> words;
  std::string goal = "ready", deadline = "30s";
};

Result<Exit> wait(Invocation& inv, const Options& options) {
  const auto goal = parse_goal(options.goal);
  if (!goal) return inv.usage(goal.error(), kTry);
  const auto patience = parse_duration(options.deadline);
  if (!patience) return inv.usage(patience.error(), kTry);
  const auto ref = parse_ref(options.words, PENSTOCK_TRY(inv.settings())->tenant);
  if (!ref) return inv.usage(ref.error(), kTry);
  Api& api = *PENSTOCK_TRY(inv.api());
  Console& console = inv.console();
  const std::string why = "penstock explain " + ref->text();

  const auto began = Clock::now();
  const auto took = [&] { return std::chrono::duration<double>(Clock::now() - began).count(); };
  auto pause = kFirstPause;
  bool seen = false;
  for (;;) {
    const auto object = api.get(ref->location());
    if (!object && object.error().code != Code::kNotFound) return std::unexpected(object.error());
    const Reached reached = judge(*goal, object ? &*object : nullptr, seen);
    seen = seen || object.has_value();
    if (reached.state == Reached::State::kYes) {
      console.line(fmt::format("{}: {} after {:.1f} s", ref->display(), reached.text, took()));
      return Exit::kDone;
    }
    if (reached.state == Reached::State::kNever) {
      console.line(
          fmt::format("{}: failed after {:.1f} s: {}", ref->display(), took(), reached.text));
      console.try_next(why);
      return Exit::kFailed;
    }
    if (Clock::now() - began >= *patience) {
      console.line(fmt::format("{}: not {} after {:.1f} s: {}", ref->display(), options.goal,
                               took(), reached.text));
      console.try_next(why);
      return seen || goal->what == Goal::What::kDeleted ? Exit::kDeadline : Exit::kNotFound;
    }
    if (Clock::now() - began > std::chrono::seconds(1)) {
      console.progress(fmt::format("{:.0f} s: {}", took(), reached.text));
    }
    std::this_thread::sleep_for(
        std::min<Clock::duration>(pause, *patience - (Clock::now() - began)));
    pause = std::min(pause * 2, kLongestPause);
  }
}

}  // namespace

void add_wait_verb(Verbs& verbs) {
  auto options = std::make_shared<Options>();
  Verb& verb = verbs.add(
      "wait", "until an object is ready, applied or deleted, has failed, or the deadline passes",
      {"penstock wait vm acme/web-1 --for=ready --deadline 10s",
       "penstock wait enablement/acme/web-firewall --for=applied",
       "penstock wait vm acme/web-1 --for=condition=Ready=FALSE",
       "penstock wait vm acme/web-1 --for=deleted"});
  verb.app->add_option("object", options->words, "KIND NAME or KIND/NAME")
      ->required()
      ->expected(1, 2);
  verb.app->add_option("--for", options->goal,
                       "ready, applied, deleted or condition=TYPE[=TRUE|FALSE|UNKNOWN]");
  verb.app->add_option("--deadline", options->deadline,
                       "500ms, 10s, 2m, plain numbers are seconds; 30s when not given");
  verb.completes({"", Complete::kObject, {}});
  verb.completes({"--for", Complete::kWords, {"ready", "applied", "deleted", "condition="}});
  verb.on([options](Invocation& inv) { return wait(inv, *options); });
}

}  // namespace penstock::cli
