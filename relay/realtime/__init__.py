"""Delivery: from stored events to the live streams of this process and of other processes."""
