#include "lab/demo.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fmt/format.h>

#include "cli/documents.h"
#include "lab/lab.h"

namespace penstock::lab {
namespace {

namespace fs = std::filesystem;
using cli::at;
using cli::Exit;
using cli::Invocation;
using cli::text_at;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr const char* kLab = "demo";
constexpr int kBlockedPort = 80, kAllowedPort = 8080;

struct Options {
  bool keep = false;
  std::string file, bundle, json;
};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// One telling of the story. Every check that fails is noted and the story goes on, so that one run
// shows all.
class Story {
 public:
  Story(Invocation& inv, const Options& options) : console_(inv.console()), options_(options) {}

  Result<Exit> run() {
    PENSTOCK_CHECK(Lab::down(kLab));
    auto result = tell();
    if (options_.keep) {
      leave_up();
    } else if (auto gone = Lab::down(kLab); !gone && result) {
      return std::unexpected(std::move(gone).error());
    }
    if (!result) return std::unexpected(std::move(result).error());
    const bool good = failures_.empty();
    console_.line("");
    console_.line(
        good ? console_.paint(cli::Tone::kGood, fmt::format("demo passed: {} checks", checks_))
             : console_.paint(cli::Tone::kBad, fmt::format("demo FAILED: {} of {} checks",
                                                           failures_.size(), checks_)));
    for (const auto& failure : failures_) console_.line("  " + failure);
    return good ? Exit::kDone : Exit::kNo;
  }

 private:
  struct Path {
    std::string client, address, words;
  };

  Status tell() {
    say("Figure 1: two hosts in two physical networks, a router, a remote system, three VMs on one "
        "virtual network");
    auto topology = PENSTOCK_TRY(read_topology(options_.file));
    topology.name = kLab;
    lab_ = PENSTOCK_TRY(Lab::up(topology, [&](const auto& stage) { detail(stage); }));
    auto admin = PENSTOCK_TRY(lab_->api());
    vendor_ = PENSTOCK_TRY(token_of(admin, "vendor"));
    owner_ = PENSTOCK_TRY(token_of(admin, "alice"));
    PENSTOCK_CHECK(start_web(admin));

    say("Before: curl from a VM on the same host and from one on the other host, IPv4 and IPv6");
    expect_all(kBlockedPort, true);

    PENSTOCK_CHECK(define(admin));
    PENSTOCK_CHECK(show_catalog());
    PENSTOCK_CHECK(enable());
    PENSTOCK_CHECK(explain());
    return disable();
  }

  // 205, 210: the definition comes in; the administrator makes a profile of it. 215: hosts are
  // configured.
  Status define(cli::Api& admin) {
    say("205  the vendor submits a service definition (services/firewall/definition.yaml)");
    const auto documents =
        PENSTOCK_TRY(cli::load_documents({options_.bundle}, false, cli::process_io(), ""));
    if (!documents.problems.empty())
      return fail(Code::kInvalidArgument, documents.problems.front());
    auto vendor = PENSTOCK_TRY(lab_->api(vendor_));
    PENSTOCK_CHECK(put(vendor, documents.all.front().object));

    say("210  the administrator makes a profile of it: only port 8080 of a protected VM is reached "
        "from outside");
    Json profile = {
        {"kind", "ServiceProfile"},
        {"metadata", {{"name", "office-firewall"}}},
        {"spec",
         {{"definition", "firewall"},
          {"published", true},
          {"parameters", {{"allowedPorts", Json::array({std::to_string(kAllowedPort)})}}},
          {"availability", {{"allow", {{"tenants", Json::array({"acme"})}}}}}}}};
    PENSTOCK_CHECK(put(admin, std::move(profile)));

    say("215  every host is configured before anyone enables the profile");
    const auto shown = PENSTOCK_TRY(admin.get({"profiles", "", "office-firewall"}));
    const auto& hosts = at(shown, "status", "hosts");
    for (const auto& host : hosts)
      detail(fmt::format("{}: {}", text_at(at(host, "host")), text_at(at(host, "state"))));
    check(hosts.size() == lab_->hosts().size() &&
              std::ranges::all_of(
                  hosts, [](const auto& host) { return text_at(at(host, "state")) == "APPLIED"; }),
          "the profile is applied on every host");
    check(fetch(paths_.front(), kBlockedPort, 2s), "published is not enabled: traffic still flows");
    return {};
  }

