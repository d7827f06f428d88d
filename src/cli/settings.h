// Which server, who, and which tenant: flag, environment, ~/.config/penstock/config.json, default,
// in this order.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/error.h"
#include "cli/console.h"

namespace penstock::cli {

// As given on the command line; empty: not given.
struct GlobalOptions {
  std::string server, token, tenant;
};

struct Settings {
  std::string server;  // "http://127.0.0.1:7780"
  std::string token;   // empty: none
  std::string tenant;  // of names without one; empty: none
};

inline constexpr std::string_view kDefaultServer = "http://127.0.0.1:7780";

// $XDG_CONFIG_HOME/penstock/config.json, else $HOME/.config/penstock/config.json.
Result<std::filesystem::path> config_path(const Io&);

// What flags and environment say, and for the rest `file`.
Settings merge_settings(const Io&, const GlobalOptions&, const Settings& file);

// The same with the configuration file. kInvalidArgument with the file's name when it is not a JSON
// object of strings.
Result<Settings> load_settings(const Io&, const GlobalOptions&);

// Stores what is given, keeps the rest; mode 0600, replaced as a whole.
Status store_settings(const std::filesystem::path&, const Settings&);

}  // namespace penstock::cli
