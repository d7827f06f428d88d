#include "cli/settings.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace penstock::cli {
namespace {

Result<Settings> read_file(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) return Settings{};
  std::stringstream text;
  text << file.rdbuf();
  const auto json = nlohmann::json::parse(text.str(), nullptr, /*allow_exceptions=*/false);
  const auto bad = [&](std::string_view why) {
    return fail(Code::kInvalidArgument, fmt::format("{}: {}", path.string(), why),
                "penstock login --server http://127.0.0.1:7780 --token TOKEN");
  };
  if (!json.is_object()) return bad("not a JSON object");
  Settings settings;
  for (const auto& [key, value] : json.items()) {
    std::string* field = key == "server"   ? &settings.server
                         : key == "token"  ? &settings.token
                         : key == "tenant" ? &settings.tenant
                                           : nullptr;
    if (!field) return bad(fmt::format("unknown field \"{}\"", key));
    if (!value.is_string()) return bad(fmt::format("\"{}\" is not a string", key));
    *field = value.get<std::string>();
  }
  return settings;
}

std::string first_of(const std::string& flag, const std::optional<std::string>& environment,
                     const std::string& file, std::string_view standard) {
  if (!flag.empty()) return flag;
  if (environment && !environment->empty()) return *environment;
  return file.empty() ? std::string(standard) : file;
}

}  // namespace

Result<std::filesystem::path> config_path(const Io& io) {
  if (const auto base = io.env("XDG_CONFIG_HOME"); base && !base->empty()) {
    return std::filesystem::path(*base) / "penstock" / "config.json";
  }
  if (const auto home = io.env("HOME"); home && !home->empty()) {
    return std::filesystem::path(*home) / ".config" / "penstock" / "config.json";
  }
  return fail(Code::kFailedPrecondition, "neither XDG_CONFIG_HOME nor HOME is set",
              "set PENSTOCK_SERVER and PENSTOCK_TOKEN instead");
}

Settings merge_settings(const Io& io, const GlobalOptions& options, const Settings& file) {
  return {
      .server = first_of(options.server, io.env("PENSTOCK_SERVER"), file.server, kDefaultServer),
      .token = first_of(options.token, io.env("PENSTOCK_TOKEN"), file.token, ""),
      .tenant = first_of(options.tenant, io.env("PENSTOCK_TENANT"), file.tenant, "")};
}

Result<Settings> load_settings(const Io& io, const GlobalOptions& options) {
  Settings file;
  // No home is no obstacle as long as nothing is to be stored.
  if (const auto path = config_path(io)) file = PENSTOCK_TRY(read_file(*path));
  return merge_settings(io, options, file);
}

Status store_settings(const std::filesystem::path& path, const Settings& settings) {
  // A file that cannot be read as ours is what `login` mends.
  Settings merged = read_file(path).value_or(Settings{});
  if (!settings.server.empty()) merged.server = settings.server;
  if (!settings.token.empty()) merged.token = settings.token;
  if (!settings.tenant.empty()) merged.tenant = settings.tenant;
  nlohmann::ordered_json json;
  json["server"] = merged.server;
  json["token"] = merged.token;
  json["tenant"] = merged.tenant;

  std::error_code failed;
  std::filesystem::create_directories(path.parent_path(), failed);
  if (failed)
    return fail_errno(failed.value(), fmt::format("create {}", path.parent_path().string()));
  // Written aside and renamed: a crash leaves the old file, and the secret is never readable by
  // others.
  const std::string aside = path.string() + ".new";
  const int fd = ::open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return fail_errno(errno, fmt::format("write {}", aside));
  const std::string text = json.dump(2) + "\n";
  const bool written = ::fchmod(fd, 0600) == 0 &&
                       ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int error = errno;
  ::close(fd);
  if (!written) return fail_errno(error, fmt::format("write {}", aside));
  if (::rename(aside.c_str(), path.c_str()) != 0) {
    return fail_errno(errno, fmt::format("replace {}", path.string()));
  }
  return {};
}

}  // namespace penstock::cli
