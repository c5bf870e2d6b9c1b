# `make watched-build` is `make build`, shown on Relay while it runs. Any target, any -j.
# Without `relay` on the machine it is `make build` alone.
watched-%: .watched
	@$(if $(shell command -v relay),relay run --title "make $*" --) $(MAKE) $*

# behind a dot, so that it is never what a plain `make` makes
.watched:
.PHONY: .watched
