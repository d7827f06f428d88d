// Figure 2 on figure 1: the whole loop of a service.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fmt/format.h>

#include "cli/documents.h"
#include "lab/stories/story.h"

namespace penstock::lab {
namespace {

namespace fs = std::filesystem;
using cli::at;
using cli::text_at;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr int kBlockedPort = 80, kAllowedPort = 8080;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class Services {
 public:
  explicit Services(Stage& stage) : stage_(stage), teller_(stage.teller) {}

  Status tell() {
    say("Figure 1: two hosts in two physical networks, a router, a remote system, three VMs on one "
        "virtual network");
    PENSTOCK_CHECK(stage_.up_file(stage_.options.topology.empty() ? shipped("examples/figure1.yaml")
                                                                  : stage_.options.topology));
    lab_ = &stage_.lab();
    auto admin = PENSTOCK_TRY(lab_->api());
    vendor_ = PENSTOCK_TRY(lab_->token_of("vendor"));
    owner_ = PENSTOCK_TRY(lab_->token_of("alice"));
    PENSTOCK_CHECK(start_web(admin));

    say("Before: curl from a VM on the same host and from one on the other host, IPv4 and IPv6");
    expect_all(kBlockedPort, true);

    PENSTOCK_CHECK(define(admin));
    PENSTOCK_CHECK(show_catalog());
    PENSTOCK_CHECK(enable());
    PENSTOCK_CHECK(explain());
    return disable();
  }

 private:
  struct Path {
    std::string client, address, words;
  };

  Status define(cli::Api& admin) {
    say("The vendor submits a service definition (services/firewall/definition.yaml)");
    const auto bundle = stage_.options.bundle.empty() ? shipped("services/firewall/definition.yaml")
                                                      : stage_.options.bundle;
    const auto documents =
        PENSTOCK_TRY(cli::load_documents({bundle}, false, cli::process_io(), ""));
    if (!documents.problems.empty())
      return fail(Code::kInvalidArgument, documents.problems.front());
    auto vendor = PENSTOCK_TRY(lab_->api(vendor_));
    PENSTOCK_CHECK(put(vendor, documents.all.front().object));

    say("The administrator makes a profile of it: only port 8080 of a protected VM is reached "
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

    say("Every host is configured before anyone enables the profile");
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
    say("Alice, who administers tenant acme, finds it in the catalog");
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
    say("Alice enables it on VM web");
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
    first_block_s_ = teller_.seconds();
    detail(fmt::format(
        "applied {:.1f} ms after the call; first blocked connection {:.1f} s after the demo began",
        applied_ms, first_block_s_));

    say("The VM's traffic flows through the service");
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
    say("Alice disables it");
    auto owner = PENSTOCK_TRY(lab_->api(owner_));
    PENSTOCK_CHECK(owner.post("/v1/tenants/acme:disable",
                              {{"profile", "office-firewall"}, {"vm", "web"}}, {false, true, 10s}));
    expect_all(kBlockedPort, true);
    if (stage_.options.results.empty()) return {};
    std::ofstream file(stage_.options.results);
    file << Json({{"demo.first_block_s", first_block_s_},
                  {"checks", teller_.checks()},
                  {"failed", teller_.failures()}})
                .dump()
         << "\n";
    return file ? Status{} : fail_errno(errno, stage_.options.results);
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

  void check(bool good, const std::string& what) { teller_.check(good, what); }
  void say(const std::string& text) { teller_.say(text); }
  void detail(const std::string& text) { teller_.detail(text); }
  Status put(cli::Api& api, Json object) { return stage_.put(api, std::move(object)); }

  Stage& stage_;
  Teller& teller_;
  Lab* lab_ = nullptr;
  std::string vendor_, owner_;
  std::vector<Path> paths_;
  double first_block_s_ = 0;
};

}  // namespace

Status tell_services(Stage& stage) {
  return Services(stage).tell();
}

std::vector<std::string> services_what_to_try(const std::string& lab) {
  return {"penstock catalog --vm web",
          "penstock enable office-firewall --level basic --on vm/web --wait",
          "penstock explain vm web",
          "penstock lab exec " + lab + " acme/near -- curl -m 1 http://10.0.1.1",
          "penstock disable office-firewall --on vm/web --wait",
          "penstock lab down " + lab};
}

}  // namespace penstock::lab
