# The words that a developer and CI share. Each command is complete: it installs and starts what it needs.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
# "Entering directory" on stdout would come after the demo's JSON line.
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

# rustup's installer changes the PATH of login shells only.
ifeq ($(shell command -v cargo),)
export PATH := $(HOME)/.cargo/bin:$(PATH)
endif

# A build needs no database: .sqlx holds what the queries were checked against.
export SQLX_OFFLINE := true

CARGO_TEST := cargo test --locked --features sim
SHELL_SCRIPTS = scripts/services scripts/services.d/*.sh scripts/packages scripts/tools scripts/run scripts/demo scripts/bench scripts/chaos scripts/soak scripts/profile scripts/queries tests/browser/run tests/browser/ready tests/browser/gallery tests/browser/screenshots tests/oidc/run .ci/run

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## a warning from an agency's desk to 100,000 simulated phones (DEVICES=N: fewer or more; EXIT=1: end by itself)
	@EXIT='$(EXIT)' DEVICES='$(DEVICES)' scripts/demo

.PHONY: bench
bench: ## what a push costs beside the raw HTTP/2 ceiling, up to five million devices (BENCH=quick: under five minutes); writes docs/performance.md
	@BENCH='$(BENCH)' scripts/bench

.PHONY: profile
profile: ## a flame graph of each process while it broadcasts, docs/performance/flame-*.svg (needs the right to record the machine)
	@scripts/tools build profile bench
	@scripts/services up
	@scripts/profile

.PHONY: chaos
chaos: ## everything breaks while alerts go out to 200,000 phones; counts who got them (CHAOS_ROUNDS=50, CHAOS_SEED, CHAOS_DEVICES)
	@CHAOS_ROUNDS='$(CHAOS_ROUNDS)' CHAOS_SEED='$(CHAOS_SEED)' CHAOS_DEVICES='$(CHAOS_DEVICES)' scripts/chaos

.PHONY: soak
soak: ## half an hour of mixed traffic; memory and file descriptors must stay flat (SOAK_MINUTES=30, SOAK_DEVICES, SOAK_SEED, SOAK_PLOT=FILE)
	@SOAK_MINUTES='$(SOAK_MINUTES)' SOAK_DEVICES='$(SOAK_DEVICES)' SOAK_SEED='$(SOAK_SEED)' SOAK_PLOT='$(SOAK_PLOT)' scripts/soak

.PHONY: scale
scale: ## a broadcast to up to a hundred million devices, computed from what make bench measured; writes docs/scaling.md
	@scripts/tools build
	@cargo run --quiet --release --locked --features sim --bin loa-scale

.PHONY: test
test: ## every test on a real PostgreSQL and RabbitMQ, then clients that nobody here wrote against the simulator
	@scripts/tools build peers
	@scripts/services up
	@environment=$$(scripts/services env) && eval "$$environment" && $(CARGO_TEST) $(TEST) && tests/peers/run

.PHONY: test-browser
test-browser: ## the console and the public pages in a real browser, and every page examined by axe (JOURNEY=1: only the main journey)
	@scripts/tools build
	@scripts/services up
	@tests/browser/run $(if $(JOURNEY),journey)

.PHONY: lint
lint: ## formatting, clippy with and without the simulator, the shell scripts
	@scripts/tools build
	cargo fmt --check
	cargo clippy --locked --all-targets --features sim -- -D warnings
	cargo clippy --locked -- -D warnings
	@if command -v shellcheck >/dev/null; then \
		echo shellcheck $(SHELL_SCRIPTS); shellcheck --external-sources $(SHELL_SCRIPTS); \
	else echo 'no shellcheck on this machine: the shell scripts were not checked'; fi

.PHONY: build
build: ## the release binary, as it would be shipped: without the simulator
	@scripts/tools build
	cargo build --release --locked --bin loa

.PHONY: queries
queries: ## write .sqlx anew, after a change of a query or a migration
	@scripts/tools build
	@scripts/queries

.PHONY: services
services: ## start this checkout's own PostgreSQL and RabbitMQ (scripts/services help)
	@scripts/services up

.PHONY: down
down: ## stop them; the data stays
	@scripts/services down

.PHONY: gallery
gallery: ## every page as a phone and a desk show it, light and dark: pictures in .local/gallery
	@scripts/services up
	@environment=$$(scripts/services env) && eval "$$environment" && $(CARGO_TEST) --test it -- gallery && tests/browser/gallery

# What takes longer than a push should wait for.
.PHONY: ci-full
ci-full: lint ## everything CI does, the tests that take long, the whole demo, licences and advisories
	@scripts/tools build peers
	@scripts/services up
	@scripts/queries --check
	@environment=$$(scripts/services env) && eval "$$environment" && $(CARGO_TEST) -- --include-ignored && tests/peers/run \
		&& tests/browser/run && $(CARGO_TEST) --profile timed --test it -- sixty_seconds
	@if python3 -c 'import yaml' 2>/dev/null; then python3 helm/check.py; \
	else echo 'no PyYAML on this machine: the chart was not checked'; fi
	@if cargo deny --version >/dev/null 2>&1; then cargo deny --all-features check; \
	else echo 'no cargo-deny on this machine: licences and advisories were not checked'; fi
	@$(MAKE) demo EXIT=1
