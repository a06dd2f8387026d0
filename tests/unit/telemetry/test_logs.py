import io
import json
import logging
import re
from collections.abc import Iterator

import pytest
from kopf import OperatorSettings

from vpplb.telemetry.logs import LogFormat, configure_logs


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Give the loggers back as they were."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in ("kopf", "asyncio", "aiohttp", "kubernetes", "urllib3"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def lines(level: str = "info", format: LogFormat | None = "json") -> io.StringIO:
    out = io.StringIO()
    configure_logs(level, format, out)
    return out


def test_json_is_one_object_a_line_with_an_rfc_3339_time() -> None:
    out = lines()
    logging.getLogger("vpplb.vpp.client").warning("VPP is %s", "gone", extra={"socket": "/run/x"})
    [line] = out.getvalue().splitlines()
    record = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record.pop("time"))
    assert record == {
        "level": "warning",
        "logger": "vpplb.vpp.client",
        "message": "VPP is gone",
        "socket": "/run/x",
    }


def test_the_journal_gets_a_priority_on_each_line_and_no_time() -> None:
    out = lines("debug", "journal")
    log = logging.getLogger("vpplb.vpp.client")
    log.debug("asked")
    log.info("connected")
    log.warning("VPP is gone\n<0>forged", extra={"socket": "/run/x"})
    try:
        raise ValueError("no")
    except ValueError:
        log.exception("it failed")
    log.critical("the end")
    first, *rest = out.getvalue().splitlines()
    assert [first, *rest[:3]] == [
        "<7>vpp.client: asked",
        "<6>vpp.client: connected",
        r"<4>vpp.client: VPP is gone\n<0>forged  socket=/run/x",
        "<3>vpp.client: it failed",
    ]
    assert rest[-2:] == ["<3>ValueError: no", "<2>vpp.client: the end"]
    assert all(line.startswith("<3>") for line in rest[2:-1]), "a traceback is as severe"


def test_json_keeps_an_exception_on_its_line() -> None:
    out = lines()
    try:
        raise ValueError("no")
    except ValueError:
        logging.getLogger("vpplb").exception("it failed")
    [line] = out.getvalue().splitlines()
    assert "ValueError: no" in json.loads(line)["exception"]


def test_a_value_that_json_does_not_know_becomes_its_text() -> None:
    out = lines()
    logging.getLogger("vpplb").info("x", extra={"what": {1}})
    assert json.loads(out.getvalue())["what"] == "{1}"


def test_the_console_is_a_short_line_without_colours_where_there_is_no_terminal() -> None:
    out = lines(format="console")
    logging.getLogger("vpplb.kube.status_writer").info("written", extra={"kind": "Backend"})
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d\.\d{3} INFO    kube\.status_writer: written  kind=Backend\n",
        out.getvalue(),
    )


def test_levels_are_whole_words() -> None:
    out = lines("debug", "console")
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        logging.getLogger("vpplb").log(level, "x")
    assert [line.split()[1] for line in out.getvalue().splitlines()] == [
        "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL",
    ]  # fmt: skip


@pytest.mark.parametrize(("out", "console"), [(Terminal(), True), (io.StringIO(), False)])
def test_without_a_format_a_terminal_gets_the_console_and_all_else_json(
    out: io.StringIO, console: bool
) -> None:
    configure_logs(stream=out)
    logging.getLogger("vpplb").error("hello")
    assert out.getvalue().startswith("{") is not console
    assert ("\x1b[31m" in out.getvalue()) is console


def test_lines_below_the_level_are_not_written() -> None:
    out = lines("warning")
    logging.getLogger("vpplb").info("quiet")
    assert out.getvalue() == ""


def test_kopf_speaks_in_our_form_of_warnings_and_worse_and_names_the_object() -> None:
    out = lines("debug")
    logger = logging.getLogger("kopf.objects")
    logger.info("Handler 'x' succeeded.")
    about = {"kind": "Backend", "namespace": "shop", "name": "web", "uid": "u"}
    extra = {"k8s_ref": about, "k8s_skip": True, "settings": OperatorSettings()}
    logger.warning("odd", extra=extra)
    record = json.loads(out.getvalue())
    assert (record["message"], record["object"]) == ("odd", "Backend shop/web")
    assert record.keys() == {"time", "level", "logger", "message", "object"}


def test_configuring_twice_writes_each_line_once() -> None:
    lines()
    out = lines()
    logging.getLogger("vpplb").info("once")
    assert len(out.getvalue().splitlines()) == 1


HOSTILE = "\x1b[2J\n2026-01-01 ERROR forged \x9b31m \u202e"


@pytest.mark.parametrize("format", ["console", "json"])
def test_what_others_wrote_neither_forges_a_line_nor_acts_on_a_terminal(format: LogFormat) -> None:
    out = lines(format=format)
    logging.getLogger("vpplb").warning("said %s", HOSTILE, extra={"detail": HOSTILE})
    assert out.getvalue().endswith("\n")
    assert out.getvalue()[:-1].isprintable()


def test_a_traceback_keeps_its_lines_and_no_codes() -> None:
    out = lines(format="console")
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        logging.getLogger("vpplb").exception("it failed")
    assert out.getvalue().count("\n") > 3
    assert "".join(out.getvalue().splitlines()).isprintable()


def test_escaped_json_is_read_back_as_it_was_logged() -> None:
    out = lines()
    logging.getLogger("vpplb").warning(HOSTILE)
    assert json.loads(out.getvalue())["message"] == HOSTILE
