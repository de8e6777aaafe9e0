# Builds, tests and installs the AMD container toolkit. `make` lists the targets.

PREFIX   ?= /usr/local
DESTDIR  ?=
BINDIR   := $(DESTDIR)$(PREFIX)/bin
SHAREDIR := $(DESTDIR)$(PREFIX)/share
TARGET   := $(or $(CARGO_TARGET_DIR),target)

PROGRAMS := amd-container-runtime amd-ctk
# Man pages and shell completions, in the folders of /usr/share.
SHARE    := bin/share

# Where rustup puts cargo, for shells that have not read its profile.
export PATH := $(PATH):$(HOME)/.cargo/bin

.PHONY: help deps build programs release test test-release lint fmt-check clippy doc reference demo bench function-order bench-quick bench-parts costs bench-tracker test-tracker crash-test fuzz vm-box vm-test \
	install uninstall pkg-deb cargo-deb pkg-rpm pkg-test clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

deps: ## Install what building and testing need (Debian, Ubuntu; as root)
	@scripts/deps.sh

build: ## Build everything, for development
	cargo build --workspace

release: programs ## Build the programs that are installed, and their manual
	cargo build --release --bin manual
	rm -rf $(SHARE)
	$(TARGET)/release/manual share $(SHARE)

# How they are linked; `musl` where that can be had. See scripts/programs.sh.
LINK     ?=

programs: ## Build the programs that are installed, in $(TARGET)/release; LINK=musl, glibc or shared
	@LINK=$(LINK) scripts/programs.sh

test: deps ## Run all tests, on simulated hosts with AMD GPUs (as root)
	@scripts/test.sh

test-release: deps programs ## Run the integration tests with the programs that are installed (as root)
	@AMD_TEST_PROGRAMS=$(abspath $(TARGET))/release scripts/test.sh -E 'package(integration)'

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

# More options of it: BENCH_ARGS="--runs 20", or --help.
BENCH_ARGS ?=

bench: deps programs ## Compare with runc, crun and youki, interleaved, on simulated hosts (as root)
	cargo build --release --bin bench --bin simulated-host
	@mkdir -p bin
	$(TARGET)/release/bench --ours $(TARGET)/release/amd-container-runtime --ctk $(TARGET)/release/amd-ctk \
		--json bin/bench.json --plot bin/bench.svg $(BENCH_ARGS)

bench-quick: ## The same with fewer runs, GPUs and containers (a minute)
	@$(MAKE) --no-print-directory bench BENCH_ARGS="--quick $(BENCH_ARGS)"

function-order: programs ## Record which functions a container needs, in scripts/function-order.txt (as root)
	cargo build --bin function_order --bin simulated-host
	@scripts/function-order.sh

bench-parts: ## Time discovery, selection and injection by themselves
	cargo bench --workspace --bench discovery --bench inject

costs: deps build ## Write the table of instructions and system calls that tests hold the programs to (as root)
	UPDATE_COSTS=1 cargo test --workspace --test costs -- --test-threads=1
	@git diff --stat -- tests/integration/tests/costs.tsv

crash-test: deps build ## Kill the runtime at every system call of create, start and delete (as root)
	$(TARGET)/debug/crash_test

bench-tracker: deps programs ## What the GPU tracker costs with 64 GPUs and 1,000 containers, interleaved (as root)
	cargo build --release --package integration --bins
	$(TARGET)/release/tracker_bench --runtime $(abspath $(TARGET))/release/amd-container-runtime

test-tracker: deps ## A hundred rounds of 64 creates for one exclusive GPU, and every kill (as root, six minutes)
	TRACKER_ROUNDS=100 cargo test -p integration --test tracker -- --nocapture races:: killed::

vm-box: ## Build the image of a VM with systemd, current engines and AMD device nodes (as root)
	@scripts/vm-deps.sh
	vagrant/box/build.sh $(or $(VM_DIR),$(TARGET)/vm)

vm-test: ## Test with real engines and device nodes in that VM, under QEMU (as root)
	@scripts/vm-test.sh

fuzz: ## Fuzz specs, requests, KFD properties and CDI files; SECONDS_EACH=600 for ten minutes each
	@scripts/fuzz.sh

install: ## Install what `make release` built, below $(DESTDIR)$(PREFIX)
	@for file in $(PROGRAMS:%=$(TARGET)/release/%) $(SHARE)/man; do \
		test -e $$file || { echo 'nothing to install yet: run `make release`' >&2; exit 1; }; \
	done
	install -d $(BINDIR)
	install -m 755 $(PROGRAMS:%=$(TARGET)/release/%) $(BINDIR)
	cd $(SHARE) && find . -type f -exec install -D -m 644 {} $(abspath $(SHAREDIR))/{} \;

uninstall: ## Remove what `make install` installed
	rm -f $(PROGRAMS:%=$(BINDIR)/%)
	rm -f $(PROGRAMS:%=$(SHAREDIR)/man/man[18]/%.[18]) $(PROGRAMS:%=$(SHAREDIR)/man/man[18]/%-*.[18])
	rm -f $(PROGRAMS:%=$(SHAREDIR)/bash-completion/completions/%)
	rm -f $(PROGRAMS:%=$(SHAREDIR)/zsh/site-functions/_%)
	rm -f $(PROGRAMS:%=$(SHAREDIR)/fish/vendor_completions.d/%.fish)

pkg-deb: release bin/crates.txt cargo-deb ## Make the Debian package, bin/*.deb
	rm -f bin/*.deb
	cargo deb --package manual --no-build --output bin/

# Without optimization it is there in half a minute; packing then takes a quarter of one.
cargo-deb:
	@cargo deb --version >/dev/null 2>&1 || cargo install --locked --debug cargo-deb

pkg-rpm: release bin/crates.txt ## Make the RPM package, bin/*.rpm
	@cargo generate-rpm --version >/dev/null 2>&1 || cargo install --locked cargo-generate-rpm
	rm -f bin/*.rpm
	cargo generate-rpm --package crates/manual --output bin/

pkg-test: ## Install and remove both packages, in an overlay of this system (as root)
	@scripts/pkg-test.sh

# The crates of others that are in the programs, with their licences.
bin/crates.txt: Cargo.lock
	@mkdir -p bin
	cargo tree --locked --package amd-runtime --package amd-ctk --edges normal \
		--target $$(rustc -vV | sed -n 's/^host: //p' | sed 's/-gnu$$/-musl/') \
		--prefix none --format '{p}: {l}' | sed -E 's/ \((\/[^)]*|\*|proc-macro)\)//g' | sort -u >$@.new
	mv $@.new $@

clean: ## Remove what was built
	cargo clean
	rm -rf bin
