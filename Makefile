# The commands of the house. `make` alone lists them.

.DEFAULT_GOAL := help
.PHONY: help setup check test contract browser page demo bench experiments openapi

help: ## List the commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | column -ts "$$(printf '\t')"

setup: ## Install what building and testing need (Debian; asks for nothing that is there)
	@./scripts/setup.sh

check: ## Format, lints with warnings denied, and the rules of the house
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo test --locked --test tidy

contract: ## Generate the client of IO's sender contract that the tests run
	cd tests/contract && npm ci --silent && npm run --silent generate

browser: ## Install what drives the browser in the tests of the citizen page
	cd tests/page && npm ci --silent

page: setup browser ## The citizen page in a headless browser; screenshots in target/page
	cargo test --locked --test it page::

# Tests of several nodes, which hold deadlines that a machine busy with other
# tests would not leave them.
ALONE := cluster_kills:: cluster_zombies:: cluster_rolling:: cluster_scaling:: cluster_status:: \
	redis_outage:: redis_cost:: redis_store::budget:: engine::cluster::

test: setup contract browser ## All suites: unit, contract, integration, crash and cluster
	cargo build --locked --bin araldo
	cargo test --workspace --locked -- $(addprefix --skip ,$(ALONE))
	cargo test --locked --test it -- --test-threads=1 $(ALONE)

demo: ## A morning of messages to 200,000 synthetic citizens
	cargo run --release --locked -- demo

bench: setup ## All benches, three rounds each (docs/benchmarks.md); reports and tables in target/bench
	cargo build --release --locked --workspace
	./scripts/bench.sh

experiments: setup ## Fault experiments with several nodes at full size, 90 minutes; reports in target/experiments
	cargo build --release --locked --workspace
	./scripts/experiments.sh

openapi: ## Write docs/api/openapi.json from the handlers
	cargo run --quiet --locked -- openapi > docs/api/openapi.json
