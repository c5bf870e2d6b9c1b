"""HTTP around the handlers: credentials, limits, bodies, problem documents."""
