# Every target makes what it needs: python3 and make are enough. `make` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Stamps of what is installed: what running needs, and with it all that developing needs.
RUN := $(VENV)/.installed-run
DEV := $(VENV)/.installed-dev
DOCS := $(VENV)/.installed-docs
PACKAGING := $(VENV)/.installed-packaging
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
LOCK := $(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate
ARGS ?=
ARCHIVE ?= dist/vpplb-$(VERSION).oci.tar
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' operator/vpplb/__init__.py)

.DEFAULT_GOAL := help
.NOTPARALLEL:

.PHONY: help
help: ## List the targets.
	@echo 'make TARGET [ARGS="…"]'
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

.PHONY: demo
demo: $(RUN) ## Show the main job live, without a cluster (ARGS=--once ends by itself).
	@$(BIN)/vpplb demo $(ARGS)

.PHONY: test
test: $(DEV) ## Run every test that this machine can run (ARGS are pytest's).
	@PYTHONPATH=tests $(BIN)/python -m cluster.binaries
	@$(BIN)/pytest $(ARGS)

.PHONY: quick
quick: $(DEV) ## Run the unit, property and scenario tests, with a tenth of the examples.
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest -n auto --dist worksteal --hypothesis-profile=quick \
		-o faulthandler_timeout=60 tests/architecture tests/property tests/scenarios tests/unit $(ARGS)

.PHONY: check
check: format lint types imports ## All four checks below.

.PHONY: format
format: $(DEV) ## Check the formatting (make reformat mends it).
	@echo 'format: ruff format --check'
	@$(BIN)/ruff format --check .

.PHONY: reformat
reformat: $(DEV) ## Format, and mend what the linter can.
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

.PHONY: lint
lint: $(DEV) ## Check the style.
	@echo 'lint: ruff check'
	@$(BIN)/ruff check .

.PHONY: types
types: $(DEV) ## Check the types, of the tests too.
	@echo 'types: mypy'
	@$(BIN)/mypy operator tests benchmarks docs/writers charts/*.py

.PHONY: imports
imports: $(DEV) ## Check that imports go down the layers only.
	@echo 'imports: lint-imports'
	@$(BIN)/lint-imports

.PHONY: bench
bench: $(DEV) ## Measure the figures of benchmarks/ and print them.
	@PYTHONPATH=tests $(BIN)/python -m cluster.binaries
	@missed=0; for benchmark in benchmarks/bench_*.py; do \
		echo "== $$benchmark"; PYTHONPATH=tests $(BIN)/python $$benchmark $(ARGS) || missed=1; \
	done; exit $$missed

.PHONY: crds
crds: $(RUN) ## Write the CRDs, also those of the chart, from the models.
	@$(BIN)/vpplb crds --output crds
	@$(BIN)/vpplb crds --output charts/vpplb/files/crds

.PHONY: chart
chart: $(RUN) ## Write the chart's values, their schema and table, and its dashboards, from charts/*.py.
	@$(BIN)/python charts/write_values.py charts/vpplb
	@$(BIN)/python charts/write_dashboards.py charts/vpplb

.PHONY: golden
golden: $(DEV) ## Render the chart anew with the values of tests/data/chart.
	@PYTHONPATH=tests $(BIN)/python -m cluster.charts

.PHONY: version
version: ## Write the version of operator/vpplb/__init__.py into the chart, and print it.
	@sed -i -E 's/^(version|appVersion): .*/\1: $(VERSION)/' charts/vpplb/Chart.yaml
	@echo '$(VERSION)'

.PHONY: docs
docs: $(RUN) ## Write the pages that are made from the code: fields, conditions, commands, …
	@PYTHONPATH=docs $(BIN)/python -m writers docs

.PHONY: dashboard
dashboard: ## Build the dashboard's page from web/ (Node); it is committed, so using it needs no build.
	@cd web && npm ci --ignore-scripts --no-audit --no-fund >/dev/null && npm run --silent build

.PHONY: site
site: $(DOCS) ## Build the documentation into build/site; broken links and anchors are errors.
	@$(BIN)/sphinx-build --fail-on-warning --keep-going --nitpicky --quiet docs build/site
	@echo 'build/site/index.html'

.PHONY: lock
lock: $(DEV) ## Lock the newest versions that pyproject.toml allows (ARGS=--upgrade).
	@$(PIP) install uv
	@$(LOCK) $(ARGS) pyproject.toml -o requirements/run.txt
	@$(LOCK) $(ARGS) pyproject.toml --group dev -o requirements/dev.txt
	@$(LOCK) pyproject.toml --extra otel -c requirements/dev.txt -o requirements/traces.txt
	@$(LOCK) pyproject.toml --group docs -c requirements/dev.txt -o requirements/docs.txt
	@$(LOCK) pyproject.toml --group packaging -c requirements/dev.txt -o requirements/packaging.txt
	@$(LOCK) $(ARGS) --group image -o requirements/image.txt

.PHONY: packages
packages: $(PACKAGING) ## Build the sdist, and the wheel from it, into dist/.
	@rm -f dist/*.whl dist/*.tar.gz
	@$(BIN)/python -m build --outdir dist . >/dev/null
	@ls dist/*.whl dist/*.tar.gz

.PHONY: plugin-archive
plugin-archive: $(PACKAGING) ## Build the kubectl plugin with its own Python into dist/, for this machine.
	@$(BIN)/python packaging/plugin/build.py dist

.PHONY: krew-manifest
krew-manifest: ## Write krew's manifest of all the plugin's archives in dist/.
	@$(PYTHON) packaging/plugin/write_manifest.py dist

.PHONY: compiled-wheel
compiled-wheel: $(DEV) ## Build a wheel for this machine with probing compiled; needs a C compiler.
	@rm -f dist/*.whl
	@HATCH_BUILD_HOOK_ENABLE_CUSTOM=true $(BIN)/python -m build --wheel --outdir dist . >/dev/null
	@ls dist/*.whl

.PHONY: deb
deb: $(PACKAGING) ## Build the Debian package into dist/; needs debhelper.
	@command -v dh >/dev/null || { echo 'make deb needs debhelper: apt install debhelper' >&2; exit 1; }
	@packaging/deb/build dist

.PHONY: image
image: ## Make the image of all platforms as dist/vpplb-VERSION.oci.tar; needs buildah, skopeo (docs/image.md).
	@mkdir -p $(dir $(ARCHIVE))
	@packaging/image/build $(ARCHIVE) $(ARGS)

.PHONY: push
push: ## Push that image as it is (IMAGE=registry.example/vpplb); needs skopeo.
	@test -n '$(IMAGE)' || { echo 'make push needs IMAGE=registry.example/vpplb' >&2; exit 2; }
	@skopeo copy --quiet --all --preserve-digests $(ARGS) \
		oci-archive:$(ARCHIVE) docker://$(IMAGE):$(VERSION)
	@echo '$(IMAGE):$(VERSION)'

.PHONY: e2e-kind
e2e-kind: $(DEV) ## Run the tests of a whole cluster on kind; needs Docker.
	@docker info >/dev/null 2>&1 || { echo 'make e2e-kind needs a running Docker' >&2; exit 1; }
	@PYTHONPATH=tests $(BIN)/python -m cluster.binaries
	@VPPLB_TEST_CLUSTER=kind $(BIN)/pytest -m cluster $(ARGS)

.PHONY: clean
clean: ## Remove what was made here: the environment, caches, builds.
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache .pytest-kind
	find operator tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the environment ----------------------------------------------------------------------

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo \
		"vpplb needs Python 3.11 or newer, and $(PYTHON) is not; name another with PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo \
		'Python cannot make environments here; on Debian: apt install python3-venv' >&2; exit 1; }
	@echo 'making the environment $(VENV)'
	@$(PYTHON) -m venv $(VENV)

$(RUN): requirements/run.txt pyproject.toml | $(VENV)/pyvenv.cfg
	@echo 'installing what vpplb needs to run (half a minute)'
	@$(PIP) install --require-hashes -r requirements/run.txt
	@$(PIP) install --no-deps -e .
	@touch $@

$(DOCS): requirements/docs.txt pyproject.toml | $(VENV)/pyvenv.cfg
	@echo 'installing what the documentation needs (half a minute)'
	@$(PIP) install --require-hashes -r requirements/docs.txt
	@$(PIP) install --no-deps -e .
	@touch $(RUN) $@

$(PACKAGING): requirements/packaging.txt pyproject.toml | $(VENV)/pyvenv.cfg
	@echo 'installing what packages are made with (half a minute)'
	@$(PIP) install --require-hashes -r requirements/packaging.txt
	@$(PIP) install --no-deps -e .
	@touch $(RUN) $@

$(DEV): requirements/dev.txt requirements/run.txt pyproject.toml | $(VENV)/pyvenv.cfg
	@echo 'installing what testing and developing need (a minute)'
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@$(PIP) install --no-deps -e .
	@touch $(RUN) $(DOCS) $(PACKAGING) $@
