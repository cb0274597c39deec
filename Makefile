# Needs python3 with venv, and make. PYTHON and VENV may be set: make test PYTHON=python3.13
PYTHON ?= python3
VENV ?= .venv
EXTRAS ?= dev
BIN := $(VENV)/bin
# Two processes; a file's tests run in one of them, in their order.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile
ELSEWHERE := not tensorflow and not system
TESTS ?= -m "not slow and not shared and $(ELSEWHERE)"

.PHONY: demo test test-all lint bench peers clean

demo: $(VENV)/installed
	$(BIN)/edge-ssd detect demo/images demo/clip.mp4 --annotate demo-output
	@echo "The annotated pictures are in demo-output/"

test: $(VENV)/installed-$(EXTRAS)
	$(PYTEST) $(TESTS)

test-all: test
	$(PYTEST) -m "(slow or shared) and $(ELSEWHERE)"

lint: $(VENV)/installed-$(EXTRAS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/installed
	$(BIN)/edge-ssd bench --frames demo/clip.mp4 --threads 1

# Other software on the same clip and model; rewrites the table in docs/performance.md.
peers: $(VENV)/installed
	$(BIN)/python benchmarks/peers

clean:
	rm -rf $(VENV) demo-output

$(VENV)/bin/python:
	@echo "Setting up $(VENV); the first time takes a minute"
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/installed-$(EXTRAS): pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS)]'
	touch $@ $(VENV)/installed
