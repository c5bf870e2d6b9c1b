"""How pytest prepares modules; imported before them.

It explains failed asserts in tests/support as it does in tests. What it compiles for that is kept
for the next run, also under PYTHONDONTWRITEBYTECODE: to compile it costs each process five seconds.
"""

import sys

import pytest

pytest.register_assert_rewrite("tests.support")
sys.dont_write_bytecode = False
