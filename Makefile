# everything runs in a virtual environment of its own, made on first use
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
EMULATOR = .venv-bigquery-emulator
DOCS = .venv-docs
# every process of the tests would compile the code anew
export PYTHONDONTWRITEBYTECODE =

.PHONY: help setup setup-dev setup-dashboard demo dashboard test pytest test-integrations fuzz system emulator orchestrator screenshots lint format \
	cassettes check-bigquery benchmarks docs setup-docs site dist check-wheel check-sdist check-version \
	lowest verified-source clean

help:              ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 20

# names each package as pip collects it; bash, since in sh a pipe hides that pip failed
INSTALL = bash -o pipefail -c '"$$@" | { grep --line-buffered -oE "^(Collecting [A-Za-z0-9._-]+|Installing)" || true; }' \
	install $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off

setup: $(VENV)/ready            ## create the virtual environment, with what the command needs
setup-dev: $(VENV)/ready-dev    ## the same, with what the tests need

$(VENV)/ready: pyproject.toml
	@echo "Creating the virtual environment $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	@echo "Installing dlt, DuckDB and what they need (some 60 packages, about a minute)"
	@$(INSTALL) -e ".[server]"
	@# keeps a token written into the committed placeholder out of commits
	@git update-index --skip-worktree .dlt/secrets.toml 2>/dev/null || true
	@touch $@

$(VENV)/ready-dev: $(VENV)/ready
	@echo "Installing what the tests need"
	@$(INSTALL) -e . --group dev
	@touch $@

setup-dashboard: $(VENV)/ready-dashboard  ## the same, with what the dashboard needs

$(VENV)/ready-dashboard: $(VENV)/ready
	@echo "Installing what the dashboard needs"
	@$(INSTALL) -e ".[server,dashboard]"
	@touch $@

demo: setup        ## load a sample workspace into DuckDB, over HTTP
	@echo "Loading the sample workspace"
	@$(BIN)/pivotal-tracker --sample

dashboard: setup-dashboard  ## open the dashboard in the browser
	$(BIN)/pivotal-tracker-dashboard

test: setup-dev    ## lint, and run the tests that need only Python
	@$(MAKE) --no-print-directory -j lint pytest

PYTEST = $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder
pytest: setup-dev  ## run the tests alone
	$(PYTEST) -m "not integration"

test-integrations: ## run the tests with a browser, Postgres, dbt and other programs; `make system` first
	@$(MAKE) --no-print-directory -j setup-dev emulator setup-docs
	$(PYTEST) -m integration

EXAMPLES ?= 1000
fuzz: setup-dev    ## test EXAMPLES random sequences of edits, runs and faults
	FUZZ_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -q -s -p no:cacheprovider tests/extract/test_fuzz.py \
		tests/extract/test_byte_fuzz.py tests/extract/test_incremental_loading.py::TestRandomChanges \
		tests/extract/test_litetracker.py::TestLiteTrackerChanges

system:            ## install what `make test-integrations` needs beside Python, with apt-get: Chromium and Postgres
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || { $(APT) chromium; } || \
		echo "Chromium is missing: the tests of the dashboard in a browser are skipped"
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || { $(APT) postgresql; } || \
		echo "Postgres is missing: the tests that load into it are skipped"

# as root, or with sudo where it asks for no password
APT = $(SUDO) apt-get update -q >/dev/null && $(SUDO) apt-get install -qy >/dev/null
SUDO = $$(test "$$(id -u)" = 0 || echo sudo -n)

emulator: $(EMULATOR)/ready     ## install the BigQuery emulator for the tests, or say why that is not possible

$(EMULATOR)/ready: pyproject.toml
	@$(PYTHON) -m venv $(EMULATOR) && \
		$(EMULATOR)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1" && \
		$(EMULATOR)/bin/python -m pip install --quiet --no-compile --group emulator && touch $@ || \
		echo "The emulator of BigQuery is missing: the tests that load into it are skipped"

NAME ?= prefect
orchestrator:      ## run the example for NAME (airflow, dagster, prefect) in an environment of its own
	$(PYTHON) -m venv build/$(NAME)
	build/$(NAME)/bin/python -m pip install --quiet --disable-pip-version-check uv
	@# pip takes most of an hour to find releases that go together with Airflow
	build/$(NAME)/bin/uv pip install --quiet --python build/$(NAME)/bin/python -e ".[server]" --group $(NAME)
	build/$(NAME)/bin/python -m pytest tests/project/test_orchestrators.py -k $(NAME) | tee build/$(NAME).txt
	@# skipped is not passed
	@grep -q "1 passed" build/$(NAME).txt

screenshots: setup-dev system  ## take screenshots of all pages in all widths, and the README's pictures
	SCREENSHOTS=build/screenshots $(BIN)/python -m pytest tests/dashboard/test_screenshots.py

