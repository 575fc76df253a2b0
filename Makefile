# Everything needs only make and a Python of 3.11 or later; what else is needed goes into .venv.
#   make demo   make test   make docs   make bench   make check-peers   make clean   make help
# BENCH="--work 'matmul*' --seconds 0.5" measures less (make bench BENCH=--help says what there is);
# PYTHON=python3.12 chooses the interpreter, VENV=path another environment, WORKERS=4 more test processes.

VENV ?= .venv
WORKERS ?= 2
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo "$$python"; exit; }; done; echo python3)

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
# A stamp is newer than pyproject.toml when what it names has been installed as declared there.
CREATED := $(VENV)/.created
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
BENCH_VENV ?= .venv-bench
INSTALLED_PEERS := $(BENCH_VENV)/.installed-peers

.DEFAULT_GOAL := help
.PHONY: help demo test lint docs bench check-peers clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile

demo: $(INSTALLED) ## train a classifier of handwritten digits in native code, and draw it
	@$(BIN)/graphc demo

test: lint ## ruff, mypy --strict and pytest
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

lint: $(INSTALLED_DEV) ## ruff and mypy --strict
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy --strict

docs: $(INSTALLED_DEV) ## write the generated pages and pictures of docs/
	@$(BIN)/python -m docs.generate_pipeline
	@$(BIN)/python -m docs.generate_pictures

bench: $(INSTALLED_PEERS) ## measure graphc beside its peers; tables go to build/benchmarks
	@$(BENCH_VENV)/bin/python -m benchmarks --warm $(BENCH)

check-peers: $(INSTALLED_PEERS) ## hold every op, layer, loss and optimiser to PyTorch's, with derivatives
	@$(BENCH_VENV)/bin/python -m tests.peers $(AREAS)
	@test -n "$(AREAS)" || $(BENCH_VENV)/bin/python -m tests.peers.complex_numbers
	@test -n "$(AREAS)" || $(BENCH_VENV)/bin/python -m tests.peers.ctc

$(INSTALLED_PEERS): pyproject.toml benchmarks/requirements.txt
	@$(MAKE) --no-print-directory VENV=$(BENCH_VENV) $(BENCH_VENV)/.installed
	@echo "installing the peers into $(BENCH_VENV), about 2 GB"
	@$(BENCH_VENV)/bin/python -m pip --quiet --disable-pip-version-check install \
		-r benchmarks/requirements.txt
	@touch $@

$(CREATED):
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "graphc needs Python 3.11 or later, but '$(PYTHON)' is" \
			"$$("$(PYTHON)" --version 2>/dev/null || echo missing);" \
			"name another: make PYTHON=python3.12 ..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "'$(PYTHON)' cannot make virtual environments: install its venv package" \
			"(on Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@echo "creating $(VENV) with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv --clear "$(VENV)"
	@touch $@

$(INSTALLED): $(CREATED) pyproject.toml
	@echo "installing graphc into $(VENV)"
	@$(PIP) install --editable .
	@touch $@

$(INSTALLED_DEV): $(CREATED) pyproject.toml
	@echo "installing graphc and its development tools into $(VENV)"
	@$(PIP) install --editable '.[dev,examples]'
	@touch $(INSTALLED) $@

clean: ## remove the virtual environment and everything that was generated
	rm -rf $(VENV) $(BENCH_VENV) build dist graphc.egg-info graphc-demo graphc-zoo .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
