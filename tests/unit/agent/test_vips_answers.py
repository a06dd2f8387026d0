import asyncio
from collections.abc import Mapping
from typing import Any

from data.objects import key
from vpplb.agent.vips_answers import MOST_ASKED, VipsAnswers
from vpplb.direct.client import OperatorConnection
from vpplb.direct.messages import MOST_BYTES, VipsAnswer, VipsRequest, load_message
from vpplb.model.names import ObjectKey
from vpplb.telemetry.http import PageUnavailable


class AskedConnection(OperatorConnection):
    """A connection on which somebody has asked: `answers` are what he was sent."""

    answers: list[VipsAnswer]
    gone = False

    async def send_text(self, text: str) -> None:
        if self.gone:
            raise ConnectionError("not connected")
        answer = load_message(text)
        assert isinstance(answer, VipsAnswer)
        self.answers.append(answer)


def make_connection(*, gone: bool = False) -> AskedConnection:
    connection = AskedConnection()
    connection.answers, connection.gone = [], gone
    return connection


async def answer(answers: VipsAnswers) -> None:
    """Let all that was asked be answered."""
    running = asyncio.create_task(answers.run())
    for _ in range(4 * MOST_ASKED):
        await asyncio.sleep(0)
    running.cancel()


async def read(frontend: ObjectKey | None) -> Mapping[str, Any]:
    return {"vips": [str(frontend)]}


async def test_each_question_is_answered_where_it_was_asked() -> None:
    answers, first, second = VipsAnswers(read), make_connection(), make_connection()
    answers.put_request(VipsRequest(number=7), first)
    answers.put_request(VipsRequest(number=7, frontend=key("web")), second)
    await answer(answers)
    assert first.answers == [VipsAnswer(number=7, page={"vips": ["None"]})]
    assert second.answers == [VipsAnswer(number=7, page={"vips": ["default/web"]})]


async def test_who_is_gone_costs_the_others_nothing() -> None:
    answers, there = VipsAnswers(read), make_connection()
    answers.put_request(VipsRequest(number=1), make_connection(gone=True))
    answers.put_request(VipsRequest(number=2), there)
    await answer(answers)
    assert [one.number for one in there.answers] == [2]


async def test_what_cannot_be_told_is_said() -> None:
    async def blind(frontend: ObjectKey | None) -> Mapping[str, object]:
        raise PageUnavailable("VPP cannot be read: no answer")

    async def endless(frontend: ObjectKey | None) -> Mapping[str, object]:
        return {"vips": ["x" * MOST_BYTES]}

    asked = make_connection()
    for one in (blind, endless):
        answers = VipsAnswers(one)
        answers.put_request(VipsRequest(number=1), asked)
        await answer(answers)
    unread, long = (one.trouble for one in asked.answers)
    assert unread == "VPP cannot be read: no answer"
    assert long.endswith("bytes: ask for one frontend")


async def test_too_many_questions_are_not_kept() -> None:
    answers, asked = VipsAnswers(read), make_connection()
    for number in range(MOST_ASKED + 5):
        answers.put_request(VipsRequest(number=number), asked)
    await answer(answers)
    assert [one.number for one in asked.answers] == list(range(MOST_ASKED))
