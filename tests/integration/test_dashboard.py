"""The dashboard in a real browser: what people see of what the API tells, and how old it is."""

import gzip
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, ViewportSize, expect

from lab.dashboard_server import SINCE, DashboardServer, shown_backend, shown_frontend
from lab.dashboard_window import (
    BACKEND,
    FRONTEND,
    NARROW,
    PICTURES,
    VIPS,
    WIDE,
    OpenPage,
    make_objects,
)
from lab.http_get import http_get
from lab.processes import Program, free_port
from lab.waiting import PATIENCE, wait_for

pytestmark = [pytest.mark.slow]

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
PAGE = ROOT / "operator/vpplb/telemetry/dashboard.html"
NOTICED = 5.0
"""Seconds within which the page has to say that the server is silent; and what a browser needs."""
VIEWS = ("frontends", "nodes", "checks", "events")


# --- what is wrong comes first --------------------------------------------------------------------


def test_what_is_wrong_comes_first_and_the_headline_counts_it(shown: OpenPage) -> None:
    page = shown.go()
    assert shown.rows == ["bank/new", "shop/dead", "shop/mail", "shop/web"]
    headline = page.locator(".headline").inner_text()
    assert "4 frontends: 1 down, 2 with problems" in headline
    assert "Backends: 2 down, 3 up" in headline
    expect(page).to_have_title("(3) vpplb")
    expect(shown.row("shop/dead")).to_contain_text("0 of 2 up")
    expect(shown.row("shop/mail")).to_contain_text("StandbyPool")
    expect(shown.row("shop/mail")).to_contain_text("[2001:db8::1]:80 TCP")


def test_what_the_server_says_of_itself_is_shown(shown: OpenPage) -> None:
    shown.server.not_ready = "requests fail for 9 s: refused"
    page = shown.go()
    expect(page.get_by_label("What is wrong with the server")).to_contain_text("fail for 9 s")
    shown.server.not_ready = ""
    expect(page.get_by_label("What is wrong with the server")).to_have_count(0)
    expect(shown.link).to_contain_text("this operator leads")


def test_who_leads_and_stands_by_is_shown_and_each_change_of_it_at_once(shown: OpenPage) -> None:
    page = shown.go("?view=nodes")
    operators = page.get_by_label("Operators")
    expect(operators).to_have_text(re.compile(r"Leads\s*op-1 for \d+ d\s*Stand by\s*op-2"))
    expect(operators).to_have_text(re.compile(r"Last decision here\s*\d+ d ago"))
    shown.server.elect(role="standby", leader="op-2", standbys=["op-1"])
    expect(shown.link).to_contain_text("stands by, op-2 leads")
    shown.server.elect(leader="", leaderSince=None, standbys=None, trouble="the lease ran out")
    expect(shown.link).to_contain_text("nobody leads")
    expect(operators).to_contain_text("not known, since the direct road is off")
    shown.server.elect(role="alone")
    expect(operators).to_have_count(0)


def test_since_when_nobody_probes_stands_above_all_else(shown: OpenPage) -> None:
    page = shown.go()
    wrong = page.get_by_label("What is wrong with the server")
    shown.server.elect(leader="", silentSince=SINCE, trouble="the lease ran out")
    expect(wrong).to_have_text(re.compile(r"Nobody probes for \d+ d: .* as of then. the lease ran"))
    expect(page).to_have_title(re.compile(r"^\? "))
    shown.server.elect(role="suspended", leader="op-1", silentSince=None, trouble="no answer")
    expect(wrong).to_contain_text("op-1 leads, but cannot renew its lease. no answer")
    shown.server.elect(role="leading", trouble="")
    expect(wrong).to_have_count(0)
    expect(page).to_have_title("(3) vpplb")


def test_a_frontend_unfolds_to_its_backends_with_reasons_and_exact_shares(shown: OpenPage) -> None:
    page = shown.go()
    shown.row("shop/dead").get_by_role("button").click()
    inside = shown.row("shop/dead").locator(".inside")
    expect(inside.locator("tbody").first).to_contain_text("L4CON: connection refused")
    expect(inside.locator("tbody").first).to_contain_text("100 → 0")
    expect(inside).to_contain_text("Last transitions")
    shown.row("shop/web").get_by_role("button").click()
    first, second = shown.row("shop/web").locator("tbody").first.locator("tr").all()
    expect(first).to_contain_text("25.0 %")
    expect(second).to_contain_text("75.0 %")
    assert "≈" not in page.content()