lint: setup-dev    ## run ruff, mypy, codespell and the checks of the workflows, as in .pre-commit-config.yaml
	$(BIN)/pre-commit run --all-files

format: setup-dev  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

cassettes: setup-dev  ## record tests/support/cassettes again from tracker_server
	$(BIN)/python -m tests.support.record_cassettes

check-bigquery: setup-dev  ## load into the real BigQuery, into a dataset that is dropped again
	$(BIN)/python -m tests.support.check_bigquery

benchmarks: setup-dev  ## compare with dlt's generic source and a lower bound
	$(BIN)/python -m benchmarks

docs: setup-dev    ## generate what follows from the code in docs/ and dbt/, and the notebook's results
	$(BIN)/python -m docs.generate

setup-docs: $(DOCS)/ready       ## create the environment that builds the site and runs dbt

$(DOCS)/ready: pyproject.toml
	@$(PYTHON) -m venv $(DOCS) && \
		$(DOCS)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1" && \
		$(DOCS)/bin/python -m pip install --quiet --no-compile --group docs && touch $@ || \
		echo "$(DOCS) is missing: the tests of the site, dbt and the MCP server are skipped"

site: setup-docs   ## build the documentation site in site/
	$(DOCS)/bin/mkdocs build --strict

dist:              ## dist/: the sdist and the wheel built from it, checked as PyPI would
	rm -rf dist && $(PYTHON) -m venv build/release
	build/release/bin/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	build/release/bin/python -m pip install --quiet --disable-pip-version-check --group release
	build/release/bin/python -m build --outdir dist .
	build/release/bin/twine check --strict dist/*

check-wheel:       ## install the wheel in dist/ into a new environment, and run its commands
	rm -rf build/wheel && $(PYTHON) -m venv build/wheel/venv
	build/wheel/venv/bin/python -m pip install --quiet --disable-pip-version-check "$$(echo dist/*.whl)[server]"
	cd build/wheel && DLT_DATA_DIR=dlt venv/bin/pivotal-tracker --sample
	cd build/wheel && venv/bin/pivotal-tracker --version && venv/bin/pivotal-tracker-server --help >/dev/null

check-sdist:       ## unpack the sdist in dist/ and run all of its tests
	rm -rf build/sdist && mkdir -p build/sdist
	tar xzf dist/*.tar.gz -C build/sdist --strip-components 1
	cd build/sdist && $(MAKE) setup-dev && $(MAKE) pytest

TAG ?= v$(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' pivotal_tracker/__init__.py)
check-version:     ## whether dist/ can be released as TAG
	@ls dist/*-$(TAG:v%=%).tar.gz dist/*-$(TAG:v%=%)-*.whl 2>/dev/null || \
		{ echo "dist/ has another version than $(TAG:v%=%): see __version__ in pivotal_tracker/__init__.py"; exit 1; }
	@grep -F "## [$(TAG:v%=%)] - " CHANGELOG.md || \
		{ echo "CHANGELOG.md has no section [$(TAG:v%=%)] with a date: add it"; exit 1; }
	@tar xzOf dist/*.tar.gz pivotal_tracker_pipeline-$(TAG:v%=%)/PKG-INFO | grep "^Project-URL: Homepage" || \
		{ echo "The links lead nowhere: set REPOSITORY_URL to the repository's address and run make dist"; exit 1; }

lowest:            ## run the main tests with the lowest release of each direct dependency
	$(PYTHON) -m venv build/lowest
	build/lowest/bin/python -m pip install --quiet --disable-pip-version-check uv
	build/lowest/bin/uv pip install --quiet --python build/lowest/bin/python --resolution lowest-direct \
		-e ".[server,xlsx]" --group platforms
	build/lowest/bin/python -m pytest tests/platforms tests/extract/test_load.py tests/extract/test_incremental_loading.py \
		tests/archive/test_archive.py

DIR ?= verified-sources
verified-source:   ## write the source to DIR, for `dlt init pivotal_tracker bigquery --location DIR`
	mkdir -p $(DIR)/sources
	rm -rf $(DIR)/sources/pivotal_tracker
	cp -r pivotal_tracker $(DIR)/sources/
	find $(DIR)/sources -name __pycache__ -prune -exec rm -r {} +
	cp examples/verified_source_pipeline.py $(DIR)/sources/pivotal_tracker_pipeline.py
	@# dlt clones it, and looks at each file's last commit
	git -C $(DIR) init --quiet --initial-branch main
	git -C $(DIR) add sources
	git -C $(DIR) -c user.name=pivotal_tracker -c user.email=pivotal_tracker@localhost \
		commit --quiet --allow-empty --message "Copy pivotal_tracker"

clean:             ## delete what make has built, but no loaded data
	rm -rf $(VENV) $(EMULATOR) $(DOCS) build dist site dbt/target dbt/logs .mypy_cache .pytest_cache .ruff_cache \
		.hypothesis
