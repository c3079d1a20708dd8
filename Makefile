# What people say: make run, make test. Everything else is listed by `make help`.
# Installs into .venv; Debian packages only where a target needs them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
DATA ?= data
INPUTS ?= 20000
PROTOS := $(wildcard proto/resolver/v1/*.proto)
HWDATA := /usr/share/hwdata

.PHONY: help run demo test lint types style unit conformance federation interop bench fuzz sim soak proto clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 22

# The node with every extra a user may want.
$(VENV)/.run: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { $(SUDO) apt-get update -q && $(SUDO) apt-get install -qy python3-venv; }
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[all]'
	@touch $@

# ... and what its developers need.
$(VENV)/.dev: $(VENV)/.run
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	@touch $@

run: $(VENV)/.run ## start a node in ./data with a ready prefix and administrator's key
	@$(BIN)/idis serve --data-dir $(DATA) --banner

demo: $(VENV)/.run $(HWDATA)/usb.ids ## register every USB and PCI product known to Debian, and resolve some
	@$(BIN)/idis demo

$(HWDATA)/usb.ids:
	@$(SUDO) apt-get update -q && $(SUDO) apt-get install -qy hwdata

test: lint types unit conformance ## lint, types, tests, short conformance

lint: $(VENV)/.dev ## ruff, the layers of the house, the contracts in proto
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check -q .
	@$(BIN)/lint-imports --no-logo > $(VENV)/imports.log || { cat $(VENV)/imports.log; exit 1; }
	@cd proto && ../$(BIN)/buf lint

types: $(VENV)/.dev ## mypy --strict
	@$(BIN)/mypy

style: $(VENV)/.dev ## format the code and fix what can be fixed
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

unit: $(VENV)/.dev $(HWDATA)/usb.ids ## the tests
	@$(BIN)/python -m pytest -m 'not slow'

conformance: $(VENV)/.dev ## the black-box suite against a node it starts
	@$(BIN)/python -m conformance
	@$(BIN)/python -m conformance.schemathesis --phases coverage --seconds 20

interop: $(VENV)/.dev ## gRPC clients of other makers and languages against both back ends, plain, TLS and mTLS
	@needs=$$($(BIN)/python -m conformance.clients --needs); [ -z "$$needs" ] || { \
	  $(SUDO) apt-get update -q && $(SUDO) apt-get install -qy --no-install-recommends $$needs; }
	@$(BIN)/python -m conformance.clients --all
	@$(BIN)/python -m conformance.pyhandle

federation: $(VENV)/.dev $(HWDATA)/usb.ids ## a tree of eight nodes on loopback: every product asked everywhere, by every door
	@$(BIN)/python -m conformance.federation

PEERS := /usr/bin/etcd /usr/bin/redis-server /usr/sbin/nginx /usr/bin/h2load /usr/bin/perf

bench: $(VENV)/.dev | $(PEERS) ## measure beside etcd, redis and nginx; see bench/README.md
	@$(BIN)/python -m bench all

$(PEERS): # RUNLEVEL=1 keeps Debian from starting what it installs
	@$(SUDO) apt-get update -q && $(SUDO) env RUNLEVEL=1 apt-get install -qy --no-install-recommends \
	  etcd-server redis-server nginx-light nghttp2-client linux-perf

SEEDS ?= 10000
sim: $(VENV)/.dev ## a tree of nodes in one thread, SEEDS times, each time with other faults
	@$(BIN)/python -m tests.sim --seeds $(SEEDS)

soak: $(VENV)/.dev ## the long tests: minutes of crashes and load
	@$(BIN)/python -m pytest -m slow -s

# atheris is installed only for this; INPUTS=1000000 for the long form.
$(VENV)/.fuzz: $(VENV)/.dev
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[all,dev,fuzz]'
	@touch $@

fuzz: $(VENV)/.fuzz ## coverage-guided fuzzing of all decoders; INPUTS=1000000 for the long form, TARGETS=... for some
	@$(BIN)/python -m tests.fuzz --inputs $(INPUTS) $(TARGETS)

proto: $(VENV)/.dev ## generate resolver/v1 from proto/
	@$(BIN)/python -m grpc_tools.protoc -I proto --python_out=. --pyi_out=. --grpc_python_out=. $(PROTOS)
	@$(BIN)/python -m tests.support.client_stubs $(PROTOS:proto/%.proto=%_pb2_grpc.py)
	@$(BIN)/python -m grpc_tools.protoc -I proto --include_source_info --descriptor_set_out=$(VENV)/proto.binpb $(PROTOS)
	@$(BIN)/python -m resolver.transport.http.transcoding.comments < $(VENV)/proto.binpb > $(VENV)/comments.json
	@mv $(VENV)/comments.json resolver/v1/comments.json

clean: ## remove what make made; data stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