  Status show_catalog() {
    say("220  the owner of the VM finds it in the catalog");
    auto owner = PENSTOCK_TRY(lab_->api(owner_));
    const auto answer = PENSTOCK_TRY(owner.read("/v1/tenants/acme/catalog", {{"vm", "web"}}));
    bool found = false;
    for (const auto& entry : at(answer, "entries")) {
      const auto name = text_at(at(entry, "metadata", "name"));
      detail(fmt::format("{}  {}  usable: {}", name, text_at(at(entry, "status", "kind")),
                         text_at(at(entry, "status", "usable"))));
      found =
          found || (name == "office-firewall" && text_at(at(entry, "status", "usable")) == "yes");
    }
    check(found, "office-firewall is in the catalog and usable on web");
    return {};
  }

  Status enable() {
    say("225  the owner enables it on the VM");
    auto owner = PENSTOCK_TRY(lab_->api(owner_));
    const auto asked = Clock::now();
    const auto answer = PENSTOCK_TRY(owner.post(
        "/v1/tenants/acme:enable",
        {{"profile", "office-firewall"}, {"level", "basic"}, {"vm", "web"}}, {false, true, 10s}));
    const auto applied_ms = 1e3 * seconds_since(asked);
    check(!at(answer, "outcome", "deadlinePassed").is_boolean() ||
              !at(answer, "outcome", "deadlinePassed").get<bool>(),
          "enabled and applied on the VM's host");
    check(!fetch(paths_.front(), kBlockedPort, 300ms), "the next connection is blocked");
    first_block_s_ = seconds_since(start_);
    detail(fmt::format(
        "applied {:.1f} ms after the call; first blocked connection {:.1f} s after the demo began",
        applied_ms, first_block_s_));

    say("230  the VM's traffic flows through the service");
    expect_all(kBlockedPort, false);
    expect_all(kAllowedPort, true);
    check(ping(paths_.front()), "ping still passes (the profile allows it)");
    return {};
  }

  Status explain() {
    auto owner = PENSTOCK_TRY(lab_->api(owner_));
    const auto answer = PENSTOCK_TRY(
        owner.read("/v1:explain", {{"kind", "vm"}, {"tenant", "acme"}, {"name", "web"}}));
    say("penstock explain vm acme/web");
    detail(text_at(at(answer, "headline")));
    return {};
  }

  Status disable() {
    say("The owner disables it");
    auto owner = PENSTOCK_TRY(lab_->api(owner_));
    PENSTOCK_CHECK(owner.post("/v1/tenants/acme:disable",
                              {{"profile", "office-firewall"}, {"vm", "web"}}, {false, true, 10s}));
    expect_all(kBlockedPort, true);
    if (options_.json.empty()) return {};
    std::ofstream file(options_.json);
    file << Json({{"demo.first_block_s", first_block_s_},
                  {"checks", checks_},
                  {"failed", failures_.size()}})
                .dump()
         << "\n";
    return file ? Status{} : fail_errno(errno, options_.json);
  }

  Result<std::string> token_of(cli::Api& admin, const std::string& user) {
    Json token = {
        {"kind", "Token"}, {"metadata", {{"name", "demo-" + user}}}, {"spec", {{"user", user}}}};
    const auto answer =
        PENSTOCK_TRY(admin.batch(Json::array({{{"put", std::move(token)}}}), true, {}));
    const auto& item = at(answer, "items")[0];
    if (!text_at(at(item, "error", "code")).empty())
      return std::unexpected(cli::failure_of(at(item, "error")));
    return text_at(at(item, "object", "status", "secret"));
  }

  Status put(cli::Api& api, Json object) {
    const auto answer = PENSTOCK_TRY(
        api.batch(Json::array({{{"put", std::move(object)}}}), true, {false, true, 10s}));
    const auto& item = at(answer, "items")[0];
    if (!text_at(at(item, "error", "code")).empty())
      return std::unexpected(cli::failure_of(at(item, "error")));
    return {};
  }

  Status start_web(cli::Api& admin) {
    const auto vm = PENSTOCK_TRY(admin.get({"vms", "acme", "web"}));
    for (const auto& address : at(vm, "status", "addresses")) {
      const auto text = text_at(address);
      const bool v6 = text.find(':') != std::string::npos;
      for (const auto* client : {"near", "far"})
        paths_.push_back(
            {std::string("acme/") + client, v6 ? "[" + text + "]" : text,
             fmt::format("{} -> web, {}, {}", client, v6 ? "IPv6" : "IPv4",
                         std::string(client) == "near" ? "same host" : "across hosts")});
    }
    if (paths_.size() != 4)
      return fail(Code::kInternal, "web should have an IPv4 and an IPv6 address");
    const auto pages = lab_->folder().path("pages");
    std::error_code error;
    fs::create_directories(pages, error);
    PENSTOCK_CHECK(lab_->folder().write("pages/index.html", "hello from web\n"));
    for (const int port : {kBlockedPort, kAllowedPort}) {
      auto spec = PENSTOCK_TRY(lab_->enter("acme/web"));
      spec.words = {"busybox", "httpd", "-f", "-p", fmt::format("[::]:{}", port), "-h", pages};
      spec.log = lab_->folder().path("logs/httpd");
      PENSTOCK_CHECK(start_daemon(lab_->folder(), fmt::format("httpd-{}", port), spec));
    }
    // Until both listen; the first packets also resolve addresses.
    for (int tries = 0; tries < 100; ++tries)
      if (fetch(paths_.front(), kBlockedPort, 1s) && fetch(paths_.front(), kAllowedPort, 1s))
        return {};
      else
        std::this_thread::sleep_for(20ms);
    return fail(Code::kInternal, "the web server of VM acme/web does not answer",
                "see " + lab_->folder().path("logs"));
  }

