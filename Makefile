# make start | make test | make check. All tools live in .venv; nothing else is touched.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
TESTED := .venv/.tested
export HF_HUB_DISABLE_TELEMETRY := 1

.PHONY: start test check bench browser

start: $(INSTALLED)
	@test -f saves/models/SmolLM2-135M-Instruct/model.safetensors || $(BIN)/tuneboard starter || echo "The starter model could not be fetched now; the page offers it again."
	$(BIN)/tuneboard webui

test: $(TESTED) browser check
	$(BIN)/python -m pytest tests/backend -n auto --dist loadfile
	$(BIN)/python -m pytest tests/failures tests/e2e -m 'not starter' -n auto --dist loadfile
	$(BIN)/python -m pytest tests/e2e -m starter

check: $(TESTED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m backend.contract.reference check
	$(BIN)/python -m pytest tests/unit tests/contract -n auto

bench: $(TESTED)
	$(BIN)/python -m tests.bench start

browser: $(TESTED)
	@sh tests/install_browser.sh

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -c constraints.txt torch
	$(BIN)/python -m pip install -q -c constraints.txt -e .
	touch $(INSTALLED)

# What tests and checks need beyond what the page needs.
$(TESTED): $(INSTALLED)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	touch $(TESTED)
