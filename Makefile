# `make help` lists the targets. Everything runs in .venv; cargo builds into CARGO_TARGET_DIR where that is set.
SHELL := bash
.DEFAULT_GOAL := help
.NOTPARALLEL:

PYTHON ?= python3
PYTEST_ARGS ?= -n auto --dist worksteal

bin := .venv/bin
target := $(or $(CARGO_TARGET_DIR),target)

# A virtual environment or Conda of the caller must not decide where maturin installs.
export VIRTUAL_ENV := $(CURDIR)/.venv
unexport CONDA_PREFIX

# What maturin tells PyO3's build script. Without it clippy after a build, and a build after clippy, compile PyO3 anew.
pyo3 = PYO3_BUILD_EXTENSION_MODULE=1 PYO3_CONFIG_FILE=$$(ls $(abspath $(target))/maturin/pyo3-config-*-abi3.txt)

# $(call if-installed,tool,command); `skipped` names those that are not.
if-installed = if command -v $(1) >/dev/null; then echo '$(2)'; $(2); fi

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: .venv/ready ## check the tools, make .venv with what development needs

.venv/ready: pyproject.toml .ci/check-tools
	@.ci/check-tools $(PYTHON)
	$(PYTHON) -m venv .venv
	$(bin)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(bin)/python -m pip install --quiet --group dev
	@touch $@

# The first build installs the package, editable; from then on only the compiled module has to be replaced.
.PHONY: build
build: .venv/ready .venv/installed ## compile the core (dev profile) and make it importable in .venv
	$(bin)/maturin develop --locked --skip-install

.venv/installed: pyproject.toml | .venv/ready
	@echo 'Compiling some 300 crates: 5 to 10 minutes the first time, seconds from then on.'
	$(bin)/maturin develop --locked
	@touch $@

.PHONY: demo
demo: build ## three nodes and a stranger on loopback
	$(bin)/depinmesh demo

.PHONY: test
test: build lint test-rust test-loom skipped test-python ## all checks: lint, Rust, model check, Python

.PHONY: lint
lint: build ## formatting, lints as errors, types, stubs, supply chain
	cargo fmt --all --check
	$(pyo3) cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo fmt --manifest-path benches/raw/Cargo.toml --check
	cargo clippy --locked --manifest-path benches/raw/Cargo.toml --target-dir $(target) --all-targets -- -D warnings
	$(bin)/ruff format --check .
	$(bin)/ruff check .
	$(bin)/mypy python $(wildcard tests benches docs examples fuzz) .ci/train.py .ci/try_wheel.py
	$(bin)/stubtest depinmesh._core --allowlist .ci/stubtest-allowlist
	@$(call if-installed,cargo-deny,cargo deny --locked check bans licenses sources)
	@$(call if-installed,actionlint,actionlint)
	$(bin)/zizmor --offline --quiet .github/workflows
	@$(MAKE) --no-print-directory skipped

.PHONY: skipped
skipped:
	@command -v cargo-deny >/dev/null || echo 'SKIPPED: licences and banned crates, as cargo-deny is not installed'
	@command -v actionlint >/dev/null || echo 'SKIPPED: syntax of the workflows, as actionlint is not installed'
	@command -v go >/dev/null || echo 'SKIPPED: one network with Go nodes, as Go is not installed'

.PHONY: test-rust
test-rust: ## unit tests and real nodes in Rust
	cargo test --locked --workspace --exclude depinmesh-binding
	cargo test --locked --manifest-path benches/raw/Cargo.toml --target-dir $(target)

# Its own folder, as the flag would rebuild everything; a model check that finds no model is a failure.
.PHONY: test-loom
test-loom: ## every interleaving of the mailbox, by loom
	RUSTFLAGS='--cfg loom' cargo test --locked -p depinmesh-mailbox --lib --target-dir $(target)/loom -- --list models:: | grep ': test$$'
	RUSTFLAGS='--cfg loom' cargo test --locked -p depinmesh-mailbox --lib --target-dir $(target)/loom -- models::

