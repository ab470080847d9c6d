# Works as root on a bare Debian machine with git, python3 and the package registries, and on a laptop with Docker.
# Everything that is made stays below .cache/ (git ignores it).
PYTHON ?= python3
VENV := .cache/venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test lint unit mutations molecule system test-faults soak test-vm bench docs lock clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(READY): pyproject.toml requirements/dev.txt
	@sh tests/hosts/files/venv.sh "$(PYTHON)" "$(VENV)"
	@touch $@

demo: $(READY) ## Set up the engine in a disposable WSL2-like host, and watch it
	@$(BIN)/python -m tests.hosts.demo

test: $(READY) ## Everything this machine can test; what it cannot is listed at the end
	@$(BIN)/python -m tests.hosts.session

lint: $(READY) ## Style, types, unsafe code, known vulnerabilities
	@$(BIN)/python -m tests.hosts.session lint types playbooks audit

unit: $(READY) ## Unit tests
	@$(BIN)/python -m tests.hosts.session unit

mutations: $(READY) ## Take each protection that a change concerns out of a copy, and see the test that notices (FULL=1: all of them)
	@$(BIN)/python -m tests.hosts.session mutations

molecule: $(READY) ## The Molecule scenarios
	@$(BIN)/python -m tests.hosts.session molecule

system: $(READY) ## The command on real hosts (FULL=1: the slow tests too, an hour more)
	@$(BIN)/python -m tests.hosts.session system

test-faults: $(READY) ## Runs under fire: killed, cut off, out of room (FULL=1: every kill point, an hour)
	@$(BIN)/python -m tests.hosts.session faults

soak: $(READY) ## 50 setups and 10 cycles on one host: nothing may grow
	@$(BIN)/python -m tests.faults.soak

test-vm: $(READY) ## A real VM under a real limactl (needs Go and QEMU; under 20 minutes without KVM)
	@PYTHON=$(abspath $(BIN))/python PATH="$(abspath $(BIN)):$$PATH" sh tests/vm/run

bench: $(READY) ## Time the commands on a host, as multiples of an empty play
	@$(BIN)/pytest -q tests/benchmarks

docs: $(READY) ## Make docs/variables.md and the roles' tables from their argument_specs.yml
	@$(BIN)/python scripts/docs.py

lock: $(READY) ## Make requirements/dev.txt anew: the newest versions that pyproject.toml allows, with their hashes
	@$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --upgrade --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make lock" --quiet --output-file requirements/dev.txt

clean: ## Remove what all of this made, the private engine first
	@$(PYTHON) -m tests.hosts engine down
	@rm -rf .cache
