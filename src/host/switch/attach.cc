// Attaching programs to devices: tcx links (Linux 6.6), pinned, or classic clsact filters at a
// fixed handle.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <net/if.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include <fmt/format.h>

#include "host/switch/switch.h"
#include "penstock_switch_bpf.skel.h"

namespace penstock::host {
namespace {

namespace fs = std::filesystem;

// Later than Debian 12's headers and libbpf; from the kernel's include/uapi/linux/bpf.h (6.6).
constexpr std::uint32_t kTcxIngress = 46;
constexpr std::uint32_t kTcxEgress = 47;
constexpr std::uint32_t kLinkTypeTcx = 11;

// Ours among other users' filters of a device: first in line, at a handle nobody takes by accident.
constexpr std::uint32_t kClsactPriority = 1;
constexpr std::uint32_t kClsactHandle = 0x7073;

bool is_egress(Program program) {
  return program == Program::kToPort;
}

class OwnedFd {
 public:
  explicit OwnedFd(int fd) : fd_(fd) {}
  ~OwnedFd() {
    if (fd_ >= 0) ::close(fd_);
  }
  OwnedFd(const OwnedFd&) = delete;
  OwnedFd& operator=(const OwnedFd&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

int create_tcx_link(int program_fd, int ifindex, bool egress) {
  bpf_attr attr{};
  attr.link_create.prog_fd = static_cast<__u32>(program_fd);
  attr.link_create.target_ifindex = static_cast<__u32>(ifindex);
  attr.link_create.attach_type = egress ? kTcxEgress : kTcxIngress;
  return static_cast<int>(syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr)));
}

struct TcxInfo {
  int ifindex = 0;  // 0: the device is gone
  std::uint32_t program_id = 0;
};

Result<TcxInfo> tcx_info(int link_fd) {
  bpf_link_info info{};
  __u32 length = sizeof(info);
  if (bpf_obj_get_info_by_fd(link_fd, &info, &length) != 0)
    return fail_errno(errno, "look at a pinned link");
  if (info.type != kLinkTypeTcx) return fail(Code::kInternal, "a pinned link is not a tcx link");
  // bpf_link_info.tcx starts with the ifindex, as .xdp does.
  return TcxInfo{static_cast<int>(info.xdp.ifindex), info.prog_id};
}

std::uint32_t program_id(int program_fd) {
  bpf_prog_info info{};
  __u32 length = sizeof(info);
  return bpf_obj_get_info_by_fd(program_fd, &info, &length) == 0 ? info.id : 0;
}

std::string program_name(std::uint32_t id) {
  OwnedFd program(bpf_prog_get_fd_by_id(id));
  bpf_prog_info info{};
  __u32 length = sizeof(info);
  if (program.get() < 0 || bpf_obj_get_info_by_fd(program.get(), &info, &length) != 0) return {};
  return info.name;
}

// "12-from_port" -> {12, kFromPort}
std::optional<Attachment> parse_link_name(const std::string& text) {
  const auto dash = text.find('-');
  if (dash == std::string::npos) return {};
  for (const auto program : {Program::kFromPort, Program::kToPort, Program::kFromOverlay})
    if (text.substr(dash + 1) == name(program)) return Attachment{std::atoi(text.c_str()), program};
  return {};
}

bpf_tc_hook clsact_hook(Attachment at) {
  bpf_tc_hook hook{};
  hook.sz = sizeof(hook);
  hook.ifindex = at.ifindex;
  hook.attach_point = is_egress(at.program) ? BPF_TC_EGRESS : BPF_TC_INGRESS;
  return hook;
}

bpf_tc_opts clsact_options() {
  bpf_tc_opts options{};
  options.sz = sizeof(options);
  options.handle = kClsactHandle;
  options.priority = kClsactPriority;
  return options;
}

// Kernels without tcx answer "invalid attach type".
bool lacks_tcx(int error) {
  return error == EINVAL || error == EOPNOTSUPP;
}

// One unlikely ifindex: a kernel with tcx says ENODEV, one without says EINVAL.
bool kernel_has_tcx(int program_fd) {
  const int fd = create_tcx_link(program_fd, 0x7fffffff, false);
  if (fd >= 0) {
    ::close(fd);
    return true;
  }
  return !lacks_tcx(errno);
}

}  // namespace

std::string Switch::link_path(Attachment at) const {
  return fmt::format("{}/links/{}-{}", options_.directory, at.ifindex, name(at.program));
}

// After loading: links of an earlier run are switched to the new programs, dead ones are taken
// away.
Status Switch::adopt_links() {
  method_ = options_.method;
  if (method_ == AttachMethod::kBest)
    method_ = kernel_has_tcx(empty_program_fd()) ? AttachMethod::kTcx : AttachMethod::kClsact;
  // Ports talk to each other: no device may run a program whose maps do not know all of them yet.
  // While maps of another version are there, an agent before us may have filled ours by half.
  const bool ready = PENSTOCK_TRY(map_dump(Map::kPortSlots)).size() > 0 && !has_older_maps();
  if (method_ == AttachMethod::kClsact) {
    for (const auto at : PENSTOCK_TRY(attachments_clsact(true))) {
      if (ready)
        PENSTOCK_CHECK(attach_clsact(at));
      else
        older_.insert(at);
    }
    return {};
  }
  std::error_code error;
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(options_.directory + "/links", error))
    names.push_back(entry.path().filename().string());
  for (const auto& text : names) {
    const auto path = options_.directory + "/links/" + text;
    const auto at = parse_link_name(text);
    OwnedFd link(bpf_obj_get(path.c_str()));
    const auto info =
        link.get() < 0 ? Result<TcxInfo>(fail(Code::kNotFound, "gone")) : tcx_info(link.get());
    if (!at || !info || info->ifindex != at->ifindex) {
      ::unlink(path.c_str());
      continue;
    }
    if (!ready)
      older_.insert(*at);
    else if (bpf_link_update(link.get(), program_fd(at->program), nullptr) != 0)
      return fail_errno(errno, fmt::format("replace the program of {}", path));
  }
  return {};
}

