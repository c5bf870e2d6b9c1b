"""Hosts on a network that a test can break: network namespaces and a wire between them."""
