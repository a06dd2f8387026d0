"""The operator's end of the direct road, the product's own, on a socket of this machine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from fakes.agent_handler import FakeAgentHandler
from lab.raw_agent import RawAgent
from vpplb.direct.certificate import make_certificate
from vpplb.direct.messages import DecisionBatch, DecisionEntry, OperatorRole
from vpplb.direct.server import DirectServer, VerifyToken
from vpplb.direct.tokens import TokenRefused
from vpplb.model.decision_order import DecisionOrder
from vpplb.model.names import ObjectKey

CERTIFICATE = make_certificate()


async def verify(token: str, node: str) -> object:
    match token:
        case "good":
            return node
        case "late":
            raise TokenRefused(HTTPStatus.SERVICE_UNAVAILABLE, "no key is known yet")
        case "foreign":
            raise TokenRefused(HTTPStatus.FORBIDDEN, f"the token is not of {node}")
        case _:
            raise TokenRefused(HTTPStatus.UNAUTHORIZED, "the token has expired")


@asynccontextmanager
async def serving(
    handler: FakeAgentHandler, *, verify_token: VerifyToken = verify, **settings: float
) -> AsyncIterator[DirectServer]:
    server = DirectServer(
        host="127.0.0.1",
        port=0,
        certificate=CERTIFICATE,
        verify=verify_token,
        handler=handler,
        **settings,  # type: ignore[arg-type]  # most_agents, the one int, is compared only
    )
    async with server:
        yield server


def decided(frontend: ObjectKey, sequence: int = 1, size: int = 0) -> DecisionEntry:
    return DecisionEntry(
        frontend=frontend,
        uid=f"uid-{frontend.name}",
        order=DecisionOrder(7, sequence),
        dataplane={"revision": f"r{sequence}", "servers": "x" * size},
    )


async def hear_state(agent: RawAgent) -> tuple[OperatorRole, list[DecisionEntry]]:
    """Read the role, and the batches up to the one with which the state is whole."""
    role, entries = await agent.hear(), list[DecisionEntry]()
    assert isinstance(role, OperatorRole)
    while role.leads:
        batch = await agent.hear()
        assert isinstance(batch, DecisionBatch)
        assert batch.term == role.term
        entries.extend(batch.entries)
        if batch.whole:
            break
    return role, entries
