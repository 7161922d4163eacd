# The two commands a newcomer needs are `make demo` and `make test`; each sets up what it needs by itself.

PYTHON ?= python3
BIN := .venv/bin
SCENARIO ?= scenarios/ps100_round_robin.toml

.PHONY: demo test test-linux-host linux-host lint unit bench bench-target fuzz conformance calibration lock peers clean help

help:
	@echo "make demo    run the PS100 walkthrough in virtual time"
	@echo "make test    lint and every test, with the real peers (libiscsi's tools, tgt, tshark) where they can be had"
	@echo "make test-linux-host  part of it: a Linux guest (open-iscsi, dm-multipath) on an array of its own"
	@echo "make lint    ruff, mypy --strict, import-linter"
	@echo "make bench   the benchmarks, as ratios; bench-target: the target beside istgt and tgt"
	@echo "make conformance  run libiscsi's suite and write docs/conformance.md"
	@echo "make calibration  the modeled Linux host beside the real one: docs/calibration.md"
	@echo "make fuzz    ten minutes of coverage-guided fuzzing (atheris)"
	@echo "make lock    pin the requirements anew"

demo: .venv/ready
	$(BIN)/mpiolab run $(SCENARIO)

# One after the other, also under make -j: the tests want the peers.
test: .venv/ready
	$(MAKE) peers
	$(MAKE) lint
	$(MAKE) unit
	$(MAKE) linux-host

unit: .venv/ready
	$(BIN)/python -m pytest -n 2 --dist worksteal -m 'not benchmark_ratio and not benchmark_target and not linux_host'

test-linux-host: .venv/ready
	$(MAKE) peers
	$(MAKE) linux-host

# One guest, its tests one after the other: what they wait for is mostly the host's timers.
linux-host: .venv/ready
	$(BIN)/python -m pytest -p no:xdist -m linux_host --durations=10 tests/linux_host

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fuzz: .venv/ready
	sh tools/fuzz.sh

bench-target: .venv/ready
	$(MAKE) peers
	$(BIN)/python -m pytest -p no:xdist -m benchmark_target -s tests/bench

bench: .venv/ready
	$(BIN)/python -m pytest -p no:xdist -m benchmark_ratio -s tests/bench

conformance: .venv/ready
	$(BIN)/python -m tests.interop.conformance_page

calibration: .venv/ready
	$(BIN)/python -m tests.calibration.page

peers:
	sh tools/peers.sh

lock:
	$(PYTHON) -m venv .venv/lock
	.venv/lock/bin/pip install -q uv
	.venv/lock/bin/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
	    --generate-hashes --no-emit-index-url --no-header -q -o requirements.lock
	.venv/lock/bin/uv pip compile tools/fuzz.in --universal --python-version 3.11 \
	    --generate-hashes --no-emit-index-url --no-header -q -o requirements-fuzz.lock

.venv/ready: requirements.lock pyproject.toml tools/setup.sh
	PYTHON=$(PYTHON) sh tools/setup.sh
	touch .venv/ready

clean:
	rm -rf .venv .fuzz .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache runs build
