# `make` alone lists what there is. CARGO_TARGET_DIR is honoured; everything else is in scripts/.
target := $(or $(CARGO_TARGET_DIR),target)
export PATH := $(PATH):$(HOME)/.cargo/bin

.DEFAULT_GOAL := help
.PHONY: help demo build test conformance bench chaos lint fmt deny

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | awk -F'|' '{ printf "%-19s %s\n", $$1, $$2 }'

demo: ## builds, starts a throw-away PostgreSQL and shows its changes as they come (ARGS='--for 20s')
	@scripts/install-deps demo
	cargo build --release --locked -p walspring
	@$(target)/release/walspring demo $(ARGS)

build: ## the release build: target/release/walspring
	@scripts/install-deps build
	cargo build --release --locked -p walspring

test: ## all that a change has to pass, in one go (what .ci/run runs)
	@scripts/install-deps test
	@scripts/test

conformance: ## all recorded answers of the original (ARGS='types_* --exactly-once')
	@scripts/install-deps test
	cargo build --locked -p walspring
	@scripts/python conformance/check --worker $(target)/debug/walspring $(ARGS)

bench: ## speed, CPU and memory beside PostgreSQL's own limit (ARGS='drain --rows 1000000 --debezium')
	@scripts/install-deps test
	cargo build --release --locked -p walspring
	@scripts/bench $(or $(ARGS),all)

chaos: ## crashes and hand-overs under load: nothing lost, nothing twice (ARGS=swap)
	@scripts/install-deps test
	cargo build --release --locked -p walspring
	@scripts/chaos $(ARGS)

lint: ## format and lints, as CI checks them
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

fmt: ## formats the code
	cargo fmt --all

deny: ## licences, sources and advisories of what we depend on (deny.toml)
	@command -v cargo-deny >/dev/null || { echo "cargo-deny is missing: cargo install --locked cargo-deny"; exit 1; }
	cargo deny check licenses bans sources
	cargo deny check advisories
