# lar: how it is built, shown, tested and installed. `make help` lists the targets.
#
# Only Rust, make and gcc are needed for `make run` and `make test`; the image wants podman or docker.

CARGO  ?= cargo
PREFIX ?= /usr/local

# A static binary is asked for by target, even where that is the host: without one, cargo would link the
# build scripts and procedural macros statically too, and the latter can't be.
TARGET   ?= $(shell rustc -vV | sed -n 's/^host: //p')
DIR      := $(or $(CARGO_TARGET_DIR),target)
STATIC    = $(DIR)/$(TARGET)/release/lar
IMAGE    ?= localhost/lar
NAMES     = zdaemon zdctl zdrun tini docker-init dumb-init
ENGINE   ?= $(shell command -v podman || command -v docker)

# The demonstration's socket is an abstract one: any user can have it, and nothing is left behind.
DEMO      := $(DIR)/demo
export LAR_DEMO        := $(abspath $(DEMO))
export LAR_DEMO_SOCKET := @lar-demo-$(shell id -u)

.DEFAULT_GOAL := build
.PHONY: build run test latency moments check fmt image install clean help

# Not position-independent: nothing to relocate at each start, so fewer pages of its own, and a smaller file.
STATICALLY = -C target-feature=+crt-static -C relocation-model=static -C link-arg=-Wl,-z,noseparate-code

build: ## build the static binary and say how large it is (the default)
	RUSTFLAGS='$(STATICALLY)' $(CARGO) build --release --target $(TARGET)
	@printf '%s: %s bytes\n' '$(STATIC)' "$$(stat -c %s '$(STATIC)')"

run: ## run a demonstration in the foreground: four services and a one-shot
	$(CARGO) build
	@rm -rf '$(DEMO)' && mkdir -p '$(DEMO)'
	@printf '%s\n' '' \
	    'The services are in container/demo.conf. Ctrl-C ends them. From a second terminal:' '' \
	    '    cd $(CURDIR)' \
	    '    $(DIR)/debug/lar ctl -s $(LAR_DEMO_SOCKET) status' \
	    '    $(DIR)/debug/lar ctl -s $(LAR_DEMO_SOCKET) why crasher' \
	    '    $(DIR)/debug/lar ctl -s $(LAR_DEMO_SOCKET) help' ''
	@exec '$(DIR)/debug/lar' -C container/demo.conf

test: ## run every test that can run here
	$(CARGO) test

latency: ## time kill -9 to the replacement's first instruction, beside a bare loop in C
	$(CARGO) test --release --test latency

moments: build ## send TERM within 3 ms of the exec of a PID 1, 1000 times, beside other inits
	LAR_MOMENTS='$(abspath $(STATIC))' $(CARGO) test --test first_moments

check: ## look at the format, and let clippy look at the code
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings

fmt: ## format the code
	$(CARGO) fmt

image: build ## make a container image that holds the static binary and nothing else
	@test -n '$(ENGINE)' || { echo 'neither podman nor docker is installed'; exit 1; }
	mkdir -p '$(DIR)/image' && cp '$(STATIC)' container/Containerfile '$(DIR)/image'
	$(ENGINE) build -t '$(IMAGE)' -f '$(DIR)/image/Containerfile' '$(DIR)/image'

# With PERSONALITIES=1 also the names under which lar is somebody else. The links are relative, so that they hold in
# an image or a package, too. What somebody else has installed there is not replaced, but a link is.
install: build ## install the static binary to $(PREFIX)/sbin; PERSONALITIES=1: and zdaemon, tini, dumb-init
	install -D -m 755 '$(STATIC)' '$(DESTDIR)$(PREFIX)/sbin/lar'
ifeq ($(PERSONALITIES),1)
	@cd '$(DESTDIR)$(PREFIX)/sbin' && for name in $(NAMES); do \
	    if [ -e "$$name" ] && [ ! -L "$$name" ]; then \
	        echo "$(DESTDIR)$(PREFIX)/sbin/$$name is not a link: it stays" >&2; \
	    else ln -sfn lar "$$name"; fi; done
endif

clean: ## remove what was built
	$(CARGO) clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/\1|\2/p' Makefile | \
	    while IFS='|' read -r name what; do printf '  make %-8s %s\n' "$$name" "$$what"; done
