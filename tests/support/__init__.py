"""What the tests share: how a run starts, how long it waits, what it holds."""
