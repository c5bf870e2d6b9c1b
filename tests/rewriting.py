"""Lets pytest explain failed asserts in tests/support as it does in tests; imported before them."""

import pytest

pytest.register_assert_rewrite("tests.support")
