# Every target is one call of a documented command: `make -n TARGET` shows it, and it runs from a notebook as well.

NET ?= smnist
NETS ?=
LANES ?= 8
BLOCK ?= 1
EVENTS ?= 1
PRODUCTS ?= 1
GRADED ?=
DIGITS ?=
DATA ?=
STALLS ?=
EPOCHS ?= 20
RECIPE ?=
STUDY ?=
TRACE ?= 1
REPORTS ?=
CHIP ?=
COUNTERS ?=
LISTS ?=
LINK ?=
INPUT ?=
DEVICE ?= ecp5-85k
BOARD ?=
TIMESTEPS ?= 16
SEEDS ?= 8
BUDGET ?= --multipliers 156 --block-rams 208
JOBS ?= 2
PYTHON ?= python3
CLOCK ?= 100
PLACER ?=
ROUTER ?=
MULTIPLIERS ?=
FLOORPLAN ?=
FIT ?=
CYCLES ?=
SEQUENCES ?= 1
PORT ?=
CUT ?=
PROOF ?=
CORES ?= 24
COUNT ?= 100000
SEED ?= 0
N ?= 100
ESTIMATE ?=
LIBERTY ?=
SRAM ?=
ABLATE ?=
OUT ?= build/$(NAME)

# A network in a folder is called by the folder's path: others may have the same last name.
NAME = $(subst /,-,$(patsubst build/%,%,$(NET:/=)))
COMMA = ,
RUN = .venv/bin/python
DMP = $(RUN) -m dmp_core
SHAPE = $(if $(FIT),--fit,--lanes $(LANES) --block $(BLOCK) --events-per-cycle $(EVENTS) --products-per-cycle $(PRODUCTS)$(if $(GRADED), --graded $(GRADED))$(if $(REPORTS), --reports))$(if $(CHIP), --hold-operands --segment-words 256)$(if $(COUNTERS), --counters $(COUNTERS))$(if $(LISTS), --list-buffers $(LISTS))$(if $(LINK), --link-items $(LINK))$(if $(INPUT), --input-items $(INPUT))$(if $(ABLATE), $(addprefix --ablate ,$(ABLATE)))
CORE = "$(NET)" $(SHAPE) --out "$(OUT)"
INSTALL = .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable

# Bash becomes the command that it runs, so that what ends make ends the command. Dash does not.
SHELL := $(or $(shell command -v bash),/bin/sh)

.NOTPARALLEL: # a target's commands come one after another, and pytest has --numprocesses

.PHONY: help setup checked demo test test-long formal soak fuzz coverage mutants lint train accuracy export rtl sim chain timeline waves host docs bench-testset bench study fit synth-check synth energy uart-sim netlist package clean clean-all

