"""Reads the Secrets that HealthChecks take values of headers from, by name, again and again.

A watch would need the right to list, and so the values of all Secrets; `get` needs less.
"""

import asyncio
import logging
from collections.abc import Collection
from contextlib import suppress
from http import HTTPStatus

from vpplb.kube.api_types import ApiError, KubeError
from vpplb.kube.client import KubeClient
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.objects import HealthCheck, SecretValues
from vpplb.reconcile.reconciler import Reconciler
from vpplb.resources.secret import read_secret

log = logging.getLogger(__name__)

PAUSE = 30.0
"""Seconds from one reading of all to the next."""
FIRST = 10.0
"""Seconds that decisions wait for the first reading at most."""
_AGAIN = 0.5
_AT_ONCE = 8

_MISSING = "does not exist"
_FORBIDDEN = "may not be read by the operator (operator.headersFromSecrets of the chart allows it)"


class SecretReader:
    """Keeps the store's Secrets as they are on the API server; writes nothing."""

    def __init__(self, client: KubeClient, reconciler: Reconciler) -> None:
        self._client = client
        self._reconciler = reconciler
        self._request_slots = asyncio.Semaphore(_AT_ONCE)
        self._named = asyncio.Event()
        self._due: set[ObjectKey] = set()

    def request_secrets(self, check: HealthCheck) -> None:
        """Read, soon, what a new or changed health check names."""
        if check.secret_headers:
            self._due.update(header.secret for header in check.secret_headers)
            self._named.set()

    async def read_first(self) -> None:
        """Return when there is an answer for all that are named, or when that takes too long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST):
                while True:
                    if await self._read_secrets(self._reconciler.store.wanted_secrets()):
                        return
                    await asyncio.sleep(_AGAIN)

    async def run(self) -> None:
        """Read all each `PAUSE`, and at once what is named newly, until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(PAUSE):
                    while await self._named.wait():
                        self._named.clear()
                        due, self._due = self._due, set()
                        await self._read_secrets(due)
            await self._read_secrets(self._reconciler.store.wanted_secrets())

    async def _read_secrets(self, names: Collection[ObjectKey]) -> bool:
        """Read those of `names` that are wanted; return whether there was an answer for each."""
        store, found = self._reconciler.store, dict[ObjectKey, SecretValues]()
        wanted = store.wanted_secrets()
        asked = [(name, wanted[name]) for name in names if name in wanted]
        try:
            answers = await asyncio.gather(*(self._ask_secret(*one, found) for one in asked))
        finally:
            wanted = store.wanted_secrets()
            known = {**store.secrets, **found}
            store.put_secrets({name: known[name] for name in known if name in wanted})
            self._reconciler.request_run()
        return all(answers)

    async def _ask_secret(
        self, name: ObjectKey, keys: set[str], found: dict[ObjectKey, SecretValues]
    ) -> bool:
        """Find a Secret; return whether there was an answer, since without what was known stays."""
        before = self._reconciler.store.secrets.get(name)
        answered = True
        async with self._request_slots:
            try:
                found[name] = read_secret(
                    await self._client.get_object(ObjectKind.SECRET, name), keys
                )
            except KubeError as error:
                status = error.status if isinstance(error, ApiError) else None
                answered = status in (HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN)
                if answered:
                    trouble = _MISSING if status == HTTPStatus.NOT_FOUND else _FORBIDDEN
                    found[name] = SecretValues(trouble=trouble)
                elif before is None or before.trouble:
                    found[name] = SecretValues(trouble=f"cannot be read: {error}")
        said = found[name].trouble if name in found else ""
        if said and (before is None or before.trouble != said):
            log.warning("Secret %s %s", name, said)
        return answered
