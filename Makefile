# make demo: see the main job done, in a sandbox of its own. make test: everything that CI runs.
.PHONY: demo test coverage lowest constraints soak mutants bench docs clean

demo:
	@scripts/bootstrap demo
	@.venv/bin/python scripts/demo

test:
	@scripts/bootstrap test
	@scripts/test

# The unit tests with the oldest dependencies that pyproject.toml allows; needs uv.
lowest:
	@scripts/lowest

# Which lines the unit, git and simulator tests run, in this process and in those that they start.
coverage:
	@scripts/bootstrap test
	@.venv/bin/python -m coverage erase
	@.venv/bin/python -m coverage run -m pytest -q tests/unit tests/git tests/sim
	@.venv/bin/python -m coverage combine --quiet
	@.venv/bin/python -m coverage report

# The locked development environment, made again from pyproject.toml; needs uv.
constraints:
	@uv pip compile --quiet pyproject.toml --all-extras --group dev --universal --python-version 3.10 --upgrade --no-annotate --no-header --no-emit-index-url --no-emit-find-links -o constraints.txt

docs:
	@scripts/bootstrap test
	@NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict
	@echo "to read it, open $(CURDIR)/site/index.html"

# Each patch of tests/mutants removes one safety mechanism; a test must fail for every one.
mutants:
	@scripts/bootstrap test
	@.venv/bin/python scripts/mutants

# Every kill point, every cut of a fetch, TRUNKLINE_SOAK runs of the state machine, every verdict against a fresh clone: two hours or so.
soak:
	@scripts/bootstrap test
	@TRUNKLINE_SOAK=$${TRUNKLINE_SOAK:-2000} .venv/bin/python -m pytest -n 2 tests/e2e/test_kill.py tests/e2e/test_undo.py tests/git/test_state_machine.py tests/git/test_land_races.py tests/git/test_killed_verbs.py tests/git/test_verb_machine.py tests/git/test_paused_reach.py tests/git/test_paused_verbs.py tests/git/test_interrupted_fetch.py tests/verdicts tests/git/test_checkout.py tests/replay
	@.venv/bin/python scripts/mutants

# Every bench, one after the other, then docs/benchmarks.md; half an hour or so on an idle machine. Peers that are on
# PATH are timed, too (tests/bench/restack.py names them). `scripts/bench --quick` only proves that the benches run.
bench:
	@scripts/bootstrap test
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --group bench
	@.venv/bin/python scripts/bench

clean:
	rm -rf site .venv .nox .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# --- Chaining tasks -------------------------------------------------------------------------------------------------
# Every task is idempotent and has an exit code of its own, so a chain can be run again: what is done stays done.
# examples/kv-pool/Makefile chains the single steps; here the whole, one entry after the other:
#
#   land-519: ; invoke rebase --pr 519 --yes
#   land-520: land-519 ; invoke rebase --pr 520 --yes
