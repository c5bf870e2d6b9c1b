# `make watched-build` is `make build`, shown on Relay while it runs. Any target, any -j.
# If `relay` is not installed, it is just `make build`.
watched-%: .watched
	@$(if $(shell command -v relay),relay run --title "make $*" --) $(MAKE) $*

# begins with a dot, so that it is not the default target of `make`
.watched:
.PHONY: .watched