# --- checks and nodes ----------------------------------------------------------------------------


def test_who_uses_a_check_is_named_while_somebody_looks(shown: OpenPage) -> None:
    page = shown.go("?view=checks")
    page.get_by_role("button", name="Who uses shop/http").click()
    users = page.locator(".users li")
    expect(users).to_have_count(5)
    expect(users.filter(has_text="shop/c")).to_contain_text("down")
    shown.server.change(BACKEND, shown_backend("c", "up"))
    expect(users.filter(has_text="shop/c")).to_contain_text("up")
    page.get_by_role("button", name="Who uses shop/http").click()
    expect(users).to_have_count(0)


def test_what_somebody_else_changes_in_vpp_is_told_of_its_node(shown: OpenPage) -> None:
    page = shown.go("?view=nodes&open=lb-1")
    row = shown.row("lb-1")
    expect(row.locator("table")).to_be_visible()
    expect(row.get_by_text("Drift")).to_have_count(0)  # an agent of an older version
    for repaired, last, said in (
        (0, None, "nobody else has changed anything"),
        (3, SINCE, "3 changes of somebody else were undone"),
    ):
        told = {**VIPS, "at": f"2026-01-01T12:00:0{repaired}Z"}
        shown.server.vips = {"lb-1": {**told, "drift": {"repaired": repaired, "last": last}}}
        expect(row.get_by_text("Drift")).to_contain_text(said)
    assert page.locator(".warning", has_text="Drift").count() == 1


# --- live -----------------------------------------------------------------------------------------


def test_a_failover_is_seen_as_it_happens_and_stays_in_the_events(shown: OpenPage) -> None:
    page = shown.go("?open=shop/web")
    expect(shown.row("shop/web").locator("tbody").first).to_contain_text("L7OK")
    shown.server.change(BACKEND, shown_backend("b", "down"))
    shown.server.change(FRONTEND, shown_frontend("web", {"a": "up", "b": "down"}))
    shown.server.tell(
        "transition",
        backend="shop/b",
        **{"from": "up", "to": "down", "at": SINCE, "code": "L4CON", "detail": "refused"},
        frontends=["shop/web"],
    )
    moved = {"frontend": "shop/web", "from": "main", "to": "spare", "at": SINCE}
    shown.server.tell("failover", **moved)
    expect(shown.row("shop/web")).to_contain_text("1 of 2 up")
    expect(shown.row("shop/web").locator("tbody").first).to_contain_text("connection refused")
    page.get_by_role("link", name="Events").click()
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("pool main → pool spare")
    expect(rows.nth(1)).to_contain_text("up → down (L4CON: refused)")


def test_events_of_before_are_there_and_the_tail_pauses_and_filters(shown: OpenPage) -> None:
    told = {"from": "up", "at": SINCE, "code": "", "detail": "", "frontends": []}
    for name in ("a", "b"):
        shown.server.tell("transition", backend=f"shop/{name}", **{**told, "to": "down"})
    page = shown.go("?view=events")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(2)
    page.get_by_role("button", name="Pause").click()
    shown.server.tell("transition", backend="shop/c", **{**told, "to": "paused"})
    page.get_by_role("button", name="Go on (1 new)").wait_for()
    expect(rows).to_have_count(2)
    page.get_by_role("button", name="Go on").click()
    expect(rows).to_have_count(3)
    page.get_by_label("Search").fill("shop/b")
    expect(rows).to_have_count(1)
    page.get_by_label("Search").fill("")
    page.get_by_label("What").select_option("failovers of pools")
    expect(rows).to_have_count(0)


def test_only_what_changed_is_drawn_again(shown: OpenPage) -> None:
    page = shown.go()
    page.evaluate("""() => {
        window.drawn = new Set();
        new MutationObserver((changes) => changes.forEach(({ target }) => {
            const row = (target.nodeType === 1 ? target : target.parentElement).closest(".fold");
            if (row) window.drawn.add(row.id);
        })).observe(document.body, {subtree: true, childList: true, characterData: true});
    }""")
    shown.server.change(FRONTEND, shown_frontend("mail", {"a": "up", "b": "up"}))
    expect(shown.row("shop/mail")).to_contain_text("2 of 2 up")
    assert page.evaluate("[...window.drawn]") == ["shop/mail"]


