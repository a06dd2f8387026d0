"""The dashboard in a real browser, over objects that a test makes up."""

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect, sync_playwright

from lab.dashboard_server import SINCE, DashboardServer, shown_backend, shown_frontend
from lab.waiting import PATIENCE
from vpplb.model.names import ObjectKind

PICTURES = Path(__file__).parents[2] / "build/pictures"
WIDE, NARROW = ViewportSize(width=1280, height=900), ViewportSize(width=390, height=844)

FRONTEND, BACKEND = ObjectKind.FRONTEND, ObjectKind.BACKEND
NODE = {
    "metadata": {"name": "lb-1", "labels": {}},
    "spec": {},
    "status": {
        "vpp": {"version": "26.10", "connected": True, "since": SINCE},
        "direct": {"operator": "op-1", "since": SINCE},
        "frontends": {"total": 3, "programmed": 3, "summary": "3/3"},
        "programmed": {"shop/web": "1", "shop/mail": "2"},
        "conditions": [{"type": "Connected", "status": "True", "reason": "Connected"}],
    },
}
CHECK = {
    "metadata": {"namespace": "shop", "name": "http", "labels": {}},
    "spec": {"type": "HTTP", "port": 80, "interval": "500ms"},
    "status": {"backends": 4},
}
VIPS: Mapping[str, Any] = {
    "node": "lb-1",
    "at": SINCE,
    "vips": [
        {
            "vip": "192.0.2.1/32 tcp/80",
            "frontend": "shop/web",
            "flowTableLength": 1024,
            "packets": {"existing": 10, "first": 2, "untracked": 0, "no_server": 0},
            "servers": [
                {"address": "10.0.0.1", "weight": 100, "buckets": 256},
                {"address": "10.0.0.2", "weight": 100, "buckets": 768},
            ],
        }
    ],
}


@contextmanager
def open_browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    assert chromium, "these tests need a browser: apt install chromium"
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"]  # tests run as root
        yield playwright.chromium.launch(executable_path=chromium, args=arguments)


@contextmanager
def open_page(
    server: DashboardServer, browser: Browser, size: ViewportSize = WIDE, **context: Any
) -> Iterator["OpenPage"]:
    """Show the dashboard in a window of its own; AssertionError if something goes wrong in it."""
    shown = OpenPage(server, browser, size, **context)
    yield shown
    shown.page.close()
    assert shown.wrong == []
    assert {url for url in shown.asked if not url.startswith(server.url)} <= {"data:,"}


class OpenPage:
    """The dashboard of a server in a window. Nothing may go wrong in it, or leave its origin."""

    def __init__(
        self, server: DashboardServer, browser: Browser, size: ViewportSize, **context: Any
    ) -> None:
        self.server, self.page = server, browser.new_page(viewport=size, **context)
        self.page.set_default_timeout(PATIENCE * 1000)
        expect.set_options(timeout=PATIENCE * 1000)
        self.wrong: list[str] = []
        self.asked: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def go(self, query: str = "") -> Page:
        self.page.goto(self.server.url + query)
        expect(self.link).to_have_text(re.compile("live"))
        return self.page

    @property
    def link(self) -> Locator:
        """What the page says of the server."""
        return self.page.locator(".link-state")

    @property
    def rows(self) -> list[str]:
        """The names of the frontends that are shown, in order."""
        return [one.strip() for one in self.page.locator(".fold .summary button").all_inner_texts()]

    def count_asked(self, part: str) -> int:
        """Let the browser go on a moment; count the requests so far with this in their address."""
        self.page.wait_for_timeout(50)
        return len([url for url in self.asked if part in url])

    def row(self, name: str) -> Locator:
        return self.page.locator(f'[id="{name}"]')


def make_objects() -> list[tuple[ObjectKind, dict[str, Any]]]:
    broken = ("False", "Rejected", "the address is one of others")
    standby = ("True", "StandbyPool", "pool spare serves")
    backends = [("a", "up"), ("b", "up"), ("c", "down"), ("d", "down")]
    return [
        (FRONTEND, shown_frontend("web", {"a": "up", "b": "up"})),
        (FRONTEND, shown_frontend("dead", {"c": "down", "d": "down"}, address="192.0.2.2")),
        (
            FRONTEND,
            shown_frontend(
                "mail", {"a": "up"}, address="2001:db8::1", pools=("spare",), Degraded=standby
            ),
        ),
        (FRONTEND, shown_frontend("new", {"a": "up"}, namespace="bank", Accepted=broken)),
        *((BACKEND, shown_backend(name, state)) for name, state in backends),
        (BACKEND, shown_backend("a", namespace="bank")),
        (ObjectKind.HEALTH_CHECK, CHECK),
        (ObjectKind.DATAPLANE, NODE),
    ]
