# Gantry.  `make help` lists what there is; `make cluster` and `make test` install what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help setup cluster test check lint man bench qa clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: $(VENV)/.ready  ## Debian packages (as root) and the Python environment

$(VENV)/.ready: setup.py tools/setup-host tools/link-tree
	tools/setup-host
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade 'setuptools>=66' wheel
	$(BIN)/pip install --quiet --disable-pip-version-check '.[test]'
	@tools/link-tree $(BIN)/python
	@touch $@

cluster: setup  ## a three-node cluster on this machine with a real guest in it
	$(BIN)/vcluster up

test: setup lint  ## everything: lint, unit, contract, functional and fault tests, two scenarios on real machines
	$(BIN)/pytest -q -n 2 --dist loadfile
	QA_ROUNDS=2 qa/qa scenarios --attempts=2 kill migrate

check: setup lint  ## the quick part: lint and unit tests
	$(BIN)/pytest -q test/lint test/unit

lint: setup  ## ruff and mypy --strict
	$(BIN)/ruff check lib tools test bench qa setup.py
	$(BIN)/mypy -p gantry -p vcluster -p hbal -p manual -p qa

man: setup  ## make the manual pages anew, after a command, an option or a text of man/*.rst changed
	$(BIN)/python tools/make-man

bench: setup  ## measure: jobs, latency, start-up of commands, the balancer, the remote API
	for part in bench/*.py; do $(BIN)/python $$part || exit 1; done

qa: setup  ## scenarios on real machines in QEMU (SCENARIO=name for one); needs root, see qa/README.md
	qa/qa scenarios $(SCENARIO)

clean:  ## remove the environment and caches (not clusters: see `vcluster down`)
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
