"""What others' dashboards were reported for: odd names, clocks, proxies, and what people do."""

import copy
import re
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Route, expect

from lab.dashboard_proxy import PathProxy
from lab.dashboard_server import SINCE, DashboardServer, shown_backend, shown_frontend
from lab.dashboard_window import (
    BACKEND,
    FRONTEND,
    NARROW,
    NODE,
    VIPS,
    OpenPage,
    make_objects,
    open_page,
)
from lab.waiting import wait_for
from vpplb.model.names import ObjectKind

pytestmark = [pytest.mark.slow]


# --- what people write ----------------------------------------------------------------------------


def test_what_people_write_is_text_and_turns_nothing_round(shown: OpenPage) -> None:
    """HTML, marks of direction, no width, no end: as in a description or a server's answer."""
    described = "<img src=x onerror=alert(1)> \u202eright to left\u200b <b>end"
    odd = shown_frontend("web", {"a": "up", "b": "up"})
    odd["spec"]["description"] = described
    odd["status"]["conditions"].append(
        {"type": "Degraded", "status": "True", "reason": "Odd", "message": "\u202eabc" + "x" * 5000}
    )
    shown.server.change(FRONTEND, odd)
    backend = shown_backend("a")
    backend["status"]["detail"] = "<script>window.bad = 1</script>\u2067"
    shown.server.change(BACKEND, backend)
    page = shown.go("?open=shop/web")
    inside = shown.row("shop/web").locator(".inside")
    expect(inside).to_contain_text("<img src=x onerror=alert(1)>")
    expect(inside).to_contain_text("<script>window.bad = 1</script>")
    assert page.locator("main img, main script").count() == 0
    isolated = """() => ["td > div", "li", ".inside p"].map((one) =>
        getComputedStyle(document.querySelector(one)).unicodeBidi)"""
    assert set(page.evaluate(isolated)) == {"isolate"}
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 1280


def test_the_longest_names_and_numbers_fit_a_narrow_page(
    dashboard: DashboardServer, browser: Browser
) -> None:
    long = "a" * 253
    vips: dict[str, Any] = copy.deepcopy(dict(VIPS))
    packets = vips["vips"][0]["packets"]
    dashboard.vips = {"lb-1": vips}
    dashboard.change(FRONTEND, shown_frontend(long, {long: "down", "b": "up"}, namespace="n" * 63))
    with open_page(dashboard, browser, NARROW) as shown:
        page = shown.go(f"?open={'n' * 63}/{long}")
        expect(page.locator(".inside").first).to_be_visible()
        assert page.evaluate("document.scrollingElement.scrollWidth") <= NARROW["width"]
        page = shown.go("?view=nodes&open=lb-1")
        page.locator("tbody tr").first.wait_for()
        packets["first"] = 2**64
        vips["at"] = (datetime.fromisoformat(SINCE) + timedelta(seconds=1)).isoformat()
        expect(page.locator("td.number").first).to_have_text("18,446,744,073,709,552,000")
        assert page.evaluate("document.scrollingElement.scrollWidth") <= NARROW["width"]


def test_names_with_signs_of_addresses_are_asked_for_as_they_are(shown: OpenPage) -> None:
    """A node's name is not ours to choose."""
    name = "rack 1/ü?&#"
    node = {**NODE, "metadata": {"name": name, "labels": {}}}
    shown.server.change(ObjectKind.DATAPLANE, node)
    shown.server.vips = {name: {**VIPS, "node": name}}
    page = shown.go("?view=nodes")
    row = page.locator(".fold", has_text=name)
    row.get_by_role("button").click()
    expect(page).to_have_url(re.compile("open=rack"))
    page.reload()
    expect(row.locator(".inside")).to_be_visible()


# --- clocks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("minutes", [-60, 60])
def test_ages_are_told_by_the_servers_clock_and_a_wrong_one_is_said(
    dashboard: DashboardServer, browser: Browser, minutes: int
) -> None:
    backend = shown_backend("a")
    backend["status"]["since"] = (datetime.now(UTC) - timedelta(minutes=10)).isoformat()
    dashboard.change(BACKEND, backend)
    with open_page(dashboard, browser) as shown:
        shown.page.clock.install(time=datetime.now(UTC) + timedelta(minutes=minutes))
        page = shown.go("?open=shop/web")
        since = shown.row("shop/web").locator("td[data-column=Since]").first
        expect(since).to_have_text(re.compile("^(9|10) min$"))
        way = "ahead of" if minutes > 0 else "behind"
        said = page.get_by_label("What is wrong with the server")
        expect(said).to_contain_text(
            re.compile(f"this browser's is (59|60) min {way} the server's")
        )


def test_moments_have_their_date_and_zone(dashboard: DashboardServer, browser: Browser) -> None:
    told = {"from": "up", "to": "down", "code": "", "detail": "", "frontends": []}
    dashboard.tell("transition", backend="shop/a", at=SINCE, **told)
    with open_page(dashboard, browser, timezone_id="Asia/Kolkata", locale="en-GB") as shown:
        page = shown.go("?view=events")
        moment = page.locator("tbody th time").first
        expect(moment).to_have_text("01/01/2026, 17:30:00")
        title = moment.get_attribute("title") or ""
        assert title.endswith("2026-01-01T12:00:00.000Z")
        assert re.search(r"GMT\+5:30|IST", title)


