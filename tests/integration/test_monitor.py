"""`vpplb monitor` against servers, as people and pipelines run it."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path
from subprocess import PIPE, STDOUT
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from data.manifests import backend, frontend
from lab.http_get import http_get
from lab.processes import free_port
from lab.servers import CountingHttpServer, ScriptedServer, answering
from lab.waiting import wait_for
from vpplb.cli.main import cli

PROGRAM = Path(sys.executable).with_name("vpplb")
SHORT = ("--interval", "20ms", "--for", "400ms")

pytestmark = pytest.mark.slow


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["monitor", *arguments], prog_name="vpplb")


def interrupted(until: Callable[[], object], *arguments: str) -> tuple[str, int]:
    """Run the program until something holds, hit Ctrl-C; return what it said, and its exit."""
    command = [str(PROGRAM), "monitor", *arguments]
    with subprocess.Popen(command, stdout=PIPE, stderr=STDOUT, text=True) as running:
        try:
            wait_for(until, "what it is interrupted after")
        finally:
            running.send_signal(signal.SIGINT)
            said, _ = running.communicate(timeout=30)
    return said, running.returncode


def told(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def server() -> Any:
    with CountingHttpServer() as running:
        yield running


def test_a_vip_that_answers_passes_and_the_summary_says_how_fast(
    server: CountingHttpServer,
) -> None:
    result = call(f"127.0.0.1:{server.port}", *SHORT, "--max-errors", "0")
    assert result.exit_code == 0, result.output
    first, second = result.stdout.splitlines()
    assert re.fullmatch(
        rf"127\.0\.0\.1:{server.port}, by TCP: \d+ probes in 0\.\d s, 0 failed", first
    )
    assert re.fullmatch(r"  p50 .* ms  p95 .* ms  p99 .* ms  max .* ms", second)


def test_a_failure_more_than_may_be_exits_with_1(server: CountingHttpServer) -> None:
    server.status = 503
    url = f"http://127.0.0.1:{server.port}/"
    assert call(url, *SHORT).exit_code == 0, "nobody said how many may fail"
    assert call(url, *SHORT, "--max-errors", "1000").exit_code == 0
    result = call(url, *SHORT, "--max-errors", "0")
    assert result.exit_code == 1
    assert "fails: unexpected (503 Service Unavailable)" in result.stdout
    assert call(url, *SHORT, "--max-errors", "0", "--expect", "503").exit_code == 0


def test_what_is_lost_is_counted_though_somebody_interrupts_meanwhile(
    server: CountingHttpServer,
) -> None:
    server.hang = True
    url = f"http://127.0.0.1:{server.port}/"
    said, status = interrupted(lambda: server.waiting, url, "--timeout", "3s", "--max-errors", "0")
    assert status == 1
    assert re.search(r"(\d+) probes? in .* s, \1 failed \(\1 timeout\)", said)


def test_json_is_an_object_a_line_from_failure_to_summary(server: CountingHttpServer) -> None:
    server.status = 404
    url = f"http://127.0.0.1:{server.port}/x"
    lines = told(call(url, *SHORT, "-o", "json", "--report", "150ms"))
    assert [line["what"] for line in lines][:2] == ["failing", "figures"]
    assert lines[0]["kind"] == "unexpected"
    assert lines[0]["detail"] == "404 Not Found"
    summary = lines[-1]
    assert (summary["what"], summary["vip"], summary["asked"]) == ("summary", url, "HTTP GET /x")
    assert summary["failures"] == {"unexpected": summary["probes"]}
    assert "p50Ms" not in summary, "nothing passed: there is no time, not even 0"
    assert sum(line["probes"] for line in lines if line["what"] == "figures") < summary["probes"]


def test_a_line_of_a_period_says_how_many_turns_had_no_probe(server: CountingHttpServer) -> None:
    server.hang = True
    url = f"http://127.0.0.1:{server.port}/"
    result = call(url, *SHORT, "--timeout", "100ms", "--report", "200ms", "-o", "lines")
    line = next(line for line in result.stdout.splitlines() if "nothing passed" in line)
    probes, turns = map(int, re.findall(r"(\d+) (?:probes?|turns?)", line))
    assert probes < 5 < turns
    assert line.endswith("turns without a probe")


def test_servers_are_told_apart_by_what_the_body_says() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\nI am web-1 now"
    with ScriptedServer(answering(answer)) as server:
        url = f"http://127.0.0.1:{server.port}/"
        result = call(url, *SHORT, "--server-body", r"I am (\S+)", "-o", "json")
    summary = told(result)[-1]
    assert summary["servers"] == {"web-1": summary["passed"]}


def test_frontends_of_manifests_are_probed_and_what_cannot_be_is_said(
    server: CountingHttpServer, tmp_path: Path
) -> None:
    objects = (
        frontend(address="127.0.0.1", port=server.port),
        frontend("dns", address="127.0.0.1", port=53, protocol="UDP"),
        backend(),
    )
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(objects))
    result = call("-f", str(tmp_path), *SHORT)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"default/web (127.0.0.1:{server.port}), by TCP: ")
    assert "note: not probed: default/dns: 127.0.0.1/32 udp/53 is UDP" in result.stderr


def test_prometheus_reads_the_same(server: CountingHttpServer) -> None:
    where, page = f"127.0.0.1:{server.port}", f"127.0.0.1:{free_port()}"
    texts: list[str] = []

    def read() -> bool:
        texts.append(http_get(f"http://{page}/metrics")[1])
        return f'vpplb_monitor_probes_total{{result="passed",vip="{where}"}}' in texts[-1]

    _, status = interrupted(read, where, "--listen", page)
    assert status == 0
    assert f'vpplb_monitor_probes_total{{result="timeout",vip="{where}"}} 0.0' in texts[-1]
    assert f'vpplb_monitor_failing{{vip="{where}"}} 0.0' in texts[-1]


def test_ctrl_c_ends_it_with_a_summary_and_0(server: CountingHttpServer) -> None:
    url = f"http://127.0.0.1:{server.port}/"
    said, status = interrupted(lambda: server.requests.total() > 3, url)
    assert status == 0
    assert re.search(r"by HTTP GET /: \d+ probes in .* s, 0 failed", said)


def test_who_reads_no_more_ends_it_without_a_word(server: CountingHttpServer) -> None:
    """As `vpplb monitor … | head -1` does."""
    where = f"127.0.0.1:{server.port}"
    command = [str(PROGRAM), "monitor", where, "-o", "json", "--report", "50ms"]
    with subprocess.Popen(command, stdout=PIPE, stderr=PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert json.loads(running.stdout.readline())["what"] == "figures"
        running.stdout.close()
        assert running.stderr.read() == ""
        assert running.wait(timeout=10) == 1


def on_terminal(widths: Sequence[int], *arguments: str) -> tuple[str, int]:
    """Run the program on a terminal of one width, and 0.6 s after it began to write of the next.

    Returns what it wrote, and its exit.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        time.sleep(0.1)  # until the terminal has its size
        # This environment alone: readline has put a size into the process's own.
        environment = {**os.environ, "TERM": "xterm-256color"}
        os.execve(PROGRAM, [str(PROGRAM), "monitor", *arguments], environment)
    written, coming = b"", iter(widths)
    resize_at = 0.0
    while True:
        if time.monotonic() >= resize_at and (width := next(coming, None)):
            fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
            resize_at = inf
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        resize_at = min(resize_at, time.monotonic() + 0.6)
        written += piece
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    return written.decode(), status