help: ## Show the targets and the variables
	@echo "make demo generates a core for a shipped network and proves it on real digits."
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16
	@echo
	@echo "Variables: NET=$(NET) (a shipped network, or a folder) LANES=$(LANES) DIGITS=$(DIGITS) (sequences) OUT=$(OUT) STALLS=$(STALLS) (a seed)"
	@echo "           NETS=\"$(NETS)\" (of make chain: the folders that dmp split stored, in their order)"
	@echo "           BLOCK=$(BLOCK) (timesteps at once: 1, 2, 4, 8, 16) EVENTS=$(EVENTS) (a cycle: 1, 2, 4) PRODUCTS=$(PRODUCTS) (a lane, cycle and timestep: 1 to 8)"
	@echo "           GRADED=$(GRADED) (own, shared: the multipliers that take graded inputs)"
	@echo "           LANES, EVENTS and PRODUCTS: one number, or one each of the layers and then the readout (LANES=4,8,10)"
	@echo "           REPORTS=$(REPORTS) (a core that reports at any time; make sim and make package ask it after every REPORTS timesteps)"
	@echo "           CHIP=$(CHIP) (CHIP=1: registers hold next to multipliers too, and memories lie in segments of 256 words) COUNTERS=$(COUNTERS) (all, errors, none)"
	@echo "           LISTS=$(LISTS) (buffers of each event list: 3, 6; six take up bursts) LINK=$(LINK) (events a cycle between layers: 1, 2, 4) INPUT=$(INPUT) (the same at the core's input: 1, 2, 4)"
	@echo "           DATA=$(DATA) (sequences: .npz, .h5 or .aer, or the folder of a data set; docs/data.md) JOBS=$(JOBS) PYTHON=$(PYTHON)"
	@echo "           EPOCHS=$(EPOCHS) RECIPE=\"$(RECIPE)\" (of training: dmp train --help) TRACE=$(TRACE) (TRACE= leaves the trace ports out; make sim needs them)"
	@echo "           BUDGET=\"$(BUDGET)\" (of make fit: --multipliers N --block-rams N --cycles N --latency N --energy UJ, --objective energy)"
	@echo "           FIT=$(FIT) (FIT=1 takes what make fit chose, in place of LANES, BLOCK, EVENTS, PRODUCTS and GRADED; CHIP, COUNTERS, LISTS, LINK and INPUT go with it)"
	@echo "           ABLATE=\"$(ABLATE)\" (what a core does without, to measure what it is worth: names of docs/hardware.md)"
	@echo "           DEVICE=$(DEVICE) SEEDS=$(SEEDS) PLACER=$(PLACER) ROUTER=$(ROUTER) MULTIPLIERS=$(MULTIPLIERS) FLOORPLAN=$(FLOORPLAN) CYCLES=$(CYCLES) (of make synth: dmp synth --help)"
	@echo "           BOARD=$(BOARD) (of make synth: ulx3s-85f, with a bitstream for a core of CLOCK MHz)"
	@echo "           CLOCK=$(CLOCK) (MHz, of the constraints of make package, of make synth and of a board) SEQUENCES=$(SEQUENCES) (that its testbench runs)"
	@echo "           PROOF=\"$(PROOF)\" (of make formal: names of its table; all without)"
	@echo "           CYCLES=10000000 CORES=$(CORES) SEED=$(SEED) (of make soak: it goes on where the same command ended) COUNT=$(COUNT) (of make fuzz, with SEED)"
	@echo "           N=$(N) (of make mutants: how many, with SEED)"
	@echo "           TIMESTEPS=$(TIMESTEPS) (of each sequence of make waves)"
	@echo "           PORT=$(PORT) (of make host: the UART of a board with this core; its Verilog runs otherwise)"
	@echo "           CUT=$(CUT) (timesteps of each sequence that make energy runs: the first ones) ESTIMATE=$(ESTIMATE) (ESTIMATE=1: without gates) LIBERTY=$(LIBERTY) SRAM=\"$(SRAM)\" (files in place of its own technology)"
	@echo "           bench-testset has defaults of its own: BLOCK=8 OUT=build/testset/NET-LANES-BLOCK-EVENTS-PRODUCTS"

setup: .venv/installed-all ## Install everything into .venv

