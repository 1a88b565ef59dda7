# sandbox.h - build, checks and tests; `make help` lists what there is.
# GNU make and a POSIX shell. CC, CXX, CLANG, ARMCC, BUILD, JOBS and PREFIX may be set.

CLANG ?= clang
ARMCC ?= arm-none-eabi-gcc
PREFIX ?= /usr/local
GOLDEN ?=
CALLS ?=
MBEDTLS_DIR ?=

# Another mbedTLS than the system's: a tree with include/, and library/ or lib/. What is
# built with it stays apart.
TLS_LIBS = -lmbedtls -lmbedx509 -lmbedcrypto
ifneq ($(MBEDTLS_DIR),)
tls-dir := $(abspath $(MBEDTLS_DIR))
tls-libs := $(sort $(dir $(wildcard $(addsuffix /libmbedcrypto.*,$(addprefix $(tls-dir)/,library lib lib64)))))
ifeq ($(and $(wildcard $(tls-dir)/include/mbedtls/ssl.h),$(tls-libs)),)
$(error MBEDTLS_DIR=$(MBEDTLS_DIR) is no built mbedTLS: include/mbedtls/ssl.h and \
    library/libmbedcrypto.* or lib/libmbedcrypto.* must be there)
endif
BUILD ?= build/with-$(notdir $(tls-dir))
TLS_LIBS := $(foreach d,$(tls-libs),-L$(d) -Wl,-rpath,$(d)) $(TLS_LIBS)
export C_INCLUDE_PATH := $(tls-dir)/include
endif
BUILD ?= build
JOBS ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)

export CC CXX CLANG ARMCC BUILD JOBS TLS_LIBS
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-print-directory

WARN = -Wall -Wextra -Wconversion -Wshadow -Werror
STRICT = -std=c99 -pedantic $(WARN)
IMPL = $(wildcard sandbox_impl/*.[ch] sandbox_impl/*/*.[ch])
NEED = sh tests/tools/need.sh
TALLY = sh tests/tools/tally.sh

all: sandbox.h ## generate sandbox.h

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9.-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile
	@echo "  MBEDTLS_DIR=dir  any of them with another mbedTLS: include/, and library/ or lib/"

# ---- the header -------------------------------------------------------------

AMALGAMATE = LC_ALL=C awk -v dir=sandbox_impl -f sandbox_impl/amalgamate.awk \
    sandbox_impl/sandbox_all.h

sandbox.h: sandbox_impl/amalgamate.awk $(IMPL)
	$(AMALGAMATE) >$@.tmp
	mv $@.tmp $@

check-header: ## fails if sandbox.h is not what sandbox_impl/ makes
	@$(AMALGAMATE) | cmp - sandbox.h || \
	    { echo "sandbox.h is stale: edit sandbox_impl/, then run make"; exit 1; }
	@echo "check-header: ok"

# The only place of the version; the files in packaging/ get it here or are compared.
VERSION = $(shell sed -n 's/^.define SBX_VERSION "\(.*\)"/\1/p' sandbox_impl/public.h)
FILL = sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|'
ROOT = $(DESTDIR)$(PREFIX)
CMAKE_DIR = $(ROOT)/share/cmake/sandbox
INSTALLED = $(ROOT)/include/sandbox.h $(ROOT)/share/pkgconfig/sandbox.pc \
    $(CMAKE_DIR)/sandbox-config.cmake $(CMAKE_DIR)/sandbox-config-version.cmake

install: sandbox.h ## sandbox.h, pkg-config and CMake files to $(DESTDIR)$(PREFIX)
	mkdir -p $(dir $(INSTALLED))
	cp sandbox.h $(ROOT)/include/sandbox.h
	$(FILL) packaging/sandbox.pc.in >$(ROOT)/share/pkgconfig/sandbox.pc
	cp packaging/sandbox-config.cmake $(CMAKE_DIR)/sandbox-config.cmake
	$(FILL) packaging/sandbox-config-version.cmake.in >$(CMAKE_DIR)/sandbox-config-version.cmake
	chmod 644 $(INSTALLED)

