"""Starts of Relay's commands that need not import them again.

Nine tenths of a `relay serve`, until it reads its settings, are imports. So each pytest process
imports a command once, in a warm process of it (`process.py`), and forks that for each start.
`starts.py` sends the starts there: what asks `subprocess` for such a command gets it warm, and does
not notice. `probe.py` is how a test compares a warm start with a cold one.
"""
