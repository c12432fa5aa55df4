# Each target is a line or two that a person could type. See README.md.
.PHONY: run test check lint bench long mutations reference demo setup
BIN := .venv/bin
# A worker for each core, four at most. ARGS="-n0" runs everything in this one process.
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

run:            ## Everything from a bare Debian 12 to a served address, in development mode.
	@scripts/environment run
	@$(BIN)/litevps serve --development $(ARGS)

test: setup lint  ## The whole suite, on a real PostgreSQL and a real guest.
	$(PYTEST) $(ARGS)

check: setup lint ## What is quick: the rules and the tests that boot no guest.
	$(PYTEST) -m "not slow and not host" $(ARGS)

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup    ## Everything measured beside a floor of this machine, and docs/reference/benchmarks.md written.
	$(BIN)/python -m tests.bench $(ARGS)

long: setup     ## The whole suite, with its properties tried on many more cases.
	LITEVPS_LONG=1 $(PYTEST) $(ARGS)

mutations: setup ## Each protection of the money taken out in a copy: a test must notice.
	$(BIN)/python -m tests.mutations $(ARGS)

reference:      ## The pages that are made from the code, written anew.
	$(BIN)/python -m api.http.openapi.reference > docs/reference/http.md.new && mv docs/reference/http.md.new docs/reference/http.md
	$(BIN)/python -m api.workers.steps.reference > docs/reference/steps.md.new && mv docs/reference/steps.md.new docs/reference/steps.md

demo:           ## The quick start against a running service, each request and answer shown.
	@scripts/environment run
	@$(BIN)/litevps demo $(ARGS)

setup:
	@scripts/environment test
