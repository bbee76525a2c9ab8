# Needs GNU make and Python 3.11 or newer. Every target makes the environment .venv first.
#
#   make test ARGS="-k prox -x"     options for the command
#   make test PYTHON=python3.12     the Python to make .venv with; the newest found if left out

PY := .venv/bin/python
PIP := $(PY) -m pip --quiet --disable-pip-version-check
PYTHONS := $(if $(PYTHON),"$(PYTHON)",python3.14 python3.13 python3.12 python3.11 python3 python)
USABLE := import sys, venv; from importlib.util import find_spec; \
    sys.exit(sys.version_info < (3, 11) or not (find_spec("ensurepip") or find_spec("pip")))
WHICH := import sys; print(sys.base_prefix, sys.version)

# Written last, so an interrupted installation starts again. Its name says what was installed where.
STAMP := .venv/complete-$(firstword $(shell { cat pyproject.toml Makefile; pwd; } | cksum))

# "renew" if .venv has no working Python, or another than the one asked for
RENEW := $(shell have=$$($(PY) -c '$(WHICH)' 2>/dev/null) && \
    { [ -z "$(PYTHON)" ] || [ "$$have" = "$$("$(PYTHON)" -c '$(WHICH)' 2>&1)" ]; } || echo renew)

# The toolkit for GPUs: cuda13, or cuda12 for drivers older than 580
CUDA := cuda13

.PHONY: help install demo demos test test-long test-cuda lint bench bench-cuda docs clean renew
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

install: $(STAMP) ## make .venv, with microreg (editable) and what demos and tests need

demo: $(STAMP) ## run the tour
	MPLBACKEND=Agg $(PY) demos/demo.py $(ARGS)
	MPLBACKEND=Agg $(PY) demos/lasso.py

demos: $(STAMP) ## run every demo
	set -e; for demo in demos/*.py; do MPLBACKEND=Agg $(PY) "$$demo"; done

test: $(STAMP) ## run the tests, except those marked long
	$(PY) -m pytest $(ARGS)

test-long: $(STAMP) ## run all tests
	$(PY) -m pytest -m "" $(ARGS)

test-cuda: $(STAMP)-$(CUDA) ## test kernels for GPUs, on one or without; CUDA=cuda12: other toolkit
	$(PY) -m pytest tests/cuda $(ARGS)

lint: $(STAMP)-lint ## check style and types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

bench: $(STAMP) ## run the benchmarks
	$(PY) tests/benchmarks/bench.py $(ARGS)

bench-cuda: $(STAMP)-$(CUDA) ## run the benchmarks of a GPU
	$(PY) tests/benchmarks/bench_cuda.py $(ARGS)

docs: $(STAMP)-docs ## build the documentation, docs/_build/index.html
	$(PY) -m sphinx -q -W --keep-going docs docs/_build

clean: ## remove .venv and everything else that can be made again
	rm -rf .venv build dist docs/_build .pytest_cache .hypothesis .ruff_cache .mypy_cache demos/output
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): $(RENEW)
	@set -e; \
	if [ -n "$(RENEW)" ] || ! ls .venv/complete-* >/dev/null 2>&1; then \
	    for python in $(PYTHONS); do "$$python" -c '$(USABLE)' 2>/dev/null && break; python=; done; \
	    if [ -z "$$python" ]; then \
	        echo "make: expected Python 3.11 or newer with venv and with pip or ensurepip, tried:" \
	            $(PYTHONS)"; install one (Debian: python3-venv) or name one: make PYTHON=..." >&2; \
	        exit 1; \
	    fi; \
	    echo "Making .venv with $$("$$python" -c 'import sys; print(sys.executable)');" \
	        "downloads about 150 MB"; \
	    rm -rf .venv; \
	    "$$python" -m venv --without-pip .venv; \
	    $(PY) -m ensurepip >/dev/null 2>&1 || \
	        "$$python" -m pip --quiet --python $(PY) install pip; \
	fi; \
	rm -f .venv/complete-*; \
	$(PIP) install "pip>=25.1"; \
	$(PIP) install --editable . --group test; \
	touch $@

$(STAMP)-lint: $(STAMP)
	$(PIP) install --group lint
	touch $@

$(STAMP)-docs: $(STAMP)
	$(PIP) install --group docs
	touch $@

$(STAMP)-$(CUDA): $(STAMP)
	$(PIP) install --editable ".[$(CUDA)]"
	rm -f $(STAMP)-cuda1[23]
	touch $@
