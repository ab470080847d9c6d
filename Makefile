# Works as root on a bare Debian machine with git, python3 and the package registries, and on a laptop with Docker.
# Everything that is made stays below .cache/ (git ignores it).
PYTHON ?= python3
VENV := .cache/venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test nightly images lint types playbooks audit unit mutations wheel molecule system other-platform faults-telling test-faults soak test-vm every-core as-user \
	bench bench-fleet collection sanity docs lock clean

# The programs of the environment call each other by name.
IN := PATH="$(abspath $(BIN)):$$PATH" PYTHONUNBUFFERED=1
TESTS := $(IN) pytest -q --durations=10
# Two at a time: most of the time is waiting for a host's apt, dockerd and systemd.
# In the order that tests/system/conftest.py gives, which pytest-xdist would change to files with many tests first.
BY_FILE := -n 2 --dist loadfile --no-loadscope-reorder
HOSTS := $(TESTS) tests/system $(BY_FILE)
PARTS := lint types playbooks audit unit mutations wheel images molecule system

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(READY): pyproject.toml requirements/dev.txt
	@sh tests/hosts/files/venv.sh "$(PYTHON)" "$(VENV)"
	@touch $@

demo: $(READY) ## Set up the engine in a disposable WSL2-like host, and watch it
	@$(BIN)/python -m tests.hosts.demo

test: $(READY) ## Everything that guards an invariant, on three hosts
	@sh tests/parts $(PARTS)

nightly: $(READY) ## Everything there is, hours: all tests, faults, protections, suites, every ansible-core, the VM, an ordinary user
	@FULL=1 sh tests/parts $(PARTS) other-platform sanity as-user test-faults soak test-vm

lint: $(READY) ## Style
	@$(IN) ruff check && $(IN) ruff format --check

types: $(READY) ## Types
	@$(IN) mypy && $(IN) mypy --strict tests/hosts/*.py tests/hosts/doubles/*.py

playbooks: $(READY) ## The playbooks and roles under ansible-lint
	@$(IN) ansible-lint --offline -q

audit: $(READY) ## Unsafe code, known vulnerabilities
	@$(IN) python -m tests.hosts.audit

unit: $(READY) ## Unit tests (FULL=1: the slow ones too)
	@$(TESTS) tests/unit -n 2 $(if $(FULL),,-m "not slow")

mutations: $(READY) ## Take each protection that a change concerns out of a copy, and see the test that notices (FULL=1: all of them)
	@$(IN) python -m tests.mutations

wheel: $(READY) ## Build the wheel, install it, run it
	@$(TESTS) tests/wheel

images: $(READY) ## Make the host images that are missing
	@$(IN) python -m tests.hosts image $(if $(FULL),bookworm trixie noble resolute,trixie noble)

molecule: $(READY) ## Converge, idempotence and verify on a WSL2 and a native host
	@$(IN) python -m tests.hosts molecule

system: $(READY) ## The command on real hosts, the longest files first, the rest shuffled (SEED=n: the order of that run; FULL=1: the slow tests too)
	@$(HOSTS) $(if $(FULL),,-m "not slow")

OTHERS := $(addprefix tests/system/test_,lives_of_others.py packages_of_others.py refusals.py daemon_json.py interruptions.py security.py)
other-platform: $(READY) ## What keeps the things of others, on the platform that the ordinary run does not use: WSL2 for native Linux and back
	@OTHER_PLATFORM=1 FULL=1 $(TESTS) $(OTHERS) $(BY_FILE)

every-core: $(READY) ## The main job under every ansible-core that pyproject.toml allows, on hosts whose Python has it (part of `FULL=1 make system`)
	@FULL=1 $(TESTS) tests/system/test_every_core.py tests/system/test_sudo_rs.py

as-user: $(READY) ## The unit tests as an ordinary user: some branches are never taken by root
	@$(IN) sh tests/as-user

faults-telling: $(READY) ## Five rows of the fault matrix
	@TELLING=1 $(IN) python -m tests.faults

test-faults: $(READY) ## Runs under fire: killed, cut off, out of room (FULL=1: every kill point, an hour)
	@$(IN) python -m tests.faults

soak: $(READY) ## 50 setups and 10 cycles on one host: nothing may grow
	@$(IN) python -m tests.faults.soak

test-vm: $(READY) ## A real VM under a real limactl (needs Go and QEMU; under 20 minutes without KVM)
	@PYTHON=$(abspath $(BIN))/python $(IN) sh tests/vm/run && sh tests/vm-differs record

bench: $(READY) ## Time the commands on a host, as multiples of an empty play
	@$(BIN)/pytest -q tests/benchmarks/test_ratios.py

bench-fleet: $(READY) ## What check mode of a fleet costs (SIZES="10 200"), as multiples of ping; nothing else should run beside it
	@$(IN) pytest -q tests/benchmarks/test_fleet.py

collection: $(READY) ## Build the Ansible collection containai.secure_engine from this repository
	@rm -rf .cache/collection
	@$(IN) python scripts/collection.py .cache/collection/source
	@$(IN) ansible-galaxy collection build .cache/collection/source --output-path .cache/collection

sanity: $(READY) ## The collection under Ansible's own checks
	@$(IN) python -m tests.sanity

docs: $(READY) ## Make docs/variables.md and the roles' tables from their argument_specs.yml
	@$(BIN)/python scripts/docs.py

lock: $(READY) ## Regenerate requirements/dev.txt: the newest versions that pyproject.toml allows, with their hashes
	@$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --upgrade --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make lock" --quiet --output-file requirements/dev.txt

clean: ## Remove what all of this made, the private engine first
	@$(PYTHON) -m tests.hosts engine down
	@rm -rf .cache