def without_codes(written: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written)


def last_picture(written: str) -> list[str]:
    """Return the lines of the page as it was drawn last."""
    *_, last = without_codes(written).split("1 VIP from outside:")
    picture, _, _ = last.partition("Ctrl-C")
    return [line.rstrip() for line in f"1 VIP from outside:{picture}".splitlines()]


def test_a_terminal_has_a_page_that_ends_as_a_summary(server: CountingHttpServer) -> None:
    written, status = on_terminal([160], f"127.0.0.1:{server.port}", "--for", "1200ms")
    text = without_codes(written)
    assert status == 0, text
    assert re.search(r"1 VIP from outside: \d+ probes in 1 s, 0 failed", text)
    assert "last minute" in text
    assert re.search(r"by TCP: 1\d probes in 1\.\d s, 0 failed", text)


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (120, ["asked by", "probes", "failed", "p50", "p95", "p99", "max"]),
        (92, ["asked by", "probes", "failed", "p50", "p95", "p99", "max"]),
        (44, ["probes", "failed", "p99"]),
        (36, ["failed", "p99"]),
    ],
)
def test_a_narrow_terminal_has_fewer_columns_and_each_number_whole(
    server: CountingHttpServer, width: int, columns: list[str]
) -> None:
    """A table of rich makes all columns narrower alike: of each time two digits were left."""
    where = f"127.0.0.1:{server.port}"
    written, status = on_terminal([width], where, "--for", "1200ms")
    head, titles, row = last_picture(written)[:3]
    assert status == 0, written
    assert len(head) <= width
    assert row.startswith(where)
    assert titles.replace("asked by", "asked·by").split()[1 : len(columns) + 1] == [
        one.replace(" ", "·") for one in columns
    ]
    times = sum(one in ("p50", "p95", "p99", "max") for one in columns)
    assert len(re.findall(r"\d(?:\.\d+)? m?s\b", row)) == times


def test_a_terminal_that_changes_its_size_is_drawn_anew(server: CountingHttpServer) -> None:
    where = f"127.0.0.1:{server.port}"
    written, status = on_terminal([160, 80], where, "--for", "2s")
    assert status == 0
    assert written.count("\x1b[2J") == 1, "what was drawn in the size before is taken away, once"
    assert "last minute" in without_codes(written.split("\x1b[2J")[0])
    assert "last minute" not in without_codes(written.split("\x1b[2J")[1])