# What can be known to fail before anything is installed or built.
demo sim chain timeline waves bench-testset bench study energy uart-sim soak fuzz coverage test test-long mutants: VERILATED = 1
host: VERILATED = $(if $(PORT),,1)
quoted = '$(subst ','\'',$($(1)))'
matches = $(filter 1,$(shell printf '%s\n' $(call quoted,$(1)) | grep -cxE '$(2)'))
check = $(if $(call matches,$(1),$(2)),,$(error $(1)=$($(1)): use $(3)))
WHOLE = a whole number from 1
EACH = [1-9][0-9]*(,[1-9][0-9]*)*
OR_EACH = , or one each of the layers and the readout, as 4,8,10
checked:
	$(foreach name,LANES EVENTS PRODUCTS,$(call check,$(name),$(EACH),$(WHOLE)$(OR_EACH)))
	$(foreach name,BLOCK EPOCHS N SEQUENCES TIMESTEPS,$(call check,$(name),[1-9][0-9]*,$(WHOLE)))
	$(foreach name,DIGITS CYCLES REPORTS CUT,$(call check,$(name),([1-9][0-9]*)?,$(WHOLE)))
	$(call check,GRADED,(own|shared)?,own or shared)
	$(call check,COUNTERS,(all|errors|none)?,all or errors or none)
	$(call check,LISTS,[36]?,3 or 6)
	$(call check,LINK,[124]?,1 or 2 or 4)
	$(call check,INPUT,[124]?,1 or 2 or 4)
	$(call check,CORES,[1-9][0-9]*,$(WHOLE))
	$(call check,COUNT,[1-9][0-9]*,$(WHOLE))
	$(call check,N,[1-9][0-9]*,$(WHOLE))
	$(foreach name,SEED SEEDS,$(call check,$(name),[0-9]+,a whole number from 0))
	$(call check,STALLS,[0-9]*,a whole number from 0 (a seed))
	$(call check,JOBS,[1-9][0-9]*|auto,$(WHOLE))
	$(call check,ABLATE,[a-z -]*,names of docs/hardware.md)
	$(call check,CLOCK,[0-9]*[1-9][0-9]*([.][0-9]*)?,1 to 2000 MHz)
	$(if $(DATA),$(if $(shell test -f $(call quoted,DATA) -o -d $(call quoted,DATA) && echo 1),,$(error DATA=$(DATA): use a file of sequences (.npz, .h5, .aer), or the folder that holds the data set)))
	$(if $(VERILATED),$(if $(word 2,x$(CURDIR)x),$(error Verilator cannot build in '$(CURDIR)', whose path has a space: put this project into a folder without one)))
	$(if $(VERILATED),$(if $(word 2,x$(OUT)x),$(error OUT=$(OUT): Verilator cannot build in a path with a space: use another one)))
	$(if $(and $(GIVEN),$(wildcard .venv/bin/python)),@$(SAME_PYTHON))

# A PYTHON that is given must be that of .venv, once there is one.
WHICH = 'import sys; print(sys.version.split()[0], "in", sys.base_prefix)'
GIVEN = $(filter command environment,$(firstword $(origin PYTHON)))
define SAME_PYTHON
asked=$$("$(PYTHON)" -c $(WHICH) 2> /dev/null); found=$$(.venv/bin/python -c $(WHICH)); test "$$asked" = "$$found" \
	|| { echo "error: PYTHON=$(PYTHON) is $${asked:-no Python}, but .venv has $$found: remove .venv, or leave PYTHON out" >&2; exit 2; }
endef