# --- proxies --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/ops/lb/", "/ops/lb"])
def test_it_works_below_a_path_of_a_proxy_with_or_without_its_last_slash(
    dashboard: DashboardServer, browser: Browser, path: str
) -> None:
    with PathProxy(dashboard.port, "/ops/lb") as proxy:
        page = browser.new_page()
        page.goto(f"{proxy.url}{path}?open=shop/web")
        expect(page.locator(".link-state")).to_contain_text("live")
        expect(page.locator(".inside")).to_be_visible()
        page.get_by_role("link", name="Events").click()
        assert page.url.startswith(f"{proxy.url}/ops/lb/?")
        page.close()


def test_a_proxy_that_holds_the_stream_back_is_said_and_all_is_read_all_the_same(
    shown: OpenPage,
) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    shown.page.route("**/api/v1/events*", hold)
    shown.page.goto(shown.server.url)
    expect(shown.link).to_contain_text("events do not come through: read each 20 s")
    assert len(shown.rows) == 4
    assert len(held) == 1
    held[0].continue_()
    expect(shown.link).to_contain_text("live")


def test_a_proxy_that_answers_in_the_servers_place_is_told_from_it_and_not_flooded(
    shown: OpenPage,
) -> None:
    """As where one's sign-in has run out."""
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(status=401, content_type="text/html", body="<h1>Sign in</h1>")

    page = shown.go()
    page.route("**/*", refuse)
    shown.server.end_streams()  # the stream ends, and the next one is refused
    expect(shown.link).to_contain_text("something else answers in the server's place (401)")
    asked.clear()
    page.wait_for_timeout(4000)
    assert 1 <= len(asked) <= 12
    assert len(shown.rows) == 4, "what was read before stays, and is called old"


# --- what people do -------------------------------------------------------------------------------


def test_what_is_selected_stays_selected_while_much_happens(shown: OpenPage) -> None:
    page = shown.go("?open=shop/web")
    cell = shown.row("shop/web").locator("td[data-column=Address]").first
    expect(cell).to_have_text("10.0.0.1")
    cell.evaluate("(one) => getSelection().selectAllChildren(one)")
    for n in range(20):
        shown.server.change(BACKEND, shown_backend("b", "down" if n % 2 else "up"))
        told = shown_frontend("web", {"a": "up", "b": "up"})
        told["status"]["backends"][0]["effectiveWeight"] = n
        shown.server.change(FRONTEND, told)
        shown.server.probe("a")
        page.wait_for_timeout(100)
    page.wait_for_timeout(1000)
    assert page.evaluate("getSelection().toString()") == "10.0.0.1"


def test_the_keyboard_stays_where_it_is_when_rows_change_their_order(shown: OpenPage) -> None:
    shown.go()
    button = shown.row("shop/web").get_by_role("button")
    button.focus()
    shown.server.change(FRONTEND, shown_frontend("web", {"a": "down", "b": "down"}))
    wait_for(lambda: shown.rows.index("shop/web") < 3, "it moves up")
    expect(button).to_be_focused()
    shown.server.change(FRONTEND, shown_frontend("web", {"a": "up", "b": "up"}))
    wait_for(lambda: shown.rows.index("shop/web") == 3, "it moves down")
    expect(button).to_be_focused()


def test_a_page_from_the_browsers_cache_of_pages_connects_again(shown: OpenPage) -> None:
    """It lost its stream when another page was shown, and may not have been told."""
    page = shown.go()
    before = shown.count_asked("/api/v1/events")
    page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    wait_for(lambda: shown.count_asked("/api/v1/events") > before, "a new stream")
    expect(shown.link).to_contain_text("live")
    wait_for(lambda: shown.server.readers.streams == 1, "the old one is gone")


def test_on_paper_text_is_dark_however_dark_the_screen_is(shown: OpenPage) -> None:
    shown.page.emulate_media(media="print", color_scheme="dark")
    page = shown.go("?open=shop/web")
    colour = "(one) => getComputedStyle(one).color.match(/[0-9]+/g).map(Number)"
    for told in (page.locator("h1"), shown.row("shop/web").locator("td").first):
        assert max(told.evaluate(colour)) < 128
    assert page.locator("nav").evaluate("(one) => getComputedStyle(one).display") == "none"


def test_a_dark_screen_is_dark_before_anything_is_drawn(shown: OpenPage) -> None:
    shown.page.emulate_media(color_scheme="dark")
    page = shown.go()
    head = page.locator("head").inner_html()
    assert head.index('name="color-scheme"') < head.index("<style")


def test_many_unfolded_frontends_leave_a_connection_for_what_matters(
    browser: Browser,
) -> None:
    """A browser has six: the stream and the question whether it is there have theirs."""
    objects = make_objects()
    names = [f"f{n}" for n in range(30)]
    objects += [(FRONTEND, shown_frontend(name, {"a": "up"})) for name in names]
    with ExitStack() as stack:
        server = stack.enter_context(DashboardServer(*objects))
        shown = stack.enter_context(open_page(server, browser))
        slow: list[Route] = []

        def hold(route: Route) -> None:
            slow.append(route)

        shown.page.route("**/api/v1/probes*", hold)
        shown.go("?" + "&".join(f"open=shop/{name}" for name in names))
        wait_for(lambda: shown.count_asked("/api/v1/probes"), "probes are asked for")
        shown.page.wait_for_timeout(6000)
        assert len(slow) <= 3
        expect(shown.link).to_contain_text("live")
        for one in slow:
            one.abort()
        shown.page.unroute("**/api/v1/probes*")
