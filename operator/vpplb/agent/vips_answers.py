"""Answers operators that ask what this node's VPP has, over the connection that they ask on."""

import asyncio
import logging

from vpplb.direct.client import OperatorConnection
from vpplb.direct.messages import MOST_BYTES, VipsAnswer, VipsRequest, dump_answer
from vpplb.telemetry.http import PageUnavailable, ReadVips

log = logging.getLogger(__name__)

MOST_ASKED = 64
"""Questions that may wait; more are not answered, which operators find out by waiting."""


class VipsAnswers:
    """Takes questions, and answers them one after the other while it runs."""

    def __init__(self, read: ReadVips) -> None:
        self._read = read
        self._asked = asyncio.Queue[tuple[VipsRequest, OperatorConnection]](MOST_ASKED)

    def put_request(self, request: VipsRequest, connection: OperatorConnection) -> None:
        """Have a question answered soon, unless too many wait."""
        if not self._asked.full():
            self._asked.put_nowait((request, connection))

    async def run(self) -> None:
        """Answer requests until cancelled."""
        while True:
            request, connection = await self._asked.get()
            try:
                await connection.send_text(await self._write_answer(request))
            except OSError as error:
                log.debug("whoever asked is gone: %s", error)

    async def _write_answer(self, request: VipsRequest) -> str:
        try:
            page = await self._read(request.frontend)
        except PageUnavailable as error:
            return dump_answer(VipsAnswer(number=request.number, trouble=str(error)))
        text = dump_answer(VipsAnswer(number=request.number, page=page))
        if len(text) <= MOST_BYTES:
            return text
        trouble = f"the VIPs of this node are {len(text)} bytes: ask for one frontend"
        return dump_answer(VipsAnswer(number=request.number, trouble=trouble))
