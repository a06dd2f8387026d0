import re2

from vpplb.model.check import HttpProbe
from vpplb.model.health import ProbeResult
from vpplb.monitor.served_by import NAME_LIMIT, ServedByConversation, ServerNaming
from vpplb.probers.conversation import BodySearch, Step
from vpplb.probers.http import HttpCheck, HttpConversation
from vpplb.resources.addresses import read_address

BY_HEADER = ServerNaming(header="X-Served-By")
BY_BODY = ServerNaming(body=re2.compile(rb"host (\S+)"))
OK = b"HTTP/1.1 200 OK\r\n"


def told(name: ServerNaming, *pieces: bytes, regexp: str = "") -> tuple[list[str], Step]:
    """Feed pieces of an answer; return the names that were told, and the last step."""
    probe = HttpProbe(port=80, response_regexp=regexp)
    names: list[str] = []
    inner = HttpConversation(HttpCheck(probe, read_address("192.0.2.1")))
    conversation = ServedByConversation(inner, name, names.append)
    step: Step = conversation.on_connected()
    for piece in pieces:
        assert not isinstance(step, ProbeResult), "it has ended"
        step = conversation.on_data(piece)
        while isinstance(step, BodySearch):
            step = step.then(step.regexp.found_in(step.body, whole=step.whole))
    return names, step


def passed(step: Step) -> bool:
    return isinstance(step, ProbeResult) and step.code.is_pass


def test_a_header_names_the_server_whatever_its_case_and_the_cut_into_packets() -> None:
    names, step = told(BY_HEADER, OK + b"x-served-BY:  web", b"-1 \r\nB: c\r\n\r\n")
    assert names == ["web-1"]
    assert passed(step)


def test_an_answer_without_the_header_has_no_name() -> None:
    names, step = told(BY_HEADER, OK + b"Via: X-Served-By: web-1\r\n\r\n")
    assert names == [""]
    assert passed(step)


def test_the_final_answer_names_it_and_no_interim_one() -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nX-Served-By: edge\r\n\r\n"
    assert told(BY_HEADER, interim, OK + b"X-Served-By: web-1\r\n\r\n")[0] == ["web-1"]


def test_a_failure_names_nobody() -> None:
    answer = b"HTTP/1.1 503 Away\r\nX-Served-By: web-1\r\n\r\n"
    names, step = told(BY_HEADER, answer)
    assert names == []
    assert isinstance(step, ProbeResult)


def test_a_body_is_read_to_its_length_before_it_names_the_server() -> None:
    head = OK + b"Content-Length: 16\r\n\r\n"
    assert told(BY_BODY, head) == ([], b"")
    assert told(BY_BODY, head, b"I am host") == ([], b"")
    names, step = told(BY_BODY, head + b"I am host", b" web-2\n")
    assert names == ["web-2"]
    assert passed(step)


def test_a_body_in_chunks_or_until_the_end_names_it_too() -> None:
    chunks = OK + b"Transfer-Encoding: chunked\r\n\r\n"
    assert told(BY_BODY, chunks, b"6\r\nhost w\r\n", b"4\r\neb-3\r\n0\r\n\r\n")[0] == ["web-3"]
    assert told(BY_BODY, OK + b"\r\nhost web", b"-4", b"")[0] == ["web-4"]


def test_a_body_that_breaks_off_names_it_by_what_came() -> None:
    names, step = told(BY_BODY, OK + b"Content-Length: 99\r\n\r\nhost web-5 ", b"")
    assert names == ["web-5"]
    assert passed(step)


def test_what_the_check_looks_for_in_the_body_is_still_looked_for() -> None:
    answer = OK + b"Content-Length: 10\r\n\r\nhost web-6"
    names, step = told(BY_BODY, answer, regexp="web-\\d")
    assert (names, passed(step)) == (["web-6"], True)
    names, step = told(BY_BODY, answer, regexp="other")
    assert (names, passed(step)) == ([], False)


def test_a_name_is_short_and_fit_for_a_terminal() -> None:
    (name,), _ = told(BY_HEADER, OK + b"X-Served-By: \x1b[2J" + b"w" * 200 + b"\r\n\r\n")
    assert name.startswith("\\u001b[2J")
    assert len(name) == NAME_LIMIT
