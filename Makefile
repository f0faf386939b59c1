# Two commands: make train, make test. Both make the environment first, if it is not there.
PYTHON ?= python3
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
RUN := $(CURDIR)/runs/alanine_dipeptide-$(shell date +%Y%m%d-%H%M%S)

.PHONY: train test docs wheel torture gpu clean

train: $(VENV)/installed
	@# for batches this small one thread is as fast as two, and other programs do not slow it down
	cd examples/alanine_dipeptide && OMP_NUM_THREADS=1 $(BIN)/python $(CURDIR)/scripts/train.py train.yaml -o $(RUN)

test: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@# a process for each core, and one thread for each
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile
	$(MAKE) docs

# docs/_build/index.html; a warning is an error
docs: $(VENV)/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build -b html -W --keep-going -q docs docs/_build

# dist/pyg_nnp-VERSION-py3-none-any.whl; files of an earlier build would get into it
wheel: $(VENV)/installed
	rm -rf build
	$(BIN)/pip wheel --quiet --no-deps -w dist .
	rm -rf build

# long: random stops, faults at every write, damaged and malicious files; prints what it found
torture: $(VENV)/installed-dev
	$(BIN)/python -m pytest tests/torture -s

# all that is to be checked on a GPU, in less than eight minutes; what it finds goes into gpu.json
gpu: $(VENV)/installed-dev
	$(BIN)/python benchmarks/gpu.py --json gpu.json

$(VENV)/installed: setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is too old: Python 3.11 or later is needed. Name one: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt -e .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev,docs,make]'
	touch $@

clean:
	rm -rf $(VENV) runs docs/_build docs/generated build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
