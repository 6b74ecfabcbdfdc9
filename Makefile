# everything runs in a virtual environment of its own, made on first use
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
EMULATOR = .venv-bigquery-emulator

.PHONY: help setup setup-dev setup-dashboard demo dashboard test pytest fuzz system browser postgres emulator \
	screenshots lint format cassettes check-bigquery benchmarks docs wheel verified-source clean

help:              ## what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 20

setup: $(VENV)/ready            ## the virtual environment, with what the pipeline needs
setup-dev: $(VENV)/ready-dev    ## the same, with what the tests need

$(VENV)/ready: requirements.txt requirements-pipeline.txt requirements-server.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -r requirements.txt
	@# keeps a token written into the committed placeholder out of commits
	@git update-index --skip-worktree .dlt/secrets.toml 2>/dev/null || true
	@touch $@

$(VENV)/ready-dev: requirements-dev.txt requirements-dashboard.txt $(VENV)/ready
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	@touch $@

setup-dashboard: $(VENV)/ready-dashboard  ## the same, with what the dashboard needs

$(VENV)/ready-dashboard: requirements-dashboard.txt $(VENV)/ready
	$(BIN)/python -m pip install --quiet -r requirements-dashboard.txt
	@touch $@

demo: setup        ## load a made-up workspace through real HTTP into DuckDB
	$(BIN)/python pivotal_tracker_pipeline.py --sample

dashboard: setup-dashboard  ## what was loaded, in the browser
	$(BIN)/python -m tracker_dashboard.cli

test:              ## lint and every test, with the set-up that they need
	@$(MAKE) --no-print-directory -j system setup-dev emulator
	@$(MAKE) --no-print-directory -j lint pytest

pytest: setup-dev  ## every test that can run here
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

EXAMPLES ?= 1000
fuzz: setup-dev    ## random edits, runs and faults, EXAMPLES sequences of them
	FUZZ_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -q -p no:cacheprovider tests/test_fuzz.py

system:            # one after the other, as apt-get runs once at a time
	@$(MAKE) --no-print-directory browser
	@$(MAKE) --no-print-directory postgres

browser:           ## what the tests of the dashboard drive, installed if root may, else named
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || { \
		test "$$(id -u)" = 0 && command -v apt-get >/dev/null && \
		apt-get update -q >/dev/null && apt-get install -qy chromium >/dev/null; } || \
		echo "Chromium is missing: the tests of the dashboard in a browser are skipped"

postgres:          ## the server that tests load into, installed if root may, else named
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || { \
		test "$$(id -u)" = 0 && command -v apt-get >/dev/null && \
		apt-get update -q >/dev/null && apt-get install -qy postgresql >/dev/null; } || \
		echo "Postgres is missing: the tests that load into it are skipped"

emulator: $(EMULATOR)/ready     ## the BigQuery that tests load into, or why there is none

$(EMULATOR)/ready: requirements-bigquery-emulator.txt
	@$(PYTHON) -m venv $(EMULATOR) && \
		$(EMULATOR)/bin/python -m pip install --quiet --no-compile -r $< && touch $@ || \
		echo "The emulator of BigQuery is missing: the tests that load into it are skipped"

screenshots: setup-dev browser  ## all pages of the dashboard in all widths, and the README's pictures
	SCREENSHOTS=build/screenshots $(BIN)/python -m pytest tests/test_dashboard.py -k screenshots

lint: setup-dev    ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup-dev  ## put everything into the project's form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

cassettes: setup-dev  ## record tests/cassettes anew from tracker_server
	$(BIN)/python -m tests.record_cassettes

check-bigquery: setup-dev  ## load into BigQuery for real, into a dataset that is dropped again
	$(BIN)/python -m tests.check_bigquery

benchmarks: setup-dev  ## against dlt's generic source and against the floor
	$(BIN)/python -m benchmarks

docs: setup-dev    ## docs/tables.md and docs/options.md, from the code
	$(BIN)/python -m docs.generate

wheel: setup-dev    ## dist/*.whl, for pip install
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

DIR ?= verified-sources
verified-source:   ## DIR, from which `dlt init pivotal_tracker bigquery --location DIR` takes the source
	mkdir -p $(DIR)/sources
	rm -rf $(DIR)/sources/pivotal_tracker
	cp -r pivotal_tracker $(DIR)/sources/
	find $(DIR)/sources -name __pycache__ -prune -exec rm -r {} +
	cp examples/verified_source_pipeline.py $(DIR)/sources/pivotal_tracker_pipeline.py
	@# dlt clones it, and looks at each file's last commit
	git -C $(DIR) init --quiet --initial-branch main
	git -C $(DIR) add sources
	git -C $(DIR) -c user.name=pivotal_tracker -c user.email=pivotal_tracker@localhost \
		commit --quiet --allow-empty --message "pivotal_tracker as it is now"

clean:             ## what was made here, but not what was loaded
	rm -rf $(VENV) $(EMULATOR) .mypy_cache .pytest_cache .ruff_cache .hypothesis
