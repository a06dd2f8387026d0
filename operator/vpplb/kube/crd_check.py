"""Whether the CustomResourceDefinitions that the API server has are as new as this program.

What the API server publishes of the CustomResourceDefinitions (OpenAPI) tells which fields it
takes, and whoever is authenticated may read it. A program that writes by older ones loses what they
do not name, and nobody says so; so it is said here (`CrdCheck`), and an operator takes no part in
the election until it is mended, or nobody else is there to lead.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass

from vpplb import __version__
from vpplb.kube.api_types import ApiError, JsonObject, KubeError
from vpplb.kube.client import KubeClient
from vpplb.model.names import GROUP, VERSION, ObjectKind
from vpplb.model.printable import join_few
from vpplb.resources.crd_gaps import find_gaps
from vpplb.resources.schema import Schema

log = logging.getLogger(__name__)

PATH = f"/openapi/v3/apis/{GROUP}/{VERSION}"
UNTOLD = (403, 404)
"""Answers of an API server that does not say: we may not ask, or nothing of ours is installed."""
LOOK_EVERY, LOOK_AGAIN = 600.0, 3.0
"""Seconds from one look to the next: while the definitions are right, and while they are not."""
PATIENCE = 10.0
"""Seconds for which an API server that does not answer is waited for."""
OLDER = "the CustomResourceDefinitions are older than this program"
MENDED_BY = "Upgrade them first: vpplb crds | kubectl apply --server-side --force-conflicts -f -"
SHOWN = 4
"""Fields of a kind that are named; of the rest it says that there are more."""


async def _never() -> bool:
    return False


@dataclass(slots=True, kw_only=True)
class CrdCheck:
    """Compares what the API server has with the schemas in `needed`, by kind.

    `trouble` says what is missing and how to mend it; empty when all is there, or when the API
    server does not say, or not in words that are understood (definitions that are not installed
    are told of where objects are listed).
    """

    client: KubeClient
    needed: Mapping[ObjectKind, Schema]
    trouble: str = "the CustomResourceDefinitions have not been looked at yet"
    _older: bool = False
    _puzzled: bool = False

    async def wait_new_enough(self, give_up: Callable[[], Awaitable[bool]] = _never) -> bool:
        """Look until nothing is missing, or for PATIENCE seconds while there is no answer.

        While something is missing `give_up` is asked after each look whether to wait no longer.
        Return whether nothing is missing, as far as one was told.
        """
        try:
            async with asyncio.timeout(PATIENCE) as patience:
                while not await self._look():
                    if self._older:
                        patience.reschedule(None)
                        if await give_up():
                            return False
                    await asyncio.sleep(LOOK_AGAIN)
        except TimeoutError:
            self.trouble = ""
            return False
        return True

    async def run(self) -> None:
        """Look now and then until cancelled: another release may install older ones."""
        right = await self.wait_new_enough()
        while True:
            await asyncio.sleep(LOOK_EVERY if right else LOOK_AGAIN)
            right = await self._look()

    async def _look(self) -> bool:
        """Look once; return whether nothing is missing, as far as one can be told."""
        before = self.trouble
        try:
            document = await self.client.read_path(PATH)
        except KubeError as error:
            if not (isinstance(error, ApiError) and error.status in UNTOLD):
                return False
            self._older, self.trouble = False, ""
            return True
        try:
            gaps = "; ".join(self._list_gaps(document))
        except (KeyError, TypeError, AttributeError) as error:  # no schemas as we know them
            if not self._puzzled:
                log.debug("%s of the API server cannot be read: %r", PATH, error)
            self._puzzled, self._older, self.trouble = True, False, ""
            return True
        self._older = bool(gaps)
        self.trouble = f"{OLDER} ({__version__}): {gaps}. {MENDED_BY}" if gaps else ""
        if self.trouble and self.trouble != before:
            log.error("%s", self.trouble)
        return not self.trouble

    def _list_gaps(self, document: JsonObject) -> Iterator[str]:
        served = document["components"]["schemas"]
        for kind, needed in self.needed.items():
            name = ".".join([*reversed(GROUP.split(".")), VERSION, kind])
            gaps = tuple(find_gaps(needed, served[name])) if name in served else ()
            if gaps:
                yield f"{kind} lacks {join_few(gaps, most=SHOWN)}"
