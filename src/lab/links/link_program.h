// The programs of bpf/link on one link: loaded, attached, changed in place, read.
//
// All of it happens in the namespace of the calling thread, which must be the fabric
// (NetNamespace::run). Nothing is pinned: the device holds the programs, the programs hold their
// maps, and a change finds those again through the device.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "base/error.h"
#include "lab/links/impairment.h"
#include "link/abi.h"

namespace penstock::lab {

// Makes a port ready for programs. Called while it is down: clsact on a device that is up takes its
// queues away for a moment, and frames with them (qdisc_graft calls dev_deactivate).
Status prepare_link_port(int port);

struct LinkSeat {
  int port = 0;                         // ifindex of the link's end
  std::array<int, LINK_WAYS> relays{};  // TAPs by direction; 0: frames do not wait
};

// Puts the programs there or changes what they do; frames under way are not touched. A seed that is
// set starts the dice again; without one it is drawn.
Status set_link_program(const LinkSeat&, const Impairments&, bool restart_dice);
// Leaves the port ready for the next ones. Nothing there is no error.
Status remove_link_program(int port);

// Absent: no program there.
Result<std::optional<std::array<link_count, LINK_WAYS>>> link_counts(int port);

}  // namespace penstock::lab
