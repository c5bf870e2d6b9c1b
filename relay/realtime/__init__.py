"""An event's way out: to the live streams of this process, and on to other processes."""
