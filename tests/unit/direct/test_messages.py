import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.objects import key
from lab.direct_operator import dump_batch
from vpplb.direct.messages import (
    AgentHello,
    DecisionBatch,
    DecisionEntry,
    Message,
    MessageError,
    OperatorAddress,
    OperatorRole,
    ProgrammedReport,
    VipsAnswer,
    VipsRequest,
    dump_answer,
    dump_hello,
    dump_report,
    dump_request,
    dump_role,
    load_message,
)
from vpplb.model.decision_order import LATEST, DecisionOrder
from vpplb.model.names import ObjectKey

COUNTS = st.integers(0, LATEST)
NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
KEYS = st.builds(ObjectKey, NAMES, NAMES)
TEXTS = st.text(max_size=30)
JSON = st.dictionaries(TEXTS, st.one_of(st.booleans(), st.integers(), TEXTS, st.lists(TEXTS)))

MESSAGES = {
    "questions": (
        dump_request,
        st.builds(VipsRequest, number=COUNTS, frontend=st.none() | KEYS),
    ),
    "answers": (dump_answer, st.builds(VipsAnswer, number=COUNTS, page=JSON, trouble=TEXTS)),
    "roles": (
        dump_role,
        st.builds(
            OperatorRole,
            identity=TEXTS,
            leads=st.booleans(),
            term=COUNTS,
            why=TEXTS,
            operators=st.lists(
                st.builds(OperatorAddress, identity=TEXTS, address=TEXTS, fingerprint=TEXTS)
            ).map(tuple),
        ),
    ),
    "batches": (
        dump_batch,
        st.builds(
            DecisionBatch,
            term=COUNTS,
            entries=st.lists(
                st.builds(
                    DecisionEntry,
                    frontend=KEYS,
                    uid=TEXTS,
                    order=st.builds(DecisionOrder, COUNTS, COUNTS),
                    dataplane=st.none() | JSON,
                    holding=st.booleans(),
                    gone=st.booleans(),
                )
            ).map(tuple),
            whole=st.booleans(),
        ),
    ),
    "hellos": (dump_hello, st.builds(AgentHello, version=TEXTS, newest_term=COUNTS)),
    "reports": (
        dump_report,
        st.builds(
            ProgrammedReport,
            whole=st.booleans(),
            connected=st.booleans(),
            programmed=st.dictionaries(KEYS, TEXTS),
            errors=st.dictionaries(KEYS, TEXTS),
            removed=st.lists(KEYS).map(tuple),
        ),
    ),
}


@pytest.mark.parametrize(("dump", "messages"), MESSAGES.values(), ids=MESSAGES)
def test_what_is_written_is_read_back(
    dump: Callable[[Message], str], messages: st.SearchStrategy[Message]
) -> None:
    @given(messages)
    def read_back(message: Message) -> None:
        text = dump(message)
        assert load_message(text) == message
        assert text.isascii()  # so its characters are its bytes

    read_back()


FIELDS = st.sampled_from(
    ["term", "entries", "identity", "leads", "connected", "programmed", "page"]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(FIELDS, inner),
)


TYPES = ("role", "decisions", "hello", "report", "askVips", "vips")


@given(st.sampled_from(TYPES), st.dictionaries(FIELDS, ANYTHING))
def test_whatever_is_sent_is_read_or_refused(kind: str, content: dict[str, object]) -> None:
    try:
        read = load_message(json.dumps({**content, "type": kind}))
    except MessageError:
        return
    assert read is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"type":1}',
        '{"type":"hello"}',
        '{"type":"hello","version":"1","newestTerm":"5"}',
        '{"type":"hello","version":"1","newestTerm":true}',
        f'{{"type":"hello","version":"1","newestTerm":{LATEST + 1}}}',
        '{"type":"role","identity":"a","leads":true,"term":1,"operators":[{}]}',
        '{"type":"decisions","term":1,"entries":{}}',
        '{"type":"decisions","term":1,"entries":["web"]}',
        '{"type":"report","connected":true,"programmed":["default/web"]}',
        '{"type":"report","connected":true,"removed":["web"]}',
        "[" * 100_000,
    ],
)
def test_what_is_not_as_described_is_refused(text: str) -> None:
    with pytest.raises(MessageError):
        load_message(text)


def test_what_a_later_version_says_beside_is_passed_over() -> None:
    assert load_message('{"type":"of a later version","x":1}') is None
    text = dump_report(ProgrammedReport(programmed={key("web"): "r1"}))
    later = json.dumps({**json.loads(text), "more": [1]})
    assert load_message(later) == load_message(text)
