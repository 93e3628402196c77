# `make demo` and `make test` install what is missing first; see `make help`.

.PHONY: help setup demo test lint bench builtin

CARGO := cargo
DEMO  := eval/samples/gsm8k-faithful-cot.jsonl.gz
SAY   := @printf '\n== %s\n'

help: ## List the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 8

setup: ## Install what building needs (Debian, Ubuntu) and the Rust toolchain
	@sh .ci/setup

demo: setup ## Build, then choose among real recorded samples of 102 GSM8K problems
	$(SAY) "Building rerank. The first build compiles llama.cpp, wasmtime and a Python interpreter: about 20 minutes on 2 cores."
	$(CARGO) build --release
	$(SAY) "One problem: four recorded chains of thought of code-davinci-002 and gpt-3.5-turbo, each checked by a program of the same model."
	@./target/release/rerank solve --replay $(DEMO) "$$(cat eval/samples/question.txt)"
	$(SAY) "102 problems of GSM8K, each with four recorded chains of thought and four programs."
	@./target/release/rerank eval gsm8k --replay $(DEMO)
	$(SAY) "The built-in models, offline: 16 chains of thought, a program for each, verdicts and scores."
	@./target/release/rerank solve "$$(cat models/builtin/question.txt)"

test: lint ## Format check, clippy, all tests
	$(SAY) "Testing. Parts that need ../shared/data are skipped, and say so, where it is absent."
	@test -d ../shared/data || echo "../shared/data is not there: tests on whole benchmarks are skipped."
	$(CARGO) test --release

lint: setup ## Format check and clippy, warnings as errors
	$(SAY) "Checking format."
	$(CARGO) fmt --check
	$(CARGO) fmt --check --manifest-path sandbox/Cargo.toml
	$(SAY) "Linting. The first build compiles llama.cpp, wasmtime and a Python interpreter: about 20 minutes on 2 cores."
	$(CARGO) clippy --release --all-targets -- -D warnings

builtin: setup ## Train the built-in models from random weights: 100 minutes on 2 cores
	$(CARGO) build --release
	./target/release/rerank builtin models/builtin/recipe.toml --out target/builtin --into models/builtin
	$(CARGO) build --release

bench: setup ## Measure speed beside CPython and monty (on an idle machine); eval/ has scripts for the other peers
	@target/monty/bin/python -c 'import pydantic_monty' 2>/dev/null || \
		(python3 -m venv target/monty && target/monty/bin/pip install -q pydantic-monty==1.4.0) || \
		echo "monty cannot be installed: its line is left out."
	RERANK_MONTY=target/monty/bin/python $(CARGO) bench --bench answer --bench sandbox --bench sampling --bench train
