# Gantry.  `make help` lists what there is; `make cluster` and `make test` install what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SITE = $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

.PHONY: help setup cluster test check lint bench clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: $(VENV)/.ready  ## Debian packages (as root) and the Python environment

$(VENV)/.ready: setup.py tools/setup-host
	tools/setup-host
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade 'setuptools>=66' wheel
	$(BIN)/pip install --quiet --disable-pip-version-check '.[test]'
	# The tree itself takes the place of the installed copy: an edit is seen at once.
	rm -rf build gantry.egg-info "$(SITE)/gantry" "$(SITE)/vcluster"
	ln -s "$(CURDIR)/lib" "$(SITE)/gantry"
	ln -s "$(CURDIR)/tools/vcluster" "$(SITE)/vcluster"
	touch $@

cluster: setup  ## a three-node cluster on this machine with a real guest in it
	$(BIN)/vcluster up

test: setup lint  ## everything: lint, unit, contract, functional and fault tests
	$(BIN)/pytest -q

check: setup lint  ## the quick part: lint and unit tests
	$(BIN)/pytest -q test/lint test/unit

lint: setup  ## ruff and mypy --strict
	$(BIN)/ruff check lib tools test bench setup.py
	$(BIN)/mypy -p gantry -p vcluster

bench: setup  ## measure: jobs, latency, start-up of commands
	$(BIN)/python bench/jobs.py

clean:  ## remove the environment and caches (not clusters: see `vcluster down`)
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