uninstall: ## remove what make install put there
	rm -f $(INSTALLED)
	-rmdir $(CMAKE_DIR) 2>/dev/null

LIBRARY = $(BUILD)/library/sandbox-h
library: sandbox.h ## build/library/sandbox-h: a library for Arduino and PlatformIO
	rm -rf $(LIBRARY)
	mkdir -p $(LIBRARY)/src
	cp packaging/arduino/library.json packaging/arduino/library.properties LICENSE $(LIBRARY)
	cp packaging/arduino/sandbox_arduino.h packaging/arduino/sandbox_arduino.c sandbox.h $(LIBRARY)/src

version: ## put SBX_VERSION into the files that have to spell it
	@sh tests/packaging/version.sh --set

clean: ## remove everything that was built
	rm -rf $(BUILD)

# ---- checks of the source ---------------------------------------------------

layers: ## fails if a module uses something below it in the manifest
	@sh tests/compile/layers.sh

exports: sandbox.h ## fails on any global symbol that is not sbx_*
	@sh tests/compile/exports.sh

public: ## fails if the public half is too long or not valid C99 and C++11
	@sh tests/compile/public.sh

lint: ## banned calls, long or complex functions, deep nesting, columns, licence
	@sh tests/tools/lint.sh

matrix: ## put the feature table of the provider tables into README.md
	@sh tests/tools/matrix.sh

check-matrix:
	@sh tests/tools/matrix.sh --check

# ---- programs ---------------------------------------------------------------

# Sanitizers where the compiler has them; SAN= turns them off.
SAN_FLAGS = -fsanitize=address,undefined -fno-sanitize-recover=undefined
$(BUILD)/san: tests/tools/sanitizers.sh
	@mkdir -p $(@D)
	@sh tests/tools/sanitizers.sh $(SAN_FLAGS) >$@
ifndef SAN
SAN = $$(cat $(BUILD)/san)
endif

