# Two commands make everything they need on a fresh clone: a virtual environment in .venv, and symgrad in it.
# They need Python 3.11 or newer, make, a C compiler, and the network for the first installation.

PYTHON ?= python3
# Not from the environment, where it could name something that `make clean` must not remove.
VENV := .venv

BIN := $(VENV)/bin
INSTALLED := $(VENV)/symgrad-installed

PEERS := $(VENV)/peers

.PHONY: help demo test soak coverage accuracy bench clean

help:
	@echo "make demo      fit a certified problem with a compiled gradient, and show each step"
	@echo "make test      style, types and tests"
	@echo "make soak      faults by the hundred: cold starts, kills, threads, forks; SOAK=\"--kills 300 --starts 2000 --minutes 20\""
	@echo "make coverage  how often 95 % intervals cover the truth, in 2,000 simulations (20 minutes)"
	@echo "make accuracy  measure symgrad beside its peers, and write docs/accuracy.md (installs several GB)"
	@echo "make bench     measure symgrad's speed beside its peers', and write docs/performance.md (the same installation)"
	@echo "make clean     remove the virtual environment and everything that was built"
	@echo "Another Python: make demo PYTHON=python3.12"

demo: $(INSTALLED)
	@$(BIN)/symgrad demo

test: $(INSTALLED)
	@echo "style (ruff)"
	@$(BIN)/ruff check .
	@echo "types (mypy)"
	@$(BIN)/mypy
	@echo "tests (pytest, two processes)"
	@$(BIN)/pytest -n 2 --dist loadfile

# A log is kept in soak.log; SOAK="--help" tells the counts.
soak: $(INSTALLED)
	@$(BIN)/python -m tests.soak $(SOAK)

coverage: $(INSTALLED)
	@$(BIN)/python -m benchmarks.coverage

accuracy: $(INSTALLED) $(PEERS)/installed
	@$(BIN)/python -m benchmarks.accuracy --peers "$(PEERS)/bin/python"

# BENCH="--quick" for a look, BENCH="--only gauss1 --output page.md" for one row.
bench: $(PEERS)/installed
	@$(PEERS)/bin/python -m benchmarks.performance $(BENCH)

# Peers have an environment of their own. Accuracy is measured with symgrad in the environment of the tests; speed, with
# symgrad in this one, so that all have the same interpreter and NumPy.
$(PEERS)/installed: pyproject.toml
	@$(PYTHON) -m venv "$(PEERS)"
	@echo "installing JAX, PyTorch, CasADi and others in $(PEERS) (several GB)"
	@"$(PEERS)/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".[bench]"
	@touch "$@"

# The stamp is as new as the last installation from this pyproject.toml.
$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "symgrad needs Python 3.11 or newer, and $(PYTHON) is %d.%d. Name another: make PYTHON=python3.12" % sys.version_info[:2])'
	@echo "making a virtual environment in $(VENV)"
	@$(PYTHON) -m venv "$(VENV)"
	@echo "installing symgrad and its tools there (about a minute)"
	@"$(BIN)/python" -m pip install --quiet --disable-pip-version-check --editable ".[test,scipy]"
	@touch "$@"

clean:
	rm -rf "$(VENV)" build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f generated/*.so generated/*.c
	find symgrad templates generated tests -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
