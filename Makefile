# The two promises: `make up` runs the exchange, `make test` passes the tests, each on a machine that
# has Python 3.11 or newer, git and make. Everything is installed into this folder.

PYTHON ?= python3
UV_VERSION := 0.13.9
UV := .tools/bin/uv
RUN := .venv/bin
PAGES := src/ringfence/exchange/gateway/pages

.PHONY: up test test-all check sbom audit install warm clients bitcoind mpc anvil age web axe clean

# make up UP="--port 9000 --no-bots": options of `ringfence up`. It says itself when it has to compile.
up: install mpc anvil age web
	@exec $(RUN)/ringfence up $(UP)

test: warm clients mpc anvil age web axe
	$(RUN)/pytest -q -n 3 --dist loadfile --no-loadscope-reorder --durations=40

# Before a release: with what takes a whole exchange half a minute or more each, three quarters of an hour in all.
test-all: warm clients mpc anvil age web axe
	$(RUN)/pytest -q -m "" -n 2 --dist loadfile --no-loadscope-reorder --durations=40

# Clients that others wrote, for tests/conformance, each in an environment of its own.
clients: install
	@sh tests/conformance/clients/install $(UV) .venvs

# The engine of threshold keys, in Rust; without a compiler for it, custody goes on with multi-signature Bitcoin alone.
mpc: install
	@sh mpc-engine/build $(RUN)

# An Ethereum development chain, from its npm package.
anvil: deploy/local/anvil/node_modules/.package-lock.json

deploy/local/anvil/node_modules/.package-lock.json: deploy/local/anvil/package-lock.json
	@npm ci --prefix deploy/local/anvil --ignore-scripts --no-audit --no-fund --silent \
		|| echo "No Ethereum node was installed: it needs npm; what wants one is left out."
	@touch -c $@

# What seals reports of holes, from its npm package into the public pages.
age: $(PAGES)/public/vendor/age.js

$(PAGES)/public/vendor/age.js: deploy/local/age/package-lock.json deploy/local/age/package.json deploy/local/age/entry.js
	@sh deploy/local/age/build

# What looks at the public pages as people do who cannot see them well: for tests/browser alone.
axe: tests/browser/node_modules/.package-lock.json

tests/browser/node_modules/.package-lock.json: tests/browser/package-lock.json
	@npm ci --prefix tests/browser --ignore-scripts --no-audit --no-fund --silent \
		|| echo "axe-core was not installed: it needs npm; tests of accessibility are left out."
	@touch -c $@

# The trade page, in TypeScript, into the gateway's folder; the custody console's pages into the console's.
web: $(PAGES)/trade/index.html

$(PAGES)/trade/index.html: $(shell find web -type f -not -path 'web/node_modules/*')
	@sh web/build

# Bitcoin Core's own node, to hold the embedded one against: half an hour, once; kept in the user's cache.
bitcoind: install
	@sh deploy/local/build-bitcoind $(RUN)/python \
		$$($(RUN)/python -c 'from importlib.metadata import version; print(version("py-bitcoinkernel"))')

check: install
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports
	@if [ -d web/node_modules ]; then npm run --prefix web --silent check; fi

# What the exchange is made of, as CycloneDX, from the lock files alone.
sbom: install
	@$(RUN)/python deploy/supply/sbom.py

# What is known against it. Needs the network; a database that was not reached is no pass, and it says so (status 2).
audit: install
	@$(RUN)/python deploy/supply/audit.py --uv $(UV)

install: .venv/.installed

# The engine's machine code is compiled here, with a line that says so, not at the first order.
warm: install
	@$(RUN)/ringfence warm

.venv/.installed: pyproject.toml uv.lock deploy/local/packages | $(UV)
	@sh deploy/local/install-packages || echo "Going on without them."
	$(UV) sync --frozen
	@$(RUN)/ringfence warm
	@touch $@

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Ringfence needs Python 3.11 or newer; $$($(PYTHON) --version) was found. Set PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || sh deploy/local/install-packages || \
		{ echo "Nothing was installed: Python's venv module is missing (Debian package python3-venv)."; exit 1; }
	$(PYTHON) -m venv .tools
	.tools/bin/pip install --quiet uv==$(UV_VERSION)

clean:
	rm -rf .venv .venvs .tools var mpc-engine/target web/node_modules tests/browser/node_modules $(PAGES)/trade $(PAGES)/public/vendor src/ringfence/console/page
