"""The last probes of each backend, as the dashboard shows them in a real browser."""

import re

import pytest
from playwright.sync_api import Browser, Locator, expect

from lab.dashboard_server import DashboardServer
from lab.dashboard_window import PICTURES, OpenPage, make_objects
from lab.waiting import wait_for
from vpplb.model.health import ProbeCode
from vpplb.model.names import ObjectKey

pytestmark = [pytest.mark.slow]


def probes_of(shown: OpenPage, backend: str) -> Locator:
    name = shown.page.locator("th[scope=row]", has_text=re.compile(rf"^\s*{backend}$"))
    rows = shown.row("shop/web").locator("tr", has=name)
    return rows.first.locator(".probes")


def wait_until_followed(shown: OpenPage, name: str) -> None:
    key = ObjectKey("shop", name)
    wait_for(lambda: key in shown.server.histories.backends, "somebody looks at its probes")


def test_probe_times_are_drawn_and_said_in_words(shown: OpenPage) -> None:
    shown.go("?open=shop/web")
    wait_until_followed(shown, "a")
    for took in (0.001, 0.004, 0.002):
        shown.server.probe("a", took)
    shown.server.probe("b", 2.5, ProbeCode.L7TOUT, "no answer")
    shown.server.probe("b", 0.0004)
    picture = probes_of(shown, "a").get_by_role("img")
    said = "3 probes: last 2.0 ms, median 2.0 ms, maximum 4.0 ms, none failed"
    expect(picture).to_have_attribute("aria-label", said)
    expect(probes_of(shown, "a")).to_contain_text("2.0 ms")
    assert picture.locator("path").count() == 1
    failed = probes_of(shown, "b").get_by_role("img")
    expect(failed).to_have_attribute("aria-label", re.compile("1 failed, the last with L7TOUT"))
    drawn = failed.locator("path.failed")
    line = failed.locator("path").first
    colours = [one.evaluate("(path) => getComputedStyle(path).stroke") for one in (line, drawn)]
    assert colours[0] != colours[1]
    assert "z" in (drawn.get_attribute("d") or ""), "a shape of its own"
    for n in range(57):
        shown.server.probe("a", 0.002 + 0.001 * (n % 7))
        shown.server.probe(
            "b", 0.004 - 0.001 * (n % 3), ProbeCode.L7OK if n % 9 else ProbeCode.L7STS
        )
    expect(picture).to_have_attribute("aria-label", re.compile("^60 probes"))
    PICTURES.mkdir(parents=True, exist_ok=True)
    shown.page.screenshot(path=PICTURES / "probes-1280-light.png", full_page=True)


def test_each_new_probe_is_a_beat_and_without_probes_there_is_none(shown: OpenPage) -> None:
    page = shown.go("?open=shop/web")
    page.evaluate("""() => {
        window.beats = [];
        addEventListener("animationstart", ({target, animationName}) => {
            if (animationName === "beat") window.beats.push(target.className);
        });
    }""")
    wait_until_followed(shown, "a")
    shown.server.probe("a")
    wait_for(lambda: page.evaluate("window.beats") == ["beat up"], "a beat")
    shown.server.probe("a", code=ProbeCode.L4CON)
    wait_for(lambda: page.evaluate("window.beats") == ["beat up", "beat down"], "another")
    page.wait_for_timeout(2500)
    assert page.evaluate("window.beats.length") == 2
    shown.server.unprobed.add(ObjectKey("shop", "a"))
    expect(probes_of(shown, "a")).to_contain_text("not probed")
    assert probes_of(shown, "a").locator(".beat").count() == 0


def test_nothing_moves_for_who_wants_no_motion(shown: OpenPage) -> None:
    shown.page.emulate_media(reduced_motion="reduce")
    shown.go("?open=shop/web")
    wait_until_followed(shown, "a")
    shown.server.probe("a")
    beat = probes_of(shown, "a").locator(".beat")
    expect(beat).to_be_visible()
    assert beat.evaluate("(one) => getComputedStyle(one).animationName") == "none"


def test_probes_are_asked_for_while_a_frontend_is_unfolded_and_the_tab_is_seen(
    shown: OpenPage,
) -> None:
    page = shown.go()
    page.wait_for_timeout(1500)
    assert shown.count_asked("/api/v1/probes") == 0
    shown.row("shop/web").get_by_role("button").click()
    wait_for(lambda: shown.count_asked("/api/v1/probes") > 1, "they are asked for")
    shown.row("shop/web").get_by_role("button").click()
    expect(shown.row("shop/web").locator(".inside")).to_have_count(0)
    before = shown.count_asked("/api/v1/probes")
    page.wait_for_timeout(2500)
    assert shown.count_asked("/api/v1/probes") == before
    assert all("frontend=shop%2Fweb" in url for url in shown.asked if "/api/v1/probes" in url)


def test_another_servers_probes_take_the_place_of_those_before(browser: Browser) -> None:
    with DashboardServer(*make_objects()) as server:
        shown = OpenPage(server, browser, {"width": 1280, "height": 900})
        shown.go("?open=shop/web")
        wait_until_followed(shown, "a")
        for _ in range(5):
            server.probe("a", 0.5)
        picture = probes_of(shown, "a").get_by_role("img")
        expect(picture).to_have_attribute("aria-label", re.compile("^5 probes"))
    with DashboardServer(*make_objects(), port=server.port) as other:
        shown.server = other
        wait_until_followed(shown, "a")
        other.probe("a", 0.25)
        said = "1 probe: last 250 ms, median 250 ms, maximum 250 ms, none failed"
        expect(picture).to_have_attribute("aria-label", said)
        shown.page.close()
