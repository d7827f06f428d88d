// Holds frames of a lab's slow links for as long as the links are slow; started by `penstock lab`.
//   penstock-link-relay LINKS_FILE SOCKET
#include <cstdio>

#include "lab/links/relay.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: penstock-link-relay LINKS_FILE SOCKET\n");
    return 2;
  }
  const auto ended = penstock::lab::serve_relay(argv[1], argv[2]);
  std::fprintf(stderr, "penstock-link-relay: %s\n", ended.error().text().c_str());
  return 1;
}