def test_the_demos_failover_is_seen_with_the_shares_of_its_vpp(
    browser: Browser, tmp_path: Path
) -> None:
    """The whole program, from the probe that fails to the picture."""
    port = free_port()
    demo: list[str | Path] = [
        Path(sys.executable).with_name("vpplb"),
        "demo",
        f"--http-address=127.0.0.1:{port}",
    ]
    with Program(demo, log=tmp_path / "demo.log"):
        page = browser.new_page(viewport=WIDE)
        page.set_default_timeout(PATIENCE * 1000)
        wait_for(lambda: http_get(f"http://127.0.0.1:{port}/readyz")[0] == 200, "it serves")
        page.goto(f"http://127.0.0.1:{port}/?open=default/web")
        shares = page.locator(".share:visible", has_text="%")
        expect(shares.first).to_have_text("65.8 %")  # 674 of 1,024 buckets
        page.get_by_role("link", name="Events").click()
        page.locator("tr", has_text="pool primary → pool standby").wait_for()
        page.locator("tr", has_text="up → down (L4CON: connection refused)").first.wait_for()
        page.get_by_role("link", name="Nodes").click()
        expect(page.locator(".fold").first).to_contain_text("1/1 frontends")
        page.close()


# --- how old it is --------------------------------------------------------------------------------


def test_a_server_that_hangs_is_noticed_and_so_is_its_return(shown: OpenPage) -> None:
    page = shown.go()
    shown.server.hang(9)
    expect(shown.link).to_contain_text("the server does not answer", timeout=NOTICED * 1000 + 1000)
    expect(shown.link).to_contain_text("all below is as of")
    expect(page).to_have_title(re.compile(r"^\? "))
    expect(shown.link).to_contain_text("live")


def test_a_server_that_is_gone_is_noticed_and_so_is_another_in_its_place(browser: Browser) -> None:
    with DashboardServer(*make_objects()) as server:
        shown = OpenPage(server, browser, WIDE)
        shown.go()
    expect(shown.link).to_contain_text("cannot be reached", timeout=NOTICED * 1000 + 1000)
    other = (FRONTEND, shown_frontend("other", {"a": "up"}))
    with DashboardServer(other, port=server.port):
        expect(shown.link).to_contain_text("live")
        wait_for(lambda: shown.rows == ["shop/other"], "what the other one has")
        shown.page.close()


def test_after_a_sleep_all_is_asked_for_anew(shown: OpenPage) -> None:
    shown.page.clock.install()
    shown.go()
    before = len([url for url in shown.asked if "/api/v1/events" in url])
    shown.page.clock.fast_forward("10:00")

    def asked_again() -> bool:
        shown.page.wait_for_timeout(100)
        return len([url for url in shown.asked if "/api/v1/events" in url]) > before

    wait_for(asked_again, "the events are asked for again")
    expect(shown.link).to_contain_text("live")


