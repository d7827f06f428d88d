#include <fmt/format.h>

#include "cli/verbs/verbs.h"

namespace penstock::cli {
namespace {

// Each hands the words so far to `penstock __complete` and falls back to files. A candidate that
// ends in "/" or "=" goes on without a space.
constexpr std::string_view kBash =
    R"sh(# penstock completion for bash; eval "$(penstock completion bash)"
_penstock() {
  local IFS=$'\n'
  COMPREPLY=($("${COMP_WORDS[0]}" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
  [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[/=] ]] && compopt -o nospace
  return 0
}
complete -o default -F _penstock penstock
)sh";

constexpr std::string_view kZsh = R"sh(#compdef penstock
# penstock completion for zsh; source <(penstock completion zsh)
_penstock() {
  local -a found
  found=("${(@f)$(${words[1]} __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "${found[*]}" ]]; then
    compadd -S '' -- ${(M)found:#*[/=]}
    compadd -- ${found:#*[/=]}
  else
    _files
  fi
}
compdef _penstock penstock
)sh";

constexpr std::string_view kFish =
    R"sh(# penstock completion for fish; penstock completion fish | source
function __penstock_complete
  set -l words (commandline -opc) (commandline -ct)
  $words[1] __complete $words[2..-1] 2>/dev/null
end
complete -c penstock -a '(__penstock_complete)'
)sh";

}  // namespace

void add_completion_verb(Verbs& verbs) {
  auto shell = std::make_shared<std::string>();
  Verb& verb =
      verbs.add("completion", "the completion script of a shell; names come from the server",
                {"penstock completion bash > /etc/bash_completion.d/penstock",
                 "penstock completion zsh", "penstock completion fish"});
  verb.app->add_option("shell", *shell, "bash, zsh or fish")->required();
  verb.completes({"", Complete::kWords, {"bash", "zsh", "fish"}});
  verb.on([shell](Invocation& inv) -> Result<Exit> {
    const std::string_view script = *shell == "bash"   ? kBash
                                    : *shell == "zsh"  ? kZsh
                                    : *shell == "fish" ? kFish
                                                       : "";
    if (script.empty()) {
      return inv.usage(fmt::format("no completion for \"{}\": bash, zsh or fish", *shell),
                       "penstock completion bash");
    }
    inv.console().write(script);
    return Exit::kDone;
  });
}

}  // namespace penstock::cli
