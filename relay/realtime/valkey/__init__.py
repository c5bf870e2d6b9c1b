"""The backplane for processes on many machines, over a Valkey or Redis."""
