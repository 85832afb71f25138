# Everything that is done to this project, by its verb. `make` alone lists them.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all:
FIT := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c '$(FIT)' 2>/dev/null && echo $$python && break; done)

COMPOSE := docker compose -f docker-compose.core.yml -f docker-compose.apps.yml
USERS = $(or $(USERS_FOLDER),$(shell sed -n 's/^USERS_FOLDER=//p' .env 2>/dev/null),secrets.example)
OUTSIDE = TRADE2026_VAR=var/outside TRADE2026_SECRETS=$(USERS) TRADE2026_NATS_URL=nats://127.0.0.1:4222 \
	TRADE2026_VALKEY_URL=redis://127.0.0.1:6379 TRADE2026_QUESTDB_HTTP=127.0.0.1:9000 \
	TRADE2026_QUESTDB_PG=127.0.0.1:8812 $(BIN)/python -m shared.cli
FILL = $(COMPOSE) run --rm --no-deps --cap-add DAC_OVERRIDE --volume $(CURDIR)/docker/fill:/fill:ro \
	--volume $(CURDIR)/var/outside:/restored:ro --entrypoint /bin/sh volumes /fill

.DEFAULT_GOAL := help
.PHONY: help run networks wheels build up down stack unstack logs backup restore test containers check format bench chaos simulate \
	lock clean

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/compiled.stamp ## install what it needs, and run the suite here until Ctrl-C
	@$(BIN)/trade2026 up

up: build ## the suite as containers, until it is healthy
	@mkdir -p var/kill var/recordings
	$(COMPOSE) up --detach --wait

down: ## end the containers; what they remember stays in their volumes
	$(COMPOSE) down

stack: build ## the suite as a stack of this machine's swarm (docker swarm init makes one)
	@mkdir -p var/kill var/recordings
	@$(COMPOSE) -f docker-compose.stack.yml config --format json > var/compose.json
	@$(PYTHON) docker/stack.py < var/compose.json > var/stack.json
	docker stack deploy --resolve-image never --prune --compose-file var/stack.json trade2026

unstack: ## end the stack; what it remembers stays in its volumes
	docker stack rm trade2026

logs: ## what the containers say (s=oms for one of them)
	@$(COMPOSE) logs --follow --tail 100 $(s) || test $$? -eq 130 # Ctrl-C ends it

build: ## the image of the services
	GIT=$$(git describe --always --dirty 2>/dev/null || echo unknown) $(COMPOSE) build

backup: $(VENV)/core.stamp ## everything the containers know, while they run (to=DIR)
	@rm -rf var/outside && mkdir -p var/outside
	$(COMPOSE) cp live-gateway:/var/lib/trade2026/. var/outside
	$(OUTSIDE) backup $(to) $(options)
	@rm -r var/outside

restore: $(VENV)/core.stamp ## a backup into new volumes, the containers being down (from=DIR)
	@rm -rf var/outside && mkdir -p var/outside
	$(FILL) check
	$(COMPOSE) up --detach --wait questdb
	$(OUTSIDE) restore $(from) $(options)
	$(FILL) put
	@rm -r var/outside

networks: ## make the lanes that are missing; `make up` does so too
	@$(COMPOSE) config --format json | $(PYTHON) docker/networks.py

wheels: ## fetch what the image needs into docker/wheels, for a build without an index
	$(PYTHON) -m venv var/wheels
	var/wheels/bin/python -m pip download --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
		-r requirements/core.txt -d docker/wheels

test: check ## install what it needs, and run every check and the whole test suite
	$(BIN)/python -m pytest

containers: $(VENV)/dev.stamp ## run the tests that want a Docker engine (on Debian, as root: it makes one)
	PYTHON=$(BIN)/python tests/compose/prepare.sh
	$(BIN)/python -m pytest -m container tests/compose

check: $(VENV)/dev.stamp ## style, types and floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

format: $(VENV)/dev.stamp ## write the code as it should be written
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/dev.stamp ## measure, and compare with the targets
	$(BIN)/python -m tests.bench

chaos: $(VENV)/dev.stamp ## break suites again and again (profile=pr|nightly|release seed=N faults="F1 F3")
	$(BIN)/python -m tests.chaos --profile $(or $(profile),pr) $(if $(seed),--seed $(seed)) $(if $(faults),--faults $(faults))

simulate: $(VENV)/dev.stamp ## simulate the trading core under many seeds (seeds=100000 first=0)
	$(BIN)/python -m tests.simulation --seeds $(or $(seeds),100000) --from $(or $(first),0)

lock: var/lock/bin/uv ## choose the newest versions anew: requirements/core.txt and dev.txt
	$< pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		pyproject.toml --output-file requirements/core.txt
	$< pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		pyproject.toml --extra dev --output-file requirements/dev.txt

clean: ## remove what was installed and cached; the state under var stays
	rm -rf $(VENV) .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find shared services tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed; none was found (make PYTHON=/path/to/python)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
		echo "$(PYTHON) cannot make virtual environments; on Debian: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The project is not copied into its environment: a .pth file leads to it, and `trade2026` is three lines.
$(BIN)/trade2026: $(BIN)/python
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		| { read -r site; printf '%s\n' "$(CURDIR)" > "$$site/trade2026.pth"; }
	@printf '#!/bin/sh\nexec "%s/$(BIN)/python" -P -m shared.cli "$$@"\n' "$(CURDIR)" > $@
	@chmod +x $@

# Byte code is made below, of what is used; that of all these libraries takes half a minute.
$(VENV)/core.stamp: requirements/core.txt $(BIN)/trade2026
	$(PIP) --no-compile -r $<
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt $(BIN)/trade2026
	$(PIP) -r $<
	@touch $@ $(VENV)/core.stamp

# Byte code and the bars' machine code, so that not the first start has to make them.
$(VENV)/compiled.stamp: $(VENV)/core.stamp $(wildcard shared/domain/bars/*.py)
	@env -u PYTHONDONTWRITEBYTECODE \
		$(BIN)/python -c 'from shared.cli.preload import preload; from shared.kit.settings import load_suite; preload(load_suite())'
	@touch $@

var/lock/bin/uv:
	$(PYTHON) -m venv var/lock
	var/lock/bin/python -m pip install --quiet --disable-pip-version-check uv