.PHONY: test-python
test-python: build ## unit, integration, fast security tests and the core of those with Go nodes, in Python
	cargo build --locked -p depinmesh-attacker
	@if ! command -v go >/dev/null; then :; \
	elif ($(go) list -deps . && go list -modfile=go-0.31.mod -deps .) >/dev/null; then $(MAKE) --no-print-directory go-peers; \
	else echo 'SKIPPED: one network with Go nodes, as Go 1.23.6 or their modules could not be fetched'; fi
	$(bin)/pytest $(PYTEST_ARGS) -m 'not slow' $(wildcard tests/unit tests/integration tests/security tests/interop tests/faults tests/leaks tests/typing)

# Newer Go breaks the QUIC of both: every inbound handshake ends the process.
go = cd tests/interop/go && export GOTOOLCHAIN=go1.23.6 && go

.PHONY: go-peers
go-peers: ## compile the Go node of the tests against both sets of versions in the field
	$(go) build -modfile=go-0.31.mod -o $(abspath $(target))/interop/go-0.31
	$(go) build -tags autonatv2 -o $(abspath $(target))/interop/go-0.41

.PHONY: test-secrets
test-secrets: build ## the tests at TRACE, with all that becomes visible searched for the keys in use
	cargo build --locked -p depinmesh-attacker
	$(bin)/pytest $(PYTEST_ARGS) -p tests.secrecy --timeout 120 -m 'not slow' tests/unit tests/integration tests/security

.PHONY: test-faults
test-faults: build ## broken networks, all of it: needs root, ip (iproute2), nft, conntrack and miniupnpd, for network namespaces
	cargo build --locked -p depinmesh-attacker
	$(bin)/pytest -s tests/faults

.PHONY: test-security
test-security: build ## attackers of every kind, all of it: tests/security/scenarios.toml names what each test shows
	cargo build --locked -p depinmesh-attacker
	$(bin)/pytest -s tests/security tests/unit/test_scenarios.py tests/unit/test_floors.py

# For every change of Cargo.lock.
.PHONY: test-advisories
test-advisories: build ## the known advisories that apply, replayed as one pack, and the least versions that are allowed
	cargo build --locked -p depinmesh-attacker
	$(bin)/pytest -s -m 'not slow' tests/unit/test_floors.py $$($(bin)/python -m tests.security.advisories)
	$(bin)/pytest -s tests/security/test_gossip_frames.py::test_w5_w7_ninety_seconds_after_such_a_prune_the_node_still_runs

.PHONY: test-soak
test-soak: build ## endurance, an hour: exits, forks, cycles, a million events; what was measured stands at the end
	cargo build --locked -p depinmesh-attacker
	$(bin)/pytest -rP --show-capture=stdout $(PYTEST_ARGS) -m slow tests/leaks tests/unit tests/integration

# Exactly what the lock file names; nothing is left in the clone.
js_peer = $(abspath $(target))/interop/js

