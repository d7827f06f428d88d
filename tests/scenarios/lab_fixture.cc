#include "tests/scenarios/lab_fixture.h"

#include <unistd.h>

#include <chrono>
#include <fstream>
#include <thread>

#include <fmt/format.h>

namespace penstock::lab {

std::string built(const std::string& program) {
  return std::string(PENSTOCK_BUILD_DIR) + "/bin/" + program;
}

std::string LabTest::name() {
  return fmt::format("test-{}", getpid());
}

void LabTest::TearDown() {
  if (HasFailure() && lab_)
    for (const auto& program : lab_->folder().programs())
      if (const auto log = lab_->folder().read("logs/" + program))
        std::fprintf(stderr, "--- %s\n%s", program.c_str(), log->c_str());
  const auto gone = Lab::down(name());
  EXPECT_TRUE(gone) << gone.error().text();
}

void LabTest::up(const std::string& topology_text) {
  const auto path = fmt::format("{}/{}.yaml", testing::TempDir(), name());
  std::ofstream(path) << "name: " << name() << "\n" << topology_text;
  auto topology = read_topology(path);
  unlink(path.c_str());
  ASSERT_TRUE(topology) << topology.error().text();
  topology->programs = std::string(PENSTOCK_BUILD_DIR) + "/bin";
  auto made = Lab::up(*topology, [](const std::string&, bool) {});
  if (!made) {
    const Folder folder(name());
    for (const auto& program : folder.programs())
      if (const auto log = folder.read("logs/" + program))
        std::fprintf(stderr, "--- %s\n%s", program.c_str(), log->c_str());
  }
  ASSERT_TRUE(made) << made.error().text();
  lab_ = std::move(*made);
}

Output LabTest::run(const std::string& node, std::vector<std::string> words, int limit_ms) {
  auto spec = lab_->enter(node);
  if (!spec) return {127, spec.error().text()};
  spec->words = std::move(words);
  const auto output = capture_in(*spec, limit_ms);
  return output ? *output : Output{127, output.error().text()};
}

bool LabTest::pings(const std::string& from, const std::string& address) {
  return run(from, {"ping", "-c", "1", "-W", "1", address}, 3'000).status == 0;
}

bool LabTest::soon(const std::function<bool()>& holds, int limit_ms) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(limit_ms);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return true;
}

std::string LabTest::address_of(const std::string& tenant, const std::string& vm, bool v6) {
  auto api = lab_->api();
  if (!api) return {};
  const auto object = api->get({"vms", tenant, vm});
  if (!object) return {};
  for (const auto& address : cli::at(*object, "status", "addresses")) {
    const auto text = cli::text_at(address);
    if ((text.find(':') != std::string::npos) == v6) return text;
  }
  return {};
}

Status LabTest::put(cli::Json object) {
  cli::Json list = cli::Json::array();
  list.push_back(std::move(object));
  return lab_->apply(std::move(list));
}

}  // namespace penstock::lab
