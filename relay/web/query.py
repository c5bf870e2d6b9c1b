"""Read the parameters of a request's query, by one rule for all routes."""

from urllib.parse import parse_qsl

from relay.errors import BadRequest


class QueryParameters:
    """The parameters by name. A parameter that a route reads must be given once, with a value.

    Other parameters are ignored, whatever they are.
    """

    __slots__ = ("_pairs",)

    def __init__(self, query: bytes) -> None:
        text = query.decode("utf-8", "replace")
        self._pairs = parse_qsl(text, keep_blank_values=True) if text else []

    def get(self, name: str) -> str | None:
        """The parameter's value; None if it is not given.

        Raises BadRequest if it is empty, or given more than once.
        """
        values = [value for key, value in self._pairs if key == name]
        if not values:
            return None
        if len(values) > 1:
            raise BadRequest(f"`{name}` is given more than once.")
        if not values[0]:
            raise BadRequest(f"`{name}` is empty. Leave it out, or give it a value.")
        return values[0]
