# The two commands: 'make demo' and 'make test'. Each sets up the machine first, which takes a moment once everything is there.

# DATA=folder  pairs to import in place of simulated ones     SEED=n  of simulation and training
# OUT=folder   where the demo puts archive, model and pictures  STAGES="gcc asan ..."  part of the tests
# PREFIX=folder  of 'make install'
export DATA SEED OUT
PREFIX ?= /usr/local

# QUICK=1 and FRESH=1 of benchmarks: a short run; forget earlier rows
PYTHON ?= /usr/bin/python3
bench_flags = $(if $(QUICK),--quick) $(if $(FRESH),--fresh)

.PHONY: build demo test test-setup setup page docs install clean help bench-setup bench-encoder bench-archive bench-search bench-data bench-serve bench-scale

build: setup
	@scripts/build.sh release
	@echo "build: the program is build/diptych"

demo: build
	@scripts/demo.sh

test: test-setup
	@scripts/test.sh $(STAGES)

test-setup:
	@scripts/setup.sh tests/packages.txt
	@scripts/test-tools.sh

# The web page, whose built form is part of the source: needs npm.
page: test-setup
	@cd server/web && npm run --silent build

setup:
	@scripts/setup.sh

# docs/cli.md comes from the program's own option tables.
docs: build
	@build/diptych help --markdown >docs/cli.md.partial && mv docs/cli.md.partial docs/cli.md

bench-setup:
	@scripts/setup.sh bench/packages.txt

bench-encoder: build
	@$(PYTHON) bench/encoder.py $(bench_flags)

bench-archive: build
	@$(PYTHON) bench/archive.py $(bench_flags) $(if $(DATA),--data "$(DATA)")

bench-search: build
	@$(PYTHON) bench/search.py --data "$(or $(DATA),.)" $(if $(FRESH),--fresh)

bench-serve: build
	@$(PYTHON) bench/serve.py

bench-scale: build
	@$(PYTHON) bench/scale.py $(bench_flags) $(if $(SIZES),--sizes "$(SIZES)") $(if $(DATA),--folder "$(DATA)")

bench-data: build
	@bench/data.sh

install: build
	@cmake --install build --prefix "$(PREFIX)"

clean:
	@rm -rf build build-dev build-asan build-tsan build-clang build-fuzz

help:
	@echo "make demo      from nothing to pictures of cross-modal search: set up, build, train, index, query, evaluate"
	@echo "               DATA=folder of pairs to import, SEED=number, OUT=folder (default: demo)"
	@echo "make test      set up, then all tests: gcc, clang, sanitizers, fuzzing; STAGES=\"gcc\" for a part"
	@echo "make build     set up and build build/diptych and libdiptych.so (the default)"
	@echo "make install   into PREFIX=folder (default: /usr/local)"
	@echo "make setup     install missing packages, build FAISS once into the cache"
	@echo "make bench-encoder  training and encoding beside PyTorch and oneDNN into bench/results; QUICK=1, FRESH=1"
	@echo "make bench-archive  what import, storing and encoding cost; DATA=folder of data sets, QUICK=1, FRESH=1"
	@echo "make bench-search   search engines side by side on what bench-data made; DATA=folder, FRESH=1"
	@echo "make bench-serve    searches over HTTP beside the library's own, on a million tiles"
	@echo "make bench-scale    what an index costs from a million simulated vectors up; SIZES=n,n..., DATA=folder for the index, FRESH=1"
	@echo "make bench-data     vectors to measure indexes with, real descriptors and simulated embeddings, into OUT=folder"
	@echo "make bench-setup    install what the benchmarks compare with"
	@echo "make page      build the web page (server/web) anew into server/web/dist"
	@echo "make docs      write docs/cli.md from the program's option tables"
	@echo "make clean     remove the build folders"
