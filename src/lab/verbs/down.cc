#include <thread>

#include <fmt/format.h>

#include "lab/verbs/verbs.h"

namespace penstock::lab {
namespace {

using cli::Exit;
using cli::Invocation;

Result<Exit> down(Invocation& inv, const std::vector<std::string>& names) {
  PENSTOCK_CHECK(need_root());
  for (const auto& name : names) {
    const bool was = Folder(name).exists();
    inv.console().progress(fmt::format("taking down lab {} ...", name));
    PENSTOCK_CHECK(Lab::down(name));
    inv.console().line(was ? fmt::format("lab {} is gone", name)
                           : fmt::format("there is no lab {}: nothing to do", name));
  }
  return Exit::kDone;
}

Result<Exit> gc(Invocation& inv) {
  PENSTOCK_CHECK(need_root());
  std::vector<std::string> dead;
  for (const auto& name : Folder::all_labs())
    if (Folder(name).dead()) dead.push_back(name);
  // An `up` that has made its folder this moment and has not yet written who it is.
  if (!dead.empty()) std::this_thread::sleep_for(std::chrono::milliseconds(200));
  std::size_t removed = 0;
  for (const auto& name : dead) {
    const Folder folder(name);
    if (!folder.exists() || !folder.dead()) continue;
    const auto left = folder.inventory();
    inv.console().progress(fmt::format("removing lab {} ...", name));
    PENSTOCK_CHECK(folder.remove());
    inv.console().line(fmt::format("lab {} had died; removed: {}", name, left));
    ++removed;
  }
  if (removed == 0) inv.console().line("nothing to remove");
  return Exit::kDone;
}

}  // namespace

void add_down(Below& below) {
  auto names = std::make_shared<std::vector<std::string>>();
  auto& verb = below.add("down", "end a lab and remove all it made, also after a crash",
                         {"penstock lab down figure1"});
  verb.app->add_option("lab", *names)->required();
  verb.completes(lab_place());
  verb.on([names](Invocation& inv) { return down(inv, *names); });
}

void add_gc(Below& below) {
  below.add("gc", "remove labs whose programs are all gone", {"penstock lab gc"}).on(gc);
}

}  // namespace penstock::lab