# Lines for the sanitizers' stacks, and no more: half the time to build of -g -O1.
TEST_CFLAGS = -std=gnu99 -g1 -Og -Wall -Wextra -Wno-unused-function -I. -Itests $(SAN)
UNIT = $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(sort $(wildcard tests/unit/*_test.c)))
FAULT = $(patsubst tests/fault/%.c,$(BUILD)/fault/%,$(sort $(wildcard tests/fault/*_test.c)))
LIVE = $(patsubst tests/live/%.c,$(BUILD)/live/%,$(sort $(wildcard tests/live/*_test.c)))
EXAMPLES = $(patsubst examples/%.c,$(BUILD)/examples/%,$(sort $(wildcard examples/*.c)))
VERDICTS = $(patsubst tests/%_verdict.c,$(BUILD)/%-verdict,$(wildcard tests/*_verdict.c))

# White-box tests: each takes the modules it needs straight from sandbox_impl/.
$(BUILD)/unit/%: tests/unit/%.c tests/test.h $(wildcard tests/unit/*.h) $(IMPL) $(BUILD)/san
	@mkdir -p $(@D)
	$(CC) $(TEST_CFLAGS) -o $@ $< $(TLS_LIBS) -lpthread

$(BUILD)/unit/limbo_test: $(BUILD)/tls-verdict # which it runs

$(BUILD)/fault/%: tests/fault/%.c tests/test.h $(wildcard tests/unit/*.h) $(IMPL) $(BUILD)/san
	@mkdir -p $(@D)
	$(CC) $(TEST_CFLAGS) -o $@ $<

$(BUILD)/fault/live: tests/fault/live.c sandbox.h $(BUILD)/san
	@mkdir -p $(@D)
	$(CC) $(TEST_CFLAGS) -o $@ $<

# A GiB through sanitizers takes minutes: big_test has them only in make asan.
BIG_SAN ?=
$(BUILD)/live/big_test: SAN = -O2 $(BIG_SAN)
$(BUILD)/live/%: tests/live/%.c tests/test.h $(wildcard tests/live/*.h tests/peer/*) sandbox.h $(BUILD)/san
	@mkdir -p $(@D)
	$(CC) $(TEST_CFLAGS) -o $@ $< $(TLS_LIBS) -lpthread

$(BUILD)/golden: $(wildcard tests/golden/*.[ch]) sandbox.h $(BUILD)/san
	@mkdir -p $(@D)
	$(CC) $(TEST_CFLAGS) -o $@ $(wildcard tests/golden/*.c) $(TLS_LIBS)

# With the warnings of a strict user. The demo, like a server, has -O2.
$(BUILD)/examples/%: examples/%.c sandbox.h
	@mkdir -p $(@D)
	$(CC) -std=c99 -O1 $(WARN) -I. $(EXAMPLE_FLAGS) -o $@ $< $(TLS_LIBS) -lpthread

# What has threads, watched by ThreadSanitizer; flags is empty where there is none.
TSAN_CFLAGS = -g -O1 -I. -Itests $$(cat $(BUILD)/tsan/flags)
$(BUILD)/tsan/flags: tests/tools/sanitizers.sh
	@mkdir -p $(@D)
	@sh tests/tools/sanitizers.sh -fsanitize=thread >$@
$(BUILD)/tsan/threads_test: tests/unit/threads_test.c tests/test.h $(wildcard tests/unit/*.h) $(IMPL) $(BUILD)/tsan/flags
	$(CC) -std=gnu99 $(TSAN_CFLAGS) -o $@ $< -lpthread
$(BUILD)/tsan/two_threads: examples/two_threads.c sandbox.h $(BUILD)/tsan/flags
	$(CC) -std=c99 $(WARN) $(TSAN_CFLAGS) -o $@ $< $(TLS_LIBS) -lpthread

$(BUILD)/demo: examples/demo/demo.c sandbox.h
	@mkdir -p $(@D)
	$(CC) -std=c99 -O2 $(WARN) -I. $(EXAMPLE_FLAGS) -o $@ $< $(TLS_LIBS)

$(BUILD)/%-verdict: tests/%_verdict.c sandbox.h
	@mkdir -p $(@D)
	$(CC) -std=gnu99 -O2 -Wall -Wextra -Werror -I. -o $@ $< $(TLS_LIBS)

$(BUILD)/sdk/%: tests/sdk/%.c sandbox.h $(BUILD)/san
	@mkdir -p $(@D)
	$(CC) -std=gnu99 -g -O1 -Wall -Wextra -Werror -I. $(SAN) -o $@ $< $(TLS_LIBS)

$(BUILD)/proxy: tests/peer/proxy.c
	@mkdir -p $(@D)
	$(CC) -std=gnu99 -O2 -Wall -Wextra -Werror -o $@ $<

$(BUILD)/tls_server: tests/peer/tls_server.c
	@mkdir -p $(@D)
	$(CC) -std=gnu99 -O2 -Wall -Wextra -Werror -o $@ $< $(TLS_LIBS)

# GnuTLS comes with libmicrohttpd; without its header sandboxd does without.
HOST_TLS = $$(echo '\#include <gnutls/gnutls.h>' | $(CC) -E - >/dev/null 2>&1 && echo -lgnutls)
HOST_FLAGS = -std=gnu11 -O2 -Wall -Wextra -Werror -I.
$(BUILD)/sandboxd: $(wildcard examples/host/*.[ch]) sandbox.h
	@mkdir -p $(@D)
	$(CC) $(HOST_FLAGS) $(wildcard examples/host/*.c) -lmicrohttpd $(HOST_TLS) -lz -lpthread -o $@

sandboxd: need-host $(BUILD)/sandboxd ## build/sandboxd, the local host (Linux)
examples: need-tls $(EXAMPLES) ## build/examples/*
tools: need-tls $(VERDICTS) ## build/json-verdict, http-verdict, tls-verdict

need-tls:
	@$(NEED) mbedtls
need-host:
	@$(NEED) mbedtls microhttpd zlib

# ---- demo -------------------------------------------------------------------

demo: ## the main job on a local host: upload, compile, run, fetch
	@sh tests/tools/demo.sh

# ---- tests ------------------------------------------------------------------

SUITES = checks unit fuzz tsan fault golden tools live soak compile packaging budget

need-test:
	@$(NEED) mbedtls microhttpd zlib openssl python3 'clang?' 'arm?' 'headers32?' 'bsdtar?' \
	    'cmake?' 'pkg-config?'

test: need-test ## the whole suite of a developer
	@$(TALLY) $(foreach s,$(SUITES),"$(MAKE) -s test-$(s)")

test-checks:
	@$(TALLY) $(foreach t,check-header layers exports public lint check-matrix,"$(MAKE) -s $(t)")

test-unit: need-test
	@$(MAKE) -s -j$(JOBS) -k $(UNIT); $(TALLY) -t 300 -p $(JOBS) $(UNIT)

tsan: need-tls ## clients in several threads at once, under ThreadSanitizer
	@$(MAKE) -s $(BUILD)/tsan/threads_test
	@if [ -s $(BUILD)/tsan/flags ]; then $(BUILD)/tsan/threads_test; \
	    else echo "tsan: skipped (this compiler has no ThreadSanitizer that works here)"; fi

test-tsan: need-test
	@$(TALLY) -t 300 "$(MAKE) -s tsan"

FAULT_PROGRAMS = $(FAULT) $(BUILD)/golden $(BUILD)/fault/live $(BUILD)/sandboxd
fault: need-tls need-host ## a sample of all that can fail, fails: chosen by SEED, which is printed
	@$(MAKE) -s -j$(JOBS) -k $(FAULT_PROGRAMS); sh tests/tools/fault.sh "$(or $(SEED),$$(date +%s))"

fault-all: need-tls need-host ## every allocation, call of the transport and byte of a reply fails in turn
	@$(MAKE) -s -j$(JOBS) -k $(FAULT_PROGRAMS); sh tests/tools/fault.sh all

test-fault: need-test
	@$(TALLY) -t 300 "$(MAKE) -s fault"

test-fuzz: need-test $(BUILD)/san
	@$(TALLY) "sh tests/tools/fuzz.sh replay"

fuzz: ## libFuzzer on every parser, SECONDS=60 each [FUZZ=json]
	@$(NEED) 'clang?' 'libfuzzer?'
	@sh tests/tools/fuzz.sh run $(or $(SECONDS),60)

test-golden: need-test
	@$(TALLY) -t 600 "$(MAKE) -s golden" "$(BUILD)/golden --self-test"

test-tools: need-test
	@$(TALLY) -t 120 "$(MAKE) -s tools && sh tests/tools/verdict_test.sh"

test-live: need-test
	@$(MAKE) -s -j$(JOBS) -k $(BUILD)/sandboxd $(BUILD)/demo $(BUILD)/proxy $(BUILD)/tls_server $(LIVE) $(EXAMPLES) \
	    $(BUILD)/tsan/two_threads; \
	    sh tests/live/run.sh $(LIVE)

# What a version of mbedTLS can change.
TLS_UNIT = $(patsubst %,$(BUILD)/unit/%_test,tls limbo net proxy)
test-tls: need-test ## the tests of TLS alone [MBEDTLS_DIR=dir]
	@$(MAKE) -s -j$(JOBS) -k $(TLS_UNIT) $(BUILD)/sandboxd $(BUILD)/proxy $(LIVE) $(BUILD)/tsan/two_threads
	@echo '#include <mbedtls/version.h>' | $(CC) -E -dM - | \
	    awk '$$2 == "MBEDTLS_VERSION_STRING_FULL" { print "over " $$3, $$4, $$5 }'
	@$(TALLY) -t 900 $(TLS_UNIT) "SBX_LIVE=tls sh tests/live/run.sh $(LIVE)"

tls-3.6: need-test ## the tests of TLS over mbedTLS 3.6: TLS 1.3, tickets
	@why=$$(sh tests/tools/mbedtls.sh trixie $(BUILD)/mbedtls-3.6); \
	case $$? in \
	0) $(MAKE) -s test-tls MBEDTLS_DIR=$(BUILD)/mbedtls-3.6 BUILD=$(BUILD)/with-mbedtls-3.6 ;; \
	77) echo "tls 3: skipped ($$why)" ;; \
	*) echo "$$why"; exit 1 ;; \
	esac

test-compile: need-test sandbox.h
	@sh tests/compile/run.sh

test-packaging: need-test sandbox.h ## what is installed, components and README's recipes, used
	@sh tests/packaging/run.sh

test-budget: need-test
	@$(TALLY) "$(MAKE) -s budget"

golden: need-tls $(BUILD)/golden ## replay recorded exchanges [GOLDEN=f.jsonl CALLS=f.calls]
	@sh tests/tools/golden.sh $(BUILD)/golden "$(GOLDEN)" "$(CALLS)"

golden-ops: need-tls $(BUILD)/golden ## every op of a calls file with its arguments
	@$(BUILD)/golden --ops

coverage: need-tls $(BUILD)/tls-verdict ## fails unless tests reach every line and branch of the parsers
	@$(NEED) python3 openssl
	@sh tests/tools/coverage.sh

test-sdk: need-host ## the official SDKs on sandboxd; fetches them into build/sdk
	@sh tests/sdk/run.sh

# Without sanitizers, whose own memory grows.
$(BUILD)/sdk/soak: SAN = -O2
soak: need-host $(BUILD)/sandboxd $(BUILD)/sdk/soak ## 20,000 commands, 2,000 sandboxes, 200 streams: memory stays flat [SOAK=n: an n-th]
	@sh tests/sdk/soak.sh $(SOAK)

test-soak: need-test
	@$(TALLY) -t 120 "SOAK=200 $(MAKE) -s soak"

bench: sandbox.h ## speed beside libcurl, the SDKs and other JSON parsers
	@sh tests/bench/run.sh

budget: sandbox.h need-tls ## sizes, stack, memory and compile time against their limits
	@$(NEED) python3 'arm?'
	@sh tests/budget/budget.sh

CI_TARGET ?= mips
ci-targets: sandbox.h ## what CI runs beside the suite: other machines, no machine's system, mbedTLS 3.6
	@$(NEED) 'arm?'
	@$(TALLY) "sh tests/compile/ci_targets.sh" "sh tests/tools/cross.sh --quick $(CI_TARGET)" \
	    "$(MAKE) -s tls-3.6" "$(MAKE) -s bare-metal VARIANTS='lwip uart refuses'"

int16: sandbox.h ## int of 16 bits: compiled for AVR, a client run on an emulated machine
	@$(NEED) 'avr?' 'int16?'
	@sh tests/int16/run.sh

bare-metal: sandbox.h ## a whole client on an emulated Cortex-M3: lwIP or a UART, TLS, no heap
	@sh tests/tools/bare_metal.sh $(VARIANTS)

TARGETS ?= mips s390x armhf arm64 riscv64 i386 powerpc musl musl-arm
cross: sandbox.h ## unit tests, recordings and a live run on emulated TARGETS; installs their tools
	@sh tests/tools/cross.sh $(TARGETS)

asan: need-test ## the whole suite with everything under ASan and UBSan
	@$(MAKE) -s $(BUILD)/san
	@$(TALLY) "SBX_TEST_MIB=64 $(MAKE) -s test BUILD=$(BUILD)/asan BIG_SAN='$(SAN)' \
	    EXAMPLE_FLAGS='-g $(SAN)' HOST_FLAGS='$(HOST_FLAGS) -g $(SAN)'"

.PHONY: all help check-header install uninstall library version clean layers exports public lint sandboxd examples \
    tools need-tls need-host need-test demo test $(addprefix test-,$(SUITES)) golden \
    golden-ops coverage fuzz test-sdk soak bench budget ci-targets cross test-tls tls-3.6 asan \
    tsan fault-all bare-metal int16
