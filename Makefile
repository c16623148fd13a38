# make start [PORT=7861] | make test | make check. All tools live in .venv; nothing else is touched.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
STARTER := saves/models/SmolLM2-135M-Instruct/model.safetensors
TESTED := .venv/.tested
NODE := node_modules/.package-lock.json
export HF_HUB_DISABLE_TELEMETRY := 1

.PHONY: start test check types lint bench browser llama_cpp api_clients

# The port is looked at before minutes of installing.
start:
	@port=$$($(PYTHON) port.py $(PORT)) || exit 2; \
	$(MAKE) --no-print-directory $(INSTALLED) $(STARTER) || exit 2; \
	exec $(BIN)/tuneboard webui --port $$port

$(STARTER):
	@echo "Step 3 of 3: the starter model SmolLM2-135M-Instruct (93 MB to download), about a minute."
	@$(BIN)/tuneboard starter || echo "The starter model could not be fetched now; the page offers it again."

# The files in the order of tests/conftest.py, not by their numbers of tests.
FILES := -n auto --dist loadfile --no-loadscope-reorder
test: $(TESTED) browser llama_cpp api_clients check
	$(BIN)/python -m pytest tests/backend $(FILES)
	$(BIN)/python -m pytest tests/failures tests/e2e -m 'not starter and not pictures' $(FILES)
	$(BIN)/python -m pytest tests/e2e -m 'starter and not nightly'

# What needs one core runs side by side, then the tests on all of them.
check: $(TESTED) $(NODE)
	@$(MAKE) --no-print-directory -j2 types lint
	$(BIN)/python -m pytest tests/unit tests/contract -n auto

types:
	$(BIN)/mypy

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	node_modules/.bin/tsc --project .
	node_modules/.bin/biome check --error-on-warnings app/browser
	$(BIN)/python -m backend.contract.reference check
	$(BIN)/python -m tests.architecture check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: $(TESTED)
	$(BIN)/python -m tests.bench start

browser: $(TESTED)
	@sh tests/install_browser.sh

# After the browser, whose script brings npm where it can.
llama_cpp: browser
	@sh tests/install_llama_cpp.sh

api_clients: $(TESTED)
	@sh tests/install_api_clients.sh

$(INSTALLED): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Step 1 of 3: PyTorch. On Linux about 3 GB to download with its CUDA libraries, elsewhere about 0.1 GB; a few minutes."
	$(BIN)/python -m pip install -c constraints.txt torch
	@echo "Step 2 of 3: everything else, about 0.3 GB to download; a minute or two."
	$(BIN)/python -m pip install -c constraints.txt -e '.[page,worker]'
	@touch $(INSTALLED)

# What tests and checks need beyond what the page needs.
$(TESTED): $(INSTALLED)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[page,worker,mcp,dev]'
	touch $(TESTED)

# What checks the page's scripts. Debian's packages are nodejs and npm.
$(NODE): package.json package-lock.json
	@command -v npm >/dev/null || { echo "make check needs Node.js with npm." >&2; exit 2; }
	npm ci --no-audit --no-fund
	@touch $(NODE)