def test_a_tab_that_nobody_looks_at_keeps_no_connection(shown: OpenPage) -> None:
    """A browser has six for all its tabs, so the seventh would show nothing."""
    hide = """(hidden) => {
        Object.defineProperty(document, "hidden", {configurable: true, get: () => hidden});
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page = shown.go()
    assert shown.server.readers.streams == 1
    page.evaluate(hide, True)
    wait_for(lambda: shown.server.readers.streams == 0, "the stream is let go")
    shown.server.change(FRONTEND, shown_frontend("web", {"a": "down", "b": "down"}))
    page.evaluate(hide, False)
    expect(shown.row("shop/web")).to_contain_text("0 of 2 up")
    assert shown.server.readers.streams == 1


# --- the address ----------------------------------------------------------------------------------


def test_filters_are_kept_in_the_address(shown: OpenPage) -> None:
    page = shown.go()
    page.get_by_label("Search").fill("192.0.2.")
    wait_for(lambda: "shop/mail" not in shown.rows, "the search is done")
    page.get_by_label("State").select_option("up")
    page.get_by_label("Namespace").select_option("shop")
    wait_for(lambda: shown.rows == ["shop/web"], "both filters")
    page.reload()
    wait_for(lambda: shown.rows == ["shop/web"], "the same after a reload")
    page.get_by_role("button", name="show all").click()
    wait_for(lambda: len(shown.rows) == 4, "all")
    page.get_by_label("Pool").select_option("spare")
    wait_for(lambda: shown.rows == ["shop/mail"], "a pool")
    page.go_back()
    wait_for(lambda: shown.rows == ["shop/web"], "what was shown before all were")
    page.get_by_role("button", name="show all").click()
    page.get_by_label("Node").select_option("lb-1")
    wait_for(lambda: set(shown.rows) == {"shop/mail", "shop/web"}, "what a node carries")
    page.get_by_label("Problems only").check()
    wait_for(lambda: shown.rows == ["shop/mail"], "problems alone")


def test_a_link_to_a_frontend_unfolds_it(shown: OpenPage) -> None:
    page = shown.go()
    address = shown.row("shop/web").get_by_role("link").get_attribute("href")
    shown.go(address or "")
    expect(shown.row("shop/web").locator(".inside")).to_be_visible()
    assert page.locator(".inside").count() == 1


# --- for everybody --------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_it_is_readable_for_everybody(
    dashboard: DashboardServer,
    browser: Browser,
    size: ViewportSize,
    scheme: Literal["light", "dark"],
) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    axe = (WEB / "node_modules/axe-core/axe.min.js").read_text()
    shown = OpenPage(dashboard, browser, size)
    shown.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    dashboard.tell("failover", frontend="shop/web", at=SINCE, **{"from": "main", "to": ""})
    for view in VIEWS:
        page = shown.go(f"?view={view}&open=shop/dead&open=shop/web&open=lb-1")
        page.locator("main > *").first.wait_for()
        page.wait_for_timeout(300)
        if view == "frontends":
            page.locator(".share").first.wait_for()
        page.screenshot(path=PICTURES / f"{view}-{size['width']}-{scheme}.png", full_page=True)
        width = page.evaluate("document.scrollingElement.scrollWidth")
        assert width <= size["width"], f"{view} is {width} wide"
        page.evaluate(axe)
        found = page.evaluate("axe.run()")
        serious = [
            (one["id"], one["nodes"][0]["html"])
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
        ]
        assert serious == []
        moving = "[...document.querySelectorAll('*')].filter((one) =>"
        moving += " !/^0s(, 0s)*$/.test(getComputedStyle(one).transitionDuration)).length"
        assert page.evaluate(moving) == 0
    shown.page.close()


def test_on_a_narrow_page_each_cell_says_its_column(
    dashboard: DashboardServer, browser: Browser
) -> None:
    shown = OpenPage(dashboard, browser, NARROW)
    page = shown.go("?open=shop/dead")
    cell = shown.row("shop/dead").locator("td", has_text="connection refused").first
    told = cell.evaluate("(one) => getComputedStyle(one, '::before').content")
    assert told == '"Why"'
    page.close()


def test_a_keyboard_is_enough(shown: OpenPage) -> None:
    page = shown.go()
    page.keyboard.press("/")
    expect(page.get_by_label("Search")).to_be_focused()
    page.keyboard.type("dead")
    wait_for(lambda: shown.rows == ["shop/dead"], "the search is done")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.summary button')"):
            break
    page.keyboard.press("Enter")
    expect(shown.row("shop/dead").locator(".inside")).to_be_visible()


# --- how it is made -------------------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def tools() -> None:
    """Install what `web/` is built and tested with, as it is locked there."""
    stamp = WEB / "node_modules/.package-lock.json"
    if not stamp.exists() or stamp.stat().st_mtime < (WEB / "package-lock.json").stat().st_mtime:
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=WEB, check=True, stdout=subprocess.DEVNULL)


def test_the_page_is_what_its_sources_make(tmp_path: Path) -> None:
    subprocess.run(["npx", "tsc", "--noEmit"], cwd=WEB, check=True)
    made = tmp_path / "dashboard.html"
    subprocess.run(["node", "build.mjs", os.fspath(made)], cwd=WEB, check=True)
    assert made.read_text() == PAGE.read_text(), "run `make dashboard`"
    assert len(gzip.compress(PAGE.read_bytes(), 6)) < 60_000