.PHONY: js-peer
js-peer: ## fetch what the JavaScript node of the tests needs: Node 20 or newer
	mkdir -p $(js_peer) && cp tests/interop/js/* $(js_peer)
	cd $(js_peer) && npm ci --ignore-scripts --no-audit --no-fund

py_peer = $(abspath $(target))/interop/py

.PHONY: py-peer
py-peer: ## make the environment of the Python node of the tests, apart from .venv
	$(PYTHON) -m venv $(py_peer)
	$(py_peer)/bin/python -m pip install --quiet -r tests/interop/py/requirements.txt

.PHONY: interop
interop: build go-peers js-peer py-peer ## one network with nodes of other languages, all of it
	$(bin)/pytest tests/interop

.PHONY: interop-long
interop-long: build go-peers ## longer tries of what is a matter of luck, with Go nodes: half an hour
	$(bin)/pytest tests/interop/test_same_moment.py tests/interop/test_mixed_network.py --long

.PHONY: interop-table
interop-table: build go-peers js-peer py-peer ## write the table of docs/interop.md from a run of the matrix
	$(bin)/pytest tests/interop/test_matrix.py --write-table

# Each build shares the compiled dependencies with all others, and is importable from a folder of its own.
defences_home = $(abspath $(target))/defences
defences = $(shell $(bin)/python -c 'from tests.security.defences import MUST_FAIL; print(*MUST_FAIL)')

.PHONY: test-defences
test-defences: build ## without each defence in turn the tests of it must fail: DEFENCES="guard limits" for some
	cargo build --locked -p depinmesh-attacker
	@set -e; for name in $(or $(DEFENCES),$(defences)); do echo "== building without $$name"; \
	  $(pyo3) cargo build --quiet --locked -p depinmesh-binding --features depinmesh-core/without-$${name/+/,depinmesh-core/without-}; \
	  rm -rf $(defences_home)/$$name && mkdir -p $(defences_home)/$$name && cp -r python/depinmesh $(defences_home)/$$name; \
	  rm -f $(defences_home)/$$name/depinmesh/_core.*; cp $(target)/debug/lib_core.so $(defences_home)/$$name/depinmesh/_core.abi3.so; \
	done
	$(bin)/python -m tests.security.defences $(defences_home) $(DEFENCES)

# What is found goes to $(fuzz_home); an input that breaks something belongs into fuzz/corpus, where `make test` replays it.
FUZZ_SECONDS ?= 60
fuzz_home = $(abspath $(target))/fuzz
fuzz_options = -max_total_time=$(FUZZ_SECONDS) -timeout=5 -rss_limit_mb=1024 -print_final_stats=1 -verbosity=0

.PHONY: fuzz
fuzz: build ## every reader of foreign bytes, a minute each by libFuzzer and Atheris: needs a C++ compiler, Linux
	$(bin)/python -m pip install --quiet --group fuzz
	RUSTC_WORKSPACE_WRAPPER=$(CURDIR)/fuzz/covered CARGO_PROFILE_DEV_OPT_LEVEL=2 \
	  cargo build --locked -p depinmesh-fuzz --features libfuzzer --bins
	@set -e; for file in fuzz/targets/*.rs; do name=$$(basename $$file .rs); mkdir -p $(fuzz_home)/$$name; \
	  echo "== $$name (Rust)"; $(target)/debug/fuzz_$$name $(fuzz_home)/$$name fuzz/corpus/$$name -max_len=4096 \
	  -artifact_prefix=$(fuzz_home)/ $(fuzz_options); done
	@set -e; for name in $$($(bin)/python -c 'from fuzz.python.targets import TARGETS; print(*TARGETS)'); do \
	  mkdir -p $(fuzz_home)/$$name; echo "== $$name (Python)"; $(bin)/python -m fuzz.python.run $$name \
	  $(fuzz_home)/$$name fuzz/corpus/$$name -artifact_prefix=$(fuzz_home)/ $(fuzz_options); done

# Wheels and benches are compiled twice, the second time for what .ci/train.py has done with the first. PGO= spares that.
PGO ?= yes
pgo = $(and $(PGO),$(firstword $(wildcard $(shell rustc --print sysroot)/lib/rustlib/*/bin/llvm-profdata)))
no-pgo = $(if $(pgo),:,echo 'SKIPPED: optimisation by a profile, $(if $(PGO),as llvm-tools is not installed: rustup component add llvm-tools,as PGO is empty)')

# In release profile, and apart from what `make build` leaves in .venv: the package is copied to a folder of its own, with
# an extension that has BridgeBench. Of .venv only the libraries are used, so an older build in it will do.
bench_home = $(abspath $(target))/bench
bench_peers = $(abspath $(target))/bench-peers
bench_results = $(abspath $(target))/bench-results.jsonl
bench = PYTHONPATH=$(bench_home) $(bin)/python -m benches --target $(target) --results $(bench_results)

.PHONY: bench-build
bench-build: .venv/ready $(if $(wildcard .venv/installed),,.venv/installed) ## compile what the benches need, in release profile (12 minutes and more the first time)
	@$(no-pgo)
	benches/build $(abspath $(target)) $(abspath $(bin))/python $(pgo)

