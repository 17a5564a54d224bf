# `make demo` and `make test` set up what they need in .venv, on a machine that has Python >= 3.11 and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The tests wait more than they compute. Neighbours in a file share what it builds, so each worker gets a run of them.
# Options for pytest, such as a file: make test ARGS=tests/test_spike.py
PYTEST := $(BIN)/pytest -n 4 --dist worksteal $(ARGS)

.PHONY: help setup demo test test-notebooks test-slow test-exhaustive notebooks bench lint lint-types lint-python lint-templates lint-checkov docs lock clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(VENV)/.plot ## install the command workshop into .venv, and run nothing

demo: $(VENV)/.plot ## build, order, read the mail, clean up: on an embedded AWS of its own (30 seconds)
	$(BIN)/workshop demo

test: $(VENV)/.test ## run the tests against embedded AWSes, one of each class of cases (4 minutes)
	$(PYTEST)

test-notebooks: $(VENV)/.test $(VENV)/.notebooks ## run all notebooks in order, and two of them in a browser (10 minutes)
	$(PYTEST) -m slow tests/test_notebooks.py tests/test_notebook_browser.py

test-slow: $(VENV)/.test $(VENV)/.lint $(VENV)/.notebooks $(VENV)-checkov/.done ## run the notebooks, a browser, the four ways of building, kills and faults (40 minutes)
	$(PYTEST) -m "slow and not exhaustive"

test-exhaustive: $(VENV)/.test ## run every case of the tests that else take a sample (30 minutes)
	$(PYTEST) -m exhaustive

notebooks: $(VENV)/.notebooks ## open the workshop in JupyterLab, at notebook 00
	$(BIN)/python tools/notebooks.py --lab $(ARGS)

bench: $(VENV)/.plot $(VENV)/.test ## measure the design beside textbook functions, and write docs/benchmarks.md
	$(BIN)/python benchmarks/run.py

lint: $(VENV)/.test $(VENV)/.lint $(VENV)/.notebooks ## check style, types, imports and templates (1 minute)
	@$(MAKE) --no-print-directory --jobs 2 lint-types lint-python lint-templates

lint-types:
	$(BIN)/mypy
	$(BIN)/mypy src/lambda/poc-lambda-1
	$(BIN)/mypy src/lambda/poc-lambda-2

lint-python:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml src steps cleanup notebooks/exercises tools
	$(BIN)/python tools/notebooks.py --check

lint-templates:
	$(BIN)/cfn-lint infrastructure/cloudformation/*.yaml
	$(BIN)/python tools/cloudformation.py --check

lint-checkov: $(VENV)-checkov/.done ## check the templates against checkov's rules, as the nightly workflow does (2 minutes)
	$(VENV)-checkov/bin/checkov -d infrastructure/cloudformation --framework cloudformation --compact --quiet --skip-download

docs: $(VENV)/.docs $(VENV)/.plot ## make the pictures of docs/images again (needs graphviz)
	$(BIN)/python docs/images/architecture_diagram.py
	$(BIN)/python tools/pictures.py

# For every supported system and Python at once. What is pinned already stays; `make lock ARGS=--upgrade` takes the newest.
# constraints.txt holds the versions of everything, requirements/ what each use installs of it.
LOCK := pip compile --universal --python-version 3.11.2 --generate-hashes --no-emit-index-url --no-header --strip-extras --no-annotate --quiet
EXTRAS := plot notebooks test lint docs
lock: ## pin every version that pyproject.toml allows, with its hashes
	$(PYTHON) -m venv $(VENV)-lock && $(VENV)-lock/bin/pip install --quiet uv
	echo 'setuptools>=77' | $(VENV)-lock/bin/uv $(LOCK) $(ARGS) --all-extras -o constraints.txt pyproject.toml -
	for extra in $(EXTRAS); do \
	  echo 'setuptools>=77' | $(VENV)-lock/bin/uv $(LOCK) --extra $$extra -c constraints.txt -o requirements/$$extra.txt pyproject.toml - || exit 1; \
	done
	echo checkov | $(VENV)-lock/bin/uv $(LOCK) $(ARGS) -o requirements/checkov.txt -
	rm -rf $(VENV)-lock

# checkov wants an older boto3 than the workshop, so it lives apart.
$(VENV)-checkov/.done: requirements/checkov.txt
	$(PYTHON) -m venv $(VENV)-checkov
	$(VENV)-checkov/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/checkov.txt
	@touch $@

clean: ## remove the virtual environment
	rm -rf $(VENV) $(VENV)-checkov

# One stamp for each extra of pyproject.toml. Every package is pinned by version and hash; the workshop itself is
# installed in place. The version is asked for first, so that an old Python leaves no half-made environment behind.
$(EXTRAS:%=$(VENV)/.%): $(VENV)/.%: pyproject.toml requirements/%.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, and $(PYTHON) is %d.%d. Try: make $(MAKECMDGOALS) PYTHON=python3.13" % sys.version_info[:2])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing packages ($*) into $(VENV) …"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/$*.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
