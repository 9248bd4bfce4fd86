# Two commands matter: `make demo` and `make test`. Both create the environment on first use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BASE := $(VENV)/.base
STAMP := $(VENV)/.installed
EXPORTS := .venv-exports

.PHONY: demo test test-long first-hour test-exports test-wheel soak lint format bench reproduce docs notebooks made clean

$(BASE): pyproject.toml requirements.lock tools/install.py
	$(PYTHON) tools/install.py $(VENV) base
	@touch $@

$(STAMP): pyproject.toml requirements.lock tools/install.py
	$(PYTHON) tools/install.py $(VENV) dev
	@touch $(BASE) $@

# The library alone; `make test` adds what is needed to run everything.
demo: $(BASE)
	@$(BIN)/nearfar demo

test: $(STAMP) lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

# Trainings that take longer than ten minutes allow, until what they promise shows. Minutes on two cores.
test-long: $(STAMP)
	$(BIN)/python -m pytest -n 2 -m long

# Exports opened by the real libraries, in an environment of their own: torchvision, timm, transformers and onnxruntime
# with the newest torch, about 6 GB on disk where pip's torch is the CUDA build.
$(EXPORTS)/.installed: tools/exports.txt
	$(PYTHON) -m venv $(EXPORTS)
	$(EXPORTS)/bin/python -m pip --disable-pip-version-check install --quiet -r tools/exports.txt
	@touch $@

test-exports: $(STAMP) $(EXPORTS)/.installed
	rm -rf $(EXPORTS)/exports
	$(BIN)/python tools/exports.py write $(EXPORTS)/exports
	$(EXPORTS)/bin/python tools/exports.py open $(EXPORTS)/exports

# The first hour of six kinds of new users, every command as they would type it, on files as they have them.
# make first-hour ONLY="photos texts"
first-hour: $(STAMP)
	$(BIN)/python -m tests.first_hour $(ONLY)

# The wheel built and used as people get it: in a fresh environment with what it asks for, away from the checkout.
test-wheel: $(STAMP)
	$(BIN)/python tools/wheel.py

# Every promise of docs/robustness.md measured again, about half an hour on two cores. make soak ONLY="kills fuzz"
soak: $(STAMP)
	$(BIN)/python -m soak $(ONLY)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# One benchmark by name: make bench ONLY=losses
bench: $(STAMP)
	$(BIN)/python benchmarks/run.py $(ONLY)

# Every reproduction, written beside the code: minutes to hours. make reproduce ONLY="relic simcse"
reproduce: $(STAMP)
	$(BIN)/nearfar reproduce $(or $(ONLY),--all) --out nearfar/reproductions/results

# The generated pages from what was measured, then the site in build/docs; a warning is an error, nothing is fetched.
docs: $(STAMP)
	$(BIN)/python tools/results_table.py
	$(BIN)/python tools/taxonomy_table.py
	$(BIN)/python tools/performance_table.py
	$(BIN)/python tools/computed.py
	$(BIN)/python tools/families.py
	$(BIN)/python -m sphinx --builder html --fail-on-warning --keep-going --quiet docs build/docs
	@echo build/docs/index.html

# The notebooks, run from the first cell to the last, with what they print.
notebooks: $(STAMP)
	$(BIN)/python tools/notebooks.py $(ONLY)

# What generating systems make, by the commands that the page shows; a few minutes each. make made ONLY="ccpl zecon"
made: $(STAMP)
	$(BIN)/python tools/made.py $(ONLY)

clean:
	rm -rf $(VENV) $(EXPORTS) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