.PHONY: bench-go
bench-go: ## the Go peer of the benches, in the versions of the Go library
	cd benches/peers/go && GOTOOLCHAIN=go1.23.6 go build -o $(bench_peers)/go-peer

.PHONY: bench-py
bench-py: py-peer ## py-libp2p for the benches

.PHONY: bench-js
bench-js: js-peer ## js-libp2p for the benches
	cp benches/peers/js/bench.js $(js_peer)

.PHONY: bench-zenoh-nats
bench-zenoh-nats: ## zenoh-python, nats-py and nats-server (by Go) for the benches
	$(PYTHON) -m venv $(bench_peers)/python
	$(bench_peers)/python/bin/python -m pip install --quiet -r benches/peers/requirements.txt
	GOBIN=$(bench_peers) go install github.com/nats-io/nats-server/v2@v2.15.2

# Those of `make bench` that can be had here; the run names what is missing.
.PHONY: bench-peers
bench-peers:
	-@$(MAKE) --no-print-directory bench-go
	-@test -x $(py_peer)/bin/python || $(MAKE) --no-print-directory bench-py

.PHONY: bench
bench: bench-build bench-peers ## depinmesh beside raw rust-libp2p, go-libp2p and py-libp2p: 15 minutes; BENCH_ARGS=--quick for 3
	rm -f $(bench_results)
	$(bench) $(BENCH_ARGS)

.PHONY: bench-full
bench-full: bench-build bench-peers ## all systems, sizes and rates, and cargo's benches: two hours
	-@test -e $(js_peer)/bench.js || $(MAKE) --no-print-directory bench-js
	-@test -x $(bench_peers)/nats-server || $(MAKE) --no-print-directory bench-zenoh-nats
	rm -f $(bench_results)
	cargo bench --locked --workspace --exclude depinmesh-binding --bench '*'
	$(bench) --full $(BENCH_ARGS)

# Each operation of the core by itself: what a clock cannot tell on a busy machine.
.PHONY: instructions
instructions: .venv/ready ## the gate on instructions: more than 5 % above benches/instructions.json fails (valgrind)
	cargo build --locked --release -p depinmesh-instructions
	$(bin)/python -m benches.instructions $(target)/release/depinmesh-instructions $(INSTRUCTIONS_ARGS)

.PHONY: bench-profile
bench-profile: ## where the time of an event goes, by samples of both sides (perf, after bench-build): BENCH_ARGS="--system raw"
	PYTHONPATH=$(bench_home) $(bin)/python -m benches.profile --target $(target) $(BENCH_ARGS)

.PHONY: bench-report
bench-report: ## write the results of the last run into docs/performance.md, with plots
	$(bin)/python -m pip install --quiet --group bench
	PYTHONPATH=$(bench_home) $(bin)/python -m benches.report $(bench_results)

.PHONY: docs-tables
docs-tables: build ## write the parts of the documents that are made of the code
	$(bin)/python docs/generate.py

.PHONY: docs
docs: build ## the site of the documents, in site/
	$(bin)/python -m pip install --quiet --group docs
	$(bin)/python docs/generate.py --check
	$(bin)/zensical build --clean --strict

# Strict: a package that the index does not know would count as one without faults.
.PHONY: audit
audit: .venv/ready ## known vulnerabilities of all dependencies: asks the internet
	$(bin)/python -m pip install --quiet --group audit
	$(bin)/pip-audit --strict --no-deps --disable-pip --requirement <($(bin)/python -m pip freeze --exclude-editable)
	@$(call if-installed,cargo-deny,cargo deny --locked check advisories)

# What a user gets: in an environment without this clone, and without Rust on the path.
.PHONY: wheel
wheel: .venv/ready ## the wheel and the sdist in dist/, installed and tried (12 minutes and more the first time)
	rm -rf dist
	@$(no-pgo)
	$(bin)/maturin build --release $(if $(pgo),--pgo) --strip --locked --out dist
	$(bin)/maturin sdist --out dist
	$(bin)/python .ci/try_wheel.py dist

.PHONY: clean
clean: ## remove .venv and what was built inside the clone
	rm -rf .venv target dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find python -name '_core.*.so' -delete
