// What the kernel's verifier says when it refuses the programs, as an error.
#pragma once

#include <bpf/libbpf.h>

#include <string>

#include "base/error.h"

namespace penstock::host {

class VerifierLog {
 public:
  VerifierLog();
  // For opening an object; valid as long as this. libbpf is told to print nothing: errors come back
  // as values.
  bpf_object_open_opts options();
  // Loading ended with this error (negative errno). kPermissionDenied: no right to load programs;
  // else kUnimplemented with the log's last lines.
  Status refused(int error) const;

 private:
  std::string text_;
};

}  // namespace penstock::host