  bool fetch(const Path& path, int port, std::chrono::milliseconds limit) {
    auto spec = lab_->enter(path.client);
    if (!spec) return false;
    spec->words = {"curl",
                   "-sS",
                   "-g",
                   "--max-time",
                   fmt::format("{:.3f}", std::chrono::duration<double>(limit).count()),
                   fmt::format("http://{}:{}/", path.address, port)};
    const auto output = capture_in(*spec, static_cast<int>(limit.count()) + 2'000);
    return output && output->status == 0 && output->text == "hello from web\n";
  }

  bool ping(const Path& path) {
    auto spec = lab_->enter(path.client);
    if (!spec) return false;
    spec->words = {"ping", "-c", "1", "-W", "2", path.address};
    const auto output = capture_in(*spec, 4'000);
    return output && output->status == 0;
  }

  void expect_all(int port, bool works) {
    for (const auto& path : paths_)
      check(fetch(path, port, works ? 3s : 300ms) == works,
            fmt::format("{}, port {}: {}", path.words, port, works ? "works" : "blocked"));
  }

  void check(bool good, const std::string& what) {
    ++checks_;
    if (!good) failures_.push_back(what);
    console_.line(fmt::format("  {}  {}",
                              good ? console_.paint(cli::Tone::kGood, "ok    ")
                                   : console_.paint(cli::Tone::kBad, "FAILED"),
                              what));
  }
  void say(const std::string& text) {
    console_.line(fmt::format("\n{:5.1f} s  {}", seconds_since(start_), text));
  }
  void detail(const std::string& text) { console_.line("          " + text); }

  void leave_up() {
    if (!lab_) return;
    console_.line("");
    console_.line("The lab stays up. As the VM's owner:");
    console_.line(fmt::format("  export PENSTOCK_SERVER={} PENSTOCK_TOKEN={} PENSTOCK_TENANT=acme",
                              lab_->folder().server_url(), owner_));
    for (const auto* command :
         {"penstock catalog --vm web",
          "penstock enable office-firewall --level basic --on vm/web --wait",
          "penstock explain vm web",
          "penstock lab exec demo acme/near -- curl -m 1 http://10.0.1.1",
          "penstock disable office-firewall --on vm/web --wait", "penstock lab down demo"})
      console_.try_next(command);
  }

  cli::Console& console_;
  const Options& options_;
  Clock::time_point start_ = Clock::now();
  std::optional<Lab> lab_;
  std::string vendor_, owner_;
  std::vector<Path> paths_;
  std::vector<std::string> failures_;
  int checks_ = 0;
  double first_block_s_ = 0;
};

// Files of the source tree or of the installed package: beside the program, one level up.
std::string shipped(const std::string& below) {
  auto folder = fs::read_symlink("/proc/self/exe").parent_path();
  for (int level = 0; level < 3; ++level, folder = folder.parent_path())
    if (fs::exists(folder / below)) return (folder / below).string();
  return below;
}

}  // namespace

void add_demo_verb(cli::Verbs& verbs) {
  auto options = std::make_shared<Options>();
  auto& verb = verbs.add("demo", "the whole loop of a service on real packets, told step by step",
                         {"penstock demo", "penstock demo --keep"});
  verb.app->add_flag("--keep", options->keep, "leave the lab up and say what to try");
  verb.app->add_option("--topology", options->file, "instead of examples/figure1.yaml");
  verb.app->add_option("--bundle", options->bundle,
                       "definition instead of services/firewall/definition.yaml");
  verb.app->add_option("--results", options->json, "write what was measured to this file, as JSON");
  verb.on([options](Invocation& inv) -> Result<Exit> {
    if (geteuid() != 0)
      return fail(Code::kPermissionDenied,
                  "the demo makes network namespaces and loads eBPF programs, which needs root",
                  "sudo make demo");
    if (options->file.empty()) options->file = shipped("examples/figure1.yaml");
    if (options->bundle.empty()) options->bundle = shipped("services/firewall/definition.yaml");
    return Story(inv, *options).run();
  });
}

}  // namespace penstock::lab
