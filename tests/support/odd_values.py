"""Values that programs report by mistake: of any type, deep, cyclic, with methods that raise."""

from typing import Any

from hypothesis import strategies as st


class Raises:
    """Each way to show it raises."""

    def __repr__(self) -> str:
        raise ZeroDivisionError

    def __bool__(self) -> bool:
        raise ValueError

    def __eq__(self, other: object) -> bool:
        raise ValueError

    def __hash__(self) -> int:
        return 1

    __str__ = __repr__


class BadNumber:
    """Its methods return what Python does not allow."""

    def __float__(self) -> Any:
        return "1"

    def __index__(self) -> Any:
        return 1.5

    def __str__(self) -> Any:
        return 1

    __repr__ = __str__


class Text(str):
    """As of a library that marks its texts."""

    __slots__ = ()

    def __str__(self) -> str:
        raise ZeroDivisionError


class ArrayScalar:
    """A number of an array library: no subclass of Python's."""

    def __init__(self, value: float) -> None:
        self._value = value

    def __index__(self) -> int:
        if isinstance(self._value, int):
            return self._value
        raise TypeError

    def __float__(self) -> float:
        return float(self._value)


def nested(levels: int, width: int = 1) -> Any:
    """Lists in lists; with a width, each level holds the next so many times."""
    value: Any = 1
    for _ in range(levels):
        value = [value] * width
    return value


def cyclic() -> list[Any]:
    value: list[Any] = []
    value.append({"self": value})
    return value


_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(300, 5_000).map(lambda digits: -(10**digits)),
    st.floats(),
    st.complex_numbers(),
    st.decimals(),
    st.text(st.characters(exclude_categories=[])),  # with lone surrogates
    st.text().map(Text),
    st.binary(max_size=30),
    st.datetimes(),
    st.timedeltas(),
    st.floats().map(ArrayScalar),
    st.builds(Raises),
    st.builds(BadNumber),
    st.builds(cyclic),
    st.builds(object),
    st.integers(60, 70).map(nested),
)

_KEYS = st.one_of(st.text(), st.integers(), st.none(), st.floats(), st.builds(Raises))


def odd_values() -> st.SearchStrategy[Any]:
    return st.recursive(
        _LEAVES,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.lists(inner, max_size=4).map(tuple),
            st.lists(st.tuples(_KEYS, inner), max_size=4).map(_as_dict),
        ),
        max_leaves=12,
    )


def _as_dict(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    """With the keys as they are: two that cannot be compared are one."""
    made: dict[Any, Any] = {}
    for key, value in pairs:
        if not isinstance(key, Raises) or not any(isinstance(one, Raises) for one in made):
            made[key] = value
    return made