.venv/bin/python: | checked
	@command -v "$(PYTHON)" > /dev/null \
		|| { echo "error: there is no $(PYTHON): apt install python3-venv, or make PYTHON=python3.11 ..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "error: $(PYTHON) is older than Python 3.11: make PYTHON=python3.11 ..." >&2; exit 1; }
	@"$(PYTHON)" -m venv .venv \
		|| { rm -rf .venv; echo "error: $(PYTHON) cannot make environments: apt install python3-venv" >&2; exit 1; }

# Installed again only when pyproject.toml changes.
.venv/installed-%: pyproject.toml | .venv/bin/python
	@echo "installing into .venv ($*)..."
	@$(INSTALL) '.[$(EXTRAS)]'
	@touch $@
.venv/installed-run: EXTRAS = sim
.venv/installed-train: EXTRAS = train
.venv/installed-study: EXTRAS = sim,train
.venv/installed-synth: EXTRAS = sim,synth
.venv/installed-host: EXTRAS = sim,host
.venv/installed-docs: EXTRAS = sim,docs
.venv/installed-formal: EXTRAS = formal
.venv/installed-all: EXTRAS = sim,train,synth,host,docs,formal,dev

demo: sim ## Generate the core of NET, run DIGITS digits through its Verilog, compare every value

# As many processes as processors: a second thread in each would only wait.
test test-long: export OMP_NUM_THREADS = 1
test: .venv/installed-all ## Run the tests of everything that a change can break: minutes
	$(RUN) -m pytest --numprocesses $(JOBS) --dist worksteal -m "not long"

test-long: .venv/installed-all ## Run every test: these, many more networks, place and route of every family
	$(RUN) -m pytest --numprocesses $(JOBS) --dist worksteal

formal: .venv/installed-formal ## Prove properties of the core's components, with the bugs that each proof must find
	$(RUN) -m formal$(foreach name,$(PROOF), --only $(name))

soak: .venv/installed-run ## Run CORES random small cores for CYCLES on random sequences, errors, stalls and resets: every value against golden
	$(RUN) -m soak --cycles $(or $(CYCLES),10000000) --cores $(CORES) --seed $(SEED)

fuzz: .venv/installed-run ## Put COUNT bytes on a board's UART and transfers on AXI that nobody should send: no wrong write, and it recovers
	$(RUN) -m soak.fuzz --count $(COUNT) --seed $(SEED)

coverage: .venv/installed-all ## Tell what the networks of the tests reach: of what must meet, and of the Verilog's lines, branches and bits
	$(RUN) -m tests.coverage

mutants: .venv/installed-all ## Change the sources at N places, a token each, and see the tests that reach it fail
	$(RUN) -m mutants --count $(N) --seed $(SEED) --jobs $(JOBS)

lint: .venv/installed-all ## Check style and types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/pyright --pythonpath $(RUN)

train: .venv/installed-train ## Train NET into build/train: RECIPE="..." passes options on
	$(DMP) train "$(NET)" --epochs $(EPOCHS) $(RECIPE) $(if $(DATA),--data "$(DATA)")

accuracy: .venv/installed-train ## Measure the integers of NET again on its whole test set
	$(DMP) accuracy "$(NET)" $(if $(DATA),--data "$(DATA)")

export: .venv/installed-run ## Write the manifest and the memory images of NET on LANES lanes into OUT
	$(DMP) export $(CORE)$(if $(TRACE), --trace)

rtl: .venv/installed-run ## Write the Verilog of NET on LANES lanes into OUT
	$(DMP) rtl $(CORE)$(if $(TRACE), --trace)

sim: .venv/installed-run ## Run DIGITS digits through the Verilog of NET on LANES lanes, compare every value
	$(DMP) sim $(CORE) $(if $(DIGITS),--digits $(DIGITS) )$(if $(STALLS),--stalls $(STALLS)) $(if $(REPORTS),--report-every $(REPORTS) )$(if $(DATA),--data "$(DATA)")

chain: OUT = build
chain: .venv/installed-run ## Run DIGITS digits through the Verilog of a chain of cores, one for each of NETS (make chain NETS="nets/a nets/b")
	$(DMP) chain $(NETS) $(SHAPE) $(if $(DIGITS),--digits $(DIGITS) )--out "$(OUT)" $(if $(DATA),--data "$(DATA)")

timeline: .venv/installed-run ## Show where every cycle went in DIGITS digits: a picture, and a trace that ui.perfetto.dev opens
	$(DMP) timeline $(CORE) $(if $(DIGITS),--digits $(DIGITS) )$(if $(DATA),--data "$(DATA)")

waves: .venv/installed-run ## Write every signal of the first TIMESTEPS of DIGITS digits as FST, with a view for GTKWave and one for Surfer
	$(DMP) waves $(CORE) $(if $(DIGITS),--digits $(DIGITS) )--timesteps $(TIMESTEPS) $(if $(DATA),--data "$(DATA)")

host: .venv/installed-run $(if $(PORT),.venv/installed-host) ## Stream DIGITS digits through the core of NET within its standard top: in its Verilog, or on a board at PORT
	$(DMP) host $(CORE) $(if $(DIGITS),--digits $(DIGITS) )$(if $(PORT),--back-end uart --port "$(PORT)") $(if $(DATA),--data "$(DATA)")

docs: .venv/installed-docs ## Write what is generated in the pages again, and build them into build/docs
	$(RUN) -m docs.generate
	$(RUN) -m sphinx -W --keep-going --quiet docs build/docs

bench-testset: BLOCK = 8
bench-testset: OUT = build/testset/$(NAME)-$(subst $(COMMA),_,$(LANES)-$(BLOCK)-$(EVENTS)-$(PRODUCTS))
bench-testset: .venv/installed-run ## Run a whole test set through the Verilog of NET without trace ports, on JOBS processes
	$(DMP) testset $(CORE) $(if $(DIGITS),--digits $(DIGITS)) --jobs $(JOBS) $(if $(DATA),--data "$(DATA)")

bench: .venv/installed-run ## Measure many cores of several networks in their Verilog: tables and pictures in build
	$(DMP) bench --jobs $(JOBS) $(if $(DATA),--data "$(DATA)")

study: .venv/installed-study ## Train and measure architectures and ablations: STUDY="--quick" for minutes
	$(DMP) study --jobs $(JOBS) $(STUDY) $(if $(DATA),--data "$(DATA)")

fit: .venv/installed-run ## Choose LANES, BLOCK, EVENTS and PRODUCTS for NET under a BUDGET: FIT=1 takes them
	$(DMP) fit "$(NET)" $(BUDGET) $(if $(REPORTS),--reports )--out "$(OUT)" $(if $(DATA),--data "$(DATA)")

synth-check: .venv/installed-run ## Synthesize the Verilog of NET for DEVICE: block RAMs, multipliers, logic
	$(DMP) synth $(CORE) --device $(DEVICE)

synth: .venv/installed-synth ## Place and route the Verilog of NET on DEVICE, or on a BOARD and write its bitstream, with SEEDS seeds
	$(DMP) $(if $(BOARD),bitstream $(CORE) --board $(BOARD),synth $(CORE) --device $(DEVICE)) --mhz $(CLOCK) $(if $(FLOORPLAN),--floorplan )$(if $(CYCLES),--cycles $(CYCLES) )--seeds $(SEEDS) --jobs $(JOBS) $(if $(PLACER),--placer $(PLACER) )$(if $(ROUTER),--router $(ROUTER) )$(if $(MULTIPLIERS),--multipliers $(MULTIPLIERS))

energy: .venv/installed-run ## Tell the energy of DIGITS inferences, from the gates of NET on LANES lanes
	$(DMP) energy $(CORE) $(if $(DIGITS),--digits $(DIGITS) )--mhz $(CLOCK) $(if $(ESTIMATE),--estimate )$(if $(CUT),--timesteps $(CUT) )$(if $(LIBERTY),--liberty "$(LIBERTY)" )$(foreach file,$(SRAM),--sram "$(file)" )$(if $(DATA),--data "$(DATA)")

uart-sim: BOARD = ulx3s-85f
uart-sim: .venv/installed-run ## Run DIGITS digits through the Verilog of NET on a BOARD, with a UART at its pins
	$(DMP) uart-sim $(CORE) --board $(BOARD) $(if $(DIGITS),--digits $(DIGITS) )$(if $(DATA),--data "$(DATA)")

netlist: .venv/installed-run ## Check the netlist of NET for latches and loops; print the memory macros it needs
	$(DMP) netlist $(CORE)

package: .venv/installed-run ## Write OUT/package for other tools: FuseSoC, Vivado, IP-XACT, LiteX, testbench, constraints
	$(DMP) package $(CORE) --sequences $(SEQUENCES) --clock $(CLOCK) $(if $(REPORTS),--report-every $(REPORTS) )$(if $(DATA),--data "$(DATA)")

# Checkpoints, networks, and results of long runs.
KEPT = -name '*.pt' -o -name network.json -o -path '*/trials/*.json' -o -name bench.json -o -name bench.md -o -name testset.json
clean: ## Remove what is in build, but for trained networks and results of long runs: they are listed
	@for path in build/* build/.[!.]*; do \
		if find "$$path" \( $(KEPT) \) 2> /dev/null | grep -q .; \
		then echo "kept $$path: make clean-all removes it"; \
		else rm -rf -- "$$path"; fi; \
	done

clean-all: ## Remove all that is in build: trained networks, too
	rm -rf build/* build/.[!.]*