Status Switch::attach(Attachment at) {
  if (waits(at)) return {};
  auto status = method_ == AttachMethod::kTcx ? attach_tcx(at) : attach_clsact(at);
  if (!status)
    return std::unexpected(
        std::move(status.error())
            .in(fmt::format("attach {} to device {}", name(at.program), at.ifindex)));
  return {};
}

Status Switch::attach_tcx(Attachment at) {
  const auto path = link_path(at);
  if (OwnedFd old(bpf_obj_get(path.c_str())); old.get() >= 0) {
    const auto info = tcx_info(old.get());
    if (info && info->ifindex == at.ifindex) {
      if (info->program_id == program_id(program_fd(at.program))) return {};
      if (bpf_link_update(old.get(), program_fd(at.program), nullptr) != 0)
        return fail_errno(errno, "replace the program");
      return {};
    }
    ::unlink(path.c_str());  // of a device that is gone
  }
  OwnedFd link(create_tcx_link(program_fd(at.program), at.ifindex, is_egress(at.program)));
  if (link.get() < 0) {
    if (errno == ENODEV) return fail(Code::kNotFound, "no such device");
    return fail_errno(errno, "create tcx link");
  }
  if (bpf_obj_pin(link.get(), path.c_str()) != 0)
    return fail_errno(errno, fmt::format("pin {}", path));
  return {};
}

Status Switch::attach_clsact(Attachment at) {
  return put_clsact(at, program_fd(at.program));
}

Status Switch::put_clsact(Attachment at, int program) {
  auto hook = clsact_hook(at);
  if (const int error = bpf_tc_hook_create(&hook); error != 0 && error != -EEXIST) {
    if (error == -ENODEV) return fail(Code::kNotFound, "no such device");
    return fail_errno(-error, "add clsact");
  }
  auto options = clsact_options();
  options.prog_fd = program;
  options.flags = BPF_TC_F_REPLACE;
  if (const int error = bpf_tc_attach(&hook, &options); error != 0)
    return fail_errno(-error, "add tc filter");
  return {};
}

