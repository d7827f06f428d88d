#include "lab/guard.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "lab/folder.h"

namespace penstock::lab {
namespace {

using cli::Exit;

void pass_over(int) {}

// The terminal sends SIGINT to both; others send SIGTERM to the parent alone, which passes it on.
volatile sig_atomic_t g_child = 0;
void pass_on(int number) {
  if (g_child > 0) kill(static_cast<pid_t>(g_child), number);
}

}  // namespace

Exit guarded(cli::Invocation& inv, const std::function<std::vector<std::string>()>& labs,
             const std::function<Result<Exit>()>& work) {
  const auto parent = getpid();
  const int child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    const auto result = work();
    if (!result) inv.console().error(result.error());
    _exit(static_cast<int>(result ? *result : cli::exit_of(result.error().code)));
  }
  if (child < 0) {
    inv.console().note(fmt::format("fork: {}", strerror(errno)));
    return Exit::kFailed;
  }
  g_child = child;
  struct sigaction on_int {
  }, on_term{};
  on_int.sa_handler = pass_over;
  on_term.sa_handler = pass_on;
  sigaction(SIGINT, &on_int, nullptr);
  sigaction(SIGTERM, &on_term, nullptr);
  sigaction(SIGHUP, &on_term, nullptr);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status)) return static_cast<Exit>(WEXITSTATUS(status));
  for (const auto& name : labs()) {
    const Folder folder(name);
    if (!folder.exists()) continue;
    const auto gone = folder.remove();
    inv.console().note(
        gone ? fmt::format("interrupted; lab {} is gone", name)
             : fmt::format("interrupted; lab {} is still there: {}", name, gone.error().message));
  }
  return static_cast<Exit>(128 + WTERMSIG(status));
}

}  // namespace penstock::lab
