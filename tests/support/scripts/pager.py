"""A pager: it reads stdin to its end, and then shows each key that it reads from the terminal."""

import os
import sys
import termios
import tty

lines = sys.stdin.buffer.read().count(b"\n")
terminal = os.open("/dev/tty", os.O_RDWR)
before = termios.tcgetattr(terminal)
tty.setcbreak(terminal)
os.write(terminal, b"%d lines\n" % lines)
while (key := os.read(terminal, 1)) != b"q":
    os.write(terminal, b"key %s\n" % key)
termios.tcsetattr(terminal, termios.TCSADRAIN, before)