Status Switch::lend(Attachment at, int program_fd) {
  const auto now = PENSTOCK_TRY(attachments());
  if (std::ranges::find(now, at) == now.end())
    return fail(Code::kNotFound,
                fmt::format("{} is not attached to device {}", name(at.program), at.ifindex));
  if (method_ == AttachMethod::kTcx) {
    OwnedFd link(bpf_obj_get(link_path(at).c_str()));
    if (link.get() < 0 || bpf_link_update(link.get(), program_fd, nullptr) != 0)
      return fail_errno(errno,
                        fmt::format("replace {} of device {}", name(at.program), at.ifindex));
  } else {
    PENSTOCK_CHECK(put_clsact(at, program_fd));
  }
  lent_[at] = program_id(program_fd);
  return {};
}

Status Switch::take_back(Attachment at) {
  // Lent until the attached program is ours again: an audit in between must not see a gap.
  auto status = lent_.contains(at) ? attach(at) : Status{};
  lent_.erase(at);
  return status;
}

Status Switch::detach(Attachment at) {
  older_.erase(at);
  lent_.erase(at);
  if (method_ == AttachMethod::kTcx) {
    // A link that only loses its pin is taken off some time later, and until then the kernel
    // refuses the same program on the device again.
    if (OwnedFd link(bpf_obj_get(link_path(at).c_str())); link.get() >= 0)
      (void)bpf_link_detach(link.get());
    if (::unlink(link_path(at).c_str()) != 0 && errno != ENOENT)
      return fail_errno(errno,
                        fmt::format("detach {} from device {}", name(at.program), at.ifindex));
    return {};
  }
  auto hook = clsact_hook(at);
  const auto options = clsact_options();
  if (const int error = bpf_tc_detach(&hook, &options);
      error != 0 && error != -ENOENT && error != -EINVAL && error != -ENODEV)
    return fail_errno(-error,
                      fmt::format("detach {} from device {}", name(at.program), at.ifindex));
  return {};
}

Result<std::vector<Attachment>> Switch::attachments() {
  auto found = method_ == AttachMethod::kTcx ? attachments_tcx() : attachments_clsact(false);
  if (found) std::ranges::sort(*found);
  return found;
}

Result<std::vector<Attachment>> Switch::attachments_tcx() {
  std::vector<Attachment> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(options_.directory + "/links", error)) {
    const auto at = parse_link_name(entry.path().filename().string());
    OwnedFd link(bpf_obj_get(entry.path().c_str()));
    if (!at || link.get() < 0) continue;
    const auto info = tcx_info(link.get());
    if (!info || info->ifindex != at->ifindex) continue;
    // A link that runs another program, is not lent and does not wait for take_over() is not
    // attached as far as we are concerned: attach() makes it so.
    const auto lent = lent_.find(*at);
    if (waits(*at) || info->program_id == program_id(program_fd(at->program)) ||
        (lent != lent_.end() && info->program_id == lent->second))
      found.push_back(*at);
  }
  if (error) return fail_errno(error.value(), "list pinned links");
  return found;
}

Result<std::vector<Attachment>> Switch::attachments_clsact(bool of_earlier_runs) {
  std::vector<Attachment> found;
  struct if_nameindex* names = if_nameindex();
  if (!names) return fail_errno(errno, "list devices");
  for (const auto* device = names; device->if_index != 0; ++device) {
    for (const auto program : {Program::kFromPort, Program::kToPort, Program::kFromOverlay}) {
      const Attachment at{static_cast<int>(device->if_index), program};
      auto hook = clsact_hook(at);
      auto options = clsact_options();
      if (bpf_tc_query(&hook, &options) != 0) continue;
      const auto lent = lent_.find(at);
      if (options.prog_id == program_id(program_fd(program)) || waits(at) ||
          (lent != lent_.end() && options.prog_id == lent->second) ||
          (of_earlier_runs && program_name(options.prog_id) == name(program)))
        found.push_back(at);
    }
  }
  if_freenameindex(names);
  return found;
}

}  // namespace penstock::host
