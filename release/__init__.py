"""Making a release: everything is built and checked here, and nothing is published."""
