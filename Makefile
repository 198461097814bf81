# Two commands: `make demo` and `make test`. Needs Python 3.11 or newer and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PYTEST := $(BIN)/pytest -q -n 2 --dist worksteal
# Tests that start servers, clusters and trainings; a folder is one of these or belongs to `make test`.
SYSTEM_TESTS := tests/integration tests/e2e
# `make locks` alone needs it.
UV ?= uv

.PHONY: demo test test-system coverage lowest lint locks clean

demo: $(VENV)/.installed
	rm -rf runs/demo
	$(BIN)/frnas search configs/demo.yaml
	@echo "front: runs/demo/pareto.json   plot: runs/demo/report/front.png"

test: lint
	$(PYTEST) $(if $(COVERAGE),--cov --cov-report=) tests $(SYSTEM_TESTS:%=--ignore=%)
	$(if $(COVERAGE),@echo "coverage of lines and branches by these tests: $$($(BIN)/coverage report --format=total) %")

test-system: $(VENV)/.installed-test
	$(PYTEST) $(SYSTEM_TESTS)

# Two thirds longer than without; `coverage report` then shows what is left out.
coverage:
	$(MAKE) test COVERAGE=yes

# torch and torchvision stay the environment's: they are too large to be had twice. Plugins are named, as those that
# the environment's libraries bring along may be missing from older ones.
lowest: $(VENV)/.lowest
	PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 PYTHONPATH=$(CURDIR)/$(VENV)/lowest $(BIN)/pytest -q -p pytest_timeout -W ignore tests/unit/test_modules.py tests/unit/test_docs.py

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# What is pinned stays so; a newer version of NAME: `make locks UPGRADE='--upgrade-package NAME'`.
COMPILE := $(UV) pip compile --quiet --universal --generate-hashes --no-annotate --no-header --python-version 3.11 pyproject.toml
locks:
	$(COMPILE) $(UPGRADE) --extra build --output-file requirements.lock
	$(COMPILE) $(UPGRADE) --constraints requirements.lock --extra build --extra test --output-file requirements-test.lock
	printf 'torch\ntorchvision\n' | $(COMPILE) --upgrade --resolution lowest-direct --excludes /dev/stdin --extra optuna --output-file requirements-lowest.lock

$(VENV)/.created:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "frnas needs Python 3.11 or newer; name one: make demo PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.installed: $(VENV)/.created requirements.lock pyproject.toml
	$(INSTALL) --require-hashes -r requirements.lock
	$(INSTALL) --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed requirements-test.lock
	$(INSTALL) --require-hashes -r requirements-test.lock
	touch $@

$(VENV)/.lowest: $(VENV)/.installed-test requirements-lowest.lock
	rm -rf $(VENV)/lowest
	$(INSTALL) --no-deps --no-compile --require-hashes --target $(VENV)/lowest -r requirements-lowest.lock
	touch $@
