# Builds, tests and installs the AMD container toolkit. `make` lists the targets.

PREFIX  ?= /usr/local
DESTDIR ?=
BINDIR  := $(DESTDIR)$(PREFIX)/bin
TARGET  := $(or $(CARGO_TARGET_DIR),target)

PROGRAMS := amd-container-runtime amd-ctk

# Where rustup puts cargo, for shells that have not read its profile.
export PATH := $(PATH):$(HOME)/.cargo/bin

.PHONY: help deps build release test lint fmt-check clippy doc reference demo bench install uninstall clean crash-test

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

deps: ## Install what building and testing need (Debian, Ubuntu; as root)
	@scripts/deps.sh

build: ## Build everything, for development
	cargo build --workspace

release: ## Build the programs that are installed
	cargo build --release $(PROGRAMS:%=--bin %)

test: deps ## Run all tests, on simulated hosts with AMD GPUs (as root)
	@scripts/test.sh

lint: fmt-check clippy doc ## Check formatting, lints and documentation

fmt-check:
	cargo fmt --all --check

clippy:
	cargo clippy --workspace --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

reference: ## Write the command line reference, docs/cli-*.md, from the programs
	cargo run -p manual -- reference docs

demo: deps build ## Show GPU containers at work, on simulated GPUs where there are none (as root)
	@scripts/demo.sh

bench: deps ## Compare with runc and crun, interleaved, with 0, 8 and 64 simulated GPUs (as root)
	cargo build --release --workspace --bins
	$(TARGET)/release/bench --ours $(abspath $(TARGET))/release/amd-container-runtime --ctk $(abspath $(TARGET))/release/amd-ctk

crash-test: deps build ## Kill the runtime at every system call of create, start and delete (as root)
	$(TARGET)/debug/crash_test

install: ## Install what `make release` built, below $(DESTDIR)$(PREFIX)
	@for program in $(PROGRAMS); do \
		test -x $(TARGET)/release/$$program || { echo 'nothing to install yet: run `make release`' >&2; exit 1; }; \
	done
	install -d $(BINDIR)
	install -m 755 $(PROGRAMS:%=$(TARGET)/release/%) $(BINDIR)

uninstall: ## Remove what `make install` installed
	rm -f $(PROGRAMS:%=$(BINDIR)/%)

clean: ## Remove what was built
	cargo clean
