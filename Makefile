# The menu. Every target does its own set-up; with nothing to do that takes seconds.
BUILD ?= build
JOBS  ?= $(shell nproc)
SEEDS ?= 200

.PHONY: help setup build test unit demo bench sim format clean
.DEFAULT_GOAL := help

help:  ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## install the Debian packages that are missing (root)
	@scripts/setup

build: setup  ## build everything into build/
	@scripts/build $(BUILD) $(JOBS)

test: build  ## build and run every test (root: real namespaces and programs)
	@scripts/test $(BUILD) $(JOBS)

unit: build  ## only the unit tests: seconds, no root needed once built
	@ctest --test-dir $(BUILD) -L unit -j $(JOBS) --output-on-failure

demo: setup  ## the whole loop of a service on real packets, narrated; ARGS=--keep leaves the lab up
	@scripts/build $(BUILD) $(JOBS) penstock penstockd penstock-hostd
	@$(BUILD)/bin/penstock demo $(ARGS)
	@case "$(ARGS)" in *--keep*) echo 'The programs are in $(BUILD)/bin: export PATH=$(abspath $(BUILD)/bin):$$PATH';; esac

bench: build  ## measure against the peers; ROWS=pattern runs a part
	@tests/bench/run $(BUILD) $(if $(ROWS),--rows '$(ROWS)')

sim: setup  ## run SEEDS=N simulated worlds, twice each; prints the failing seed
	@scripts/build $(BUILD) $(JOBS) penstock-sim
	@$(BUILD)/bin/penstock-sim --seeds $(SEEDS) --twice

format:  ## clang-format over everything
	@git ls-files '*.cc' '*.h' '*.c' | xargs clang-format-14 -i

clean:  ## forget the build
	@rm -rf $(BUILD)
