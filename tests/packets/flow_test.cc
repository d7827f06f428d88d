#include "tests/packets/two_ports.h"
