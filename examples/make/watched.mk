# `make watched-build` is `make build`, shown on Relay while it runs. Any target, any -j.
# Without `relay` on the machine it is `make build` alone.
watched-%: FORCE
	@$(if $(shell command -v relay),relay run --title "make $*" --) $(MAKE) $*

FORCE:
.PHONY: FORCE
