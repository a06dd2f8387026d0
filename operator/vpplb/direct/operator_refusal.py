"""Why an operator refuses an agent, in the operator's words: they are what its user has to know.

aiohttp's own error of a websocket that is not opened has the status alone, so the answer is read
before that (`raise_for_refusal`, a middleware of the session).
"""

import asyncio
from http import HTTPStatus

from aiohttp import ClientError, ClientHandlerType, ClientRequest, ClientResponse

from vpplb.model.printable import make_printable

MOST_BYTES = 300
"""Bytes of an answer that are read: of a longer one the beginning is told."""


class OperatorRefused(ClientError):
    """The answer is no websocket; the text says what it is."""


async def raise_for_refusal(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Send a request; OperatorRefused where what it asks for, another protocol, is not begun."""
    response = await handler(request)
    if response.status == HTTPStatus.SWITCHING_PROTOCOLS:
        return response
    try:
        said = await response.content.readexactly(MOST_BYTES)
    except asyncio.IncompleteReadError as error:
        said = error.partial
    finally:
        response.close()
    words = make_printable(" ".join(said.decode(errors="replace").split()))
    raise OperatorRefused(
        f"it refuses this agent with HTTP {response.status}" + (f": {words}" if words else "")
    )
