"""Read the parameters of a request's query, by one rule for all routes."""

from urllib.parse import parse_qsl

from relay.errors import BadRequest, safe_name


class QueryParameters:
    """The parameters by name. A parameter that a route reads must be given once, with a value.

    Other parameters are ignored, whatever they are, unless the route refuses them.
    """

    __slots__ = ("_pairs",)

    def __init__(self, query: bytes) -> None:
        text = query.decode("utf-8", "replace")
        self._pairs = parse_qsl(text, keep_blank_values=True) if text else []

    def get(self, name: str) -> str | None:
        """The parameter's value; None if it is not given.

        Raises BadRequest if it is empty, or given more than once.
        """
        values = self.get_all(name, 1)
        return values[0] if values else None

    def get_all(self, name: str, most: int) -> list[str]:
        """The values of a parameter that may be given up to `most` times.

        Raises BadRequest if one is empty, or if there are more.
        """
        values = [value for key, value in self._pairs if key == name]
        if len(values) > most:
            times = "once" if most == 1 else f"{most} times"
            raise BadRequest(f"`{name}` is given more than {times}.")
        if not all(values):
            raise BadRequest(f"`{name}` is empty. Leave it out, or give it a value.")
        return values

    def refuse_others(self, *known: str) -> None:
        """Raise BadRequest for a parameter with another name: a filter must not be passed over."""
        for name, _value in self._pairs:
            if name not in known:
                raise BadRequest(
                    f"`{safe_name(name)}` is not a parameter here. There are: {', '.join(known)}."
                )
