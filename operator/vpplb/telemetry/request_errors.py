"""What a request is answered by that is not answered: a status, and words."""

from collections.abc import Mapping
from types import MappingProxyType


class RequestRefused(Exception):
    """A request is answered by `status`, by what the text says, and with these headers."""

    def __init__(
        self, status: int, said: str, headers: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        super().__init__(said)
        self.status, self.headers = status, headers
