"""Answers are kept for a minute, longer while none can be had, and asked for once at a time."""

import asyncio

import pytest

from vpplb.kube.api_types import ApiUnreachable, api_error
from vpplb.kube.user_api.kept_answers import FRESH, MOST_ANSWERS, REST, STALE, KeptAnswers, NoAnswer


class Server:
    """An API server that answers, or does not; `asked` counts how often."""

    def __init__(self) -> None:
        self.answer: bool | Exception = True
        self.asked = 0
        self.now = 0.0
        self.kept = KeptAnswers[bool](now=lambda: self.now)

    async def ask(self) -> bool:
        self.asked += 1
        await asyncio.sleep(0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def find(self, name: str = "alice") -> bool:
        return await self.kept.get_answer(name, self.ask)


async def test_an_answer_counts_for_a_minute() -> None:
    server = Server()
    assert await server.find()
    server.answer, server.now = False, FRESH - 1
    assert await server.find()
    server.now = FRESH
    assert not await server.find()
    assert server.asked == 2


async def test_all_who_ask_for_the_same_wait_for_one_answer() -> None:
    server = Server()
    assert await asyncio.gather(*(server.find() for _ in range(10))) == [True] * 10
    assert server.asked == 1


@pytest.mark.parametrize(
    "failure", [ApiUnreachable("no answer in 3 s"), api_error(503, "", "away")], ids=["none", "503"]
)
async def test_while_no_answer_can_be_had_that_of_before_counts_for_ten_minutes(
    failure: Exception,
) -> None:
    """Metrics are wanted most while the API server is away (kube-rbac-proxy#59)."""
    server = Server()
    await server.find()
    server.answer, server.now = failure, STALE - 1
    assert await server.find()
    server.now = STALE
    with pytest.raises(NoAnswer, match="cannot be asked at present"):
        await server.find()


async def test_who_is_not_known_is_told_that_nobody_can_be_asked() -> None:
    server = Server()
    server.answer = ApiUnreachable("no answer in 3 s")
    with pytest.raises(NoAnswer, match="no answer in 3 s"):
        await server.find()


async def test_a_server_that_is_away_is_not_waited_for_at_each_request() -> None:
    """A scrape that waits for the API server's timeout fails in any case (deckhouse#11986)."""
    server = Server()
    await server.find()
    server.answer, server.now = ApiUnreachable("no answer"), FRESH
    for _ in range(10):
        assert await server.find()
    assert server.asked == 2
    server.now += REST
    assert await server.find()
    assert server.asked == 3


async def test_who_asks_the_server_too_often_does_not_keep_others_from_asking() -> None:
    server = Server()
    server.answer = api_error(429, "TooManyRequests", "too many requests")
    with pytest.raises(NoAnswer, match="too many requests"):
        await server.find("one")
    server.answer = True
    assert await server.find("another")


async def test_answers_are_bounded() -> None:
    server = Server()
    for number in range(MOST_ANSWERS + 5):
        await server.find(str(number))
    assert len(server.kept._kept) == MOST_ANSWERS
