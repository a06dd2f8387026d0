"""Acting from the dashboard of a real `vpplb standalone`, in a real browser."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Browser, Locator, Page, Route, expect

from cluster.stage import VPPLB, SimulatedVpp
from data.manifests import backend, frontend
from lab.dashboard_server import DashboardServer
from lab.dashboard_window import NARROW, PICTURES, WIDE, make_objects, open_page
from lab.http_get import http_get
from lab.processes import Program, free_port
from lab.waiting import PATIENCE, wait_for

pytestmark = [pytest.mark.slow]

WEB = Path(__file__).parents[2] / "web"
PASSWORD = "correct horse battery staple"


class ActingRouter:
    """`vpplb standalone` with an account, on a simulated VPP: `web` has a and b, and c to spare."""

    def __init__(self, folder: Path, stack: ExitStack, *flags: str) -> None:
        pools = [
            {"name": "main", "backends": [{"name": "a"}, {"name": "b"}]},
            {"name": "spare", "backends": [{"name": "c"}]},
        ]
        written = [backend(name, f"10.0.0.{n}") for n, name in enumerate("abc", 1)]
        manifests = folder / "manifests"
        manifests.mkdir()
        (manifests / "all.yaml").write_text(yaml.safe_dump_all([*written, frontend(pools=pools)]))
        self.accounts = folder / "accounts"
        line = subprocess.run(
            [VPPLB, "account", "alice"], input=PASSWORD, capture_output=True, text=True, check=True
        )
        self.accounts.write_text(line.stdout)
        self.accounts.chmod(0o600)
        vpp = SimulatedVpp(folder)
        stack.callback(vpp.stop)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/"
        command: list[str | Path] = [
            *(VPPLB, "standalone", manifests, f"--vpp-api-socket={vpp.socket}"),
            *(f"--state-file={folder / 'state.json'}", "--control-socket="),
            *(f"--http-address=127.0.0.1:{port}", "--http-actions"),
            *(f"--http-accounts={self.accounts}", *flags),
        ]
        stack.enter_context(Program(command, log=folder / "standalone.log"))
        wait_for(lambda: http_get(f"{self.url}readyz")[0] == 200, "it is ready")

    def spec_of(self, kind: str, name: str) -> Any:
        return json.loads(http_get(f"{self.url}api/v1/{kind}/default/{name}")[1])["spec"]

    def is_paused(self, name: str) -> bool:
        return bool(self.spec_of("backends", name).get("paused"))


@pytest.fixture
def router(tmp_path: Path) -> Iterator[ActingRouter]:
    with ExitStack() as stack:
        yield ActingRouter(tmp_path, stack)


@pytest.fixture
def page(router: ActingRouter, browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport=WIDE)
    page.set_default_timeout(PATIENCE * 1000)
    expect.set_options(timeout=PATIENCE * 1000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if "Policy" in said.text else None)
    page.goto(f"{router.url}?open=default/web")
    yield page
    page.close()
    assert wrong == []


def sign_in(page: Page, password: str = PASSWORD) -> None:
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("Name", exact=True).fill("alice")
    page.get_by_label("Password").fill(password)
    page.get_by_role("dialog").get_by_role("button", name="Sign in").click()


def select(page: Page, *names: str) -> None:
    for name in names:
        page.get_by_role("checkbox", name=f"Select default/{name} ").check()


def choose(page: Page, action: str) -> None:
    page.locator(".actions").get_by_role("button", name=action).click()


def dialog(page: Page) -> Locator:
    return page.get_by_role("dialog")


def test_without_the_flag_nothing_of_it_is_there(browser: Browser) -> None:
    with DashboardServer(*make_objects()) as server, open_page(server, browser) as shown:
        page = shown.go("?open=shop/web")
        expect(shown.row("shop/web").locator(".inside tbody").first).to_be_visible()
        wait_for(lambda: shown.count_asked("api/v1/session"), "who is there is asked")
        expect(page.get_by_role("button", name="Sign in")).to_have_count(0)
        assert page.locator("dialog, .actions, tbody input").count() == 0


def test_one_signs_in_and_out_and_a_wrong_password_is_refused_in_words(page: Page) -> None:
    expect(page.locator(".inside").first).to_be_visible()
    assert page.locator("tbody input, .actions").count() == 0
    sign_in(page, "guess")
    expect(dialog(page).get_by_role("alert")).to_contain_text(re.compile("password|account"))
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(dialog(page)).to_have_count(0)
    expect(page.locator(".account")).to_contain_text("alice")
    page.reload()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    select(page, "a")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert page.locator("tbody input, .actions").count() == 0


def test_where_reading_is_for_some_the_page_asks_to_sign_in_and_then_shows_all(
    tmp_path: Path, browser: Browser
) -> None:
    with ExitStack() as stack:
        router = ActingRouter(tmp_path, stack, "--http-auth=accounts")
        page = browser.new_page(viewport=WIDE)
        page.goto(f"{router.url}?open=default/web")
        expect(page.get_by_text("Sign in to see what is here.")).to_be_visible()
        assert page.locator(".headline").count() == 0
        sign_in(page)
        expect(page.locator(".inside").first).to_be_visible()
        expect(page.locator(".link-state")).to_contain_text("live")
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_text("Sign in to see what is here.")).to_be_visible()
        page.close()


def test_one_backend_is_paused_after_it_was_shown_whose_flows_move(
    router: ActingRouter, page: Page
) -> None:
    sign_in(page)
    select(page, "a")
    choose(page, "Pause")
    expect(dialog(page)).to_contain_text("default/web")
    expect(dialog(page)).to_contain_text("of new flows go elsewhere")
    row = dialog(page).locator("tr", has_text="10.0.0.1")
    expect(row.locator("td").nth(0)).to_have_text(re.compile(r"^(49|50|51)\.\d %$"))
    expect(row.locator("td").nth(1)).to_have_text("0.0 %")
    expect(row.locator("td").nth(2)).to_have_text("stay")
    expect(dialog(page)).to_contain_text("default/a to be paused")
    assert not router.is_paused("a"), "nothing is done before it is confirmed"
    dialog(page).get_by_role("button", name="Pause 1 backend").click()
    expect(dialog(page)).to_contain_text("default/a done: paused")
    dialog(page).get_by_role("button", name="Close").click()
    assert router.is_paused("a")
    paused = page.locator("tr", has_text="10.0.0.1").locator(".state.paused")
    expect(paused).to_be_visible()
    page.get_by_role("link", name="Events").click()
    expect(page.locator("tbody")).to_contain_text("pause by alice: paused")


def test_a_drain_pauses_first_and_says_when_it_disables(router: ActingRouter, page: Page) -> None:
    sign_in(page)
    select(page, "a")
    choose(page, "Drain")
    expect(dialog(page)).to_contain_text("default/a to be paused, and disabled 60 s later")
    expect(dialog(page).locator("tr", has_text="10.0.0.1").locator("td").nth(1)).to_have_text(
        "0.0 %"
    )
    dialog(page).get_by_role("button", name="Drain 1 backend").click()
    expect(dialog(page)).to_contain_text("default/a draining: paused, and disabled 60 s later")
    assert router.is_paused("a")
    dialog(page).get_by_role("button", name="Close").click()
    select(page, "a")
    choose(page, "Drain")
    expect(dialog(page)).to_contain_text("default/a it is being drained")
    expect(dialog(page).get_by_role("button", name="Nothing to do")).to_be_disabled()


def test_many_are_changed_at_once_and_what_is_so_already_is_said(
    router: ActingRouter, page: Page
) -> None:
    sign_in(page)
    page.get_by_label("all of pool main").check()
    select(page, "c")
    expect(page.locator(".actions")).to_contain_text("3 backends selected")
    for expected in ("Disable 3 backends", "Nothing to do"):
        choose(page, "Disable")
        button = dialog(page).get_by_role("button", name=expected)
        expect(button).to_be_visible()
        if expected.startswith("Disable"):
            expect(dialog(page).locator("td.bad").first).to_have_text("are cut")
            expect(dialog(page)).to_contain_text("no server is left")
            PICTURES.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=PICTURES / "acting-1280-light.png")
            button.click()
            expect(dialog(page).locator(".outcomes li")).to_have_text(
                [re.compile(f"default/{name} done: ") for name in "abc"]
            )
            dialog(page).get_by_role("button", name="Close").click()
        else:
            expect(button).to_be_disabled()
            expect(dialog(page)).to_contain_text("already disabled")
            page.keyboard.press("Escape")
    assert [router.spec_of("backends", name).get("enabled") for name in "abc"] == [False] * 3
    page.get_by_role("button", name="Select none").click()
    expect(page.locator(".actions")).to_have_count(0)


def test_a_weight_is_that_of_what_is_selected_in_its_pool(router: ActingRouter, page: Page) -> None:
    sign_in(page)
    select(page, "b")
    page.get_by_label("Weight", exact=True).fill("25")
    page.get_by_role("button", name="Set", exact=True).click()
    expect(dialog(page)).to_contain_text("weight 100 → 25 in pool main of frontend default/web")
    row = dialog(page).locator("tr", has_text="10.0.0.2").locator("td")
    expect(row.nth(1)).to_have_text(re.compile(r"^(19|20|21)\.\d %$"))
    dialog(page).get_by_role("button", name="Set weight of 1 backend").click()
    expect(dialog(page)).to_contain_text("done: ")
    main, spare = router.spec_of("frontends", "web")["pools"]
    assert [one.get("weight", 100) for one in main["backends"]] == [100, 25]
    assert "weight" not in spare["backends"][0]


def test_what_one_pool_refuses_undoes_nothing_of_another_and_both_are_said(
    router: ActingRouter, page: Page
) -> None:
    def answer(route: Route) -> None:
        asked: Any = route.request.post_data_json
        if asked["pool"] == "spare" and not asked["dryRun"]:
            route.fulfill(status=503, json={"error": "the API server does not answer"})
        else:
            route.continue_()

    page.route("**/api/v1/actions", answer)
    sign_in(page)
    select(page, "b", "c")
    page.get_by_label("Weight", exact=True).fill("25")
    page.get_by_role("button", name="Set", exact=True).click()
    dialog(page).get_by_role("button", name="Set weight of 2 backends").click()
    of_b, of_c = (dialog(page).locator(".outcomes li", has_text=f"default/{n}") for n in "bc")
    expect(of_b).to_contain_text("done: weight 100 → 25 in pool main")
    expect(of_c).to_contain_text("failed: the API server does not answer")


def test_what_one_may_not_do_is_said_before_and_what_failed_after(
    router: ActingRouter, page: Page
) -> None:
    def answer(route: Route) -> None:
        """Have the server say so of b; an account of a router may do all."""
        answered = route.fetch()
        body = answered.json()
        kinds = ("forbidden", "you may not do this"), ("failed", "409: somebody else changed it")
        for one in body["backends"]:
            if one["backend"] == "default/b":
                one["outcome"], one["said"] = kinds[0] if body["dryRun"] else kinds[1]
        route.fulfill(response=answered, json=body)

    page.route("**/api/v1/actions", answer)
    sign_in(page)
    select(page, "a", "b")
    choose(page, "Pause")
    of_b = dialog(page).locator(".outcomes li", has_text="default/b")
    expect(of_b).to_have_text(re.compile("forbidden: you may not do this"))
    dialog(page).get_by_role("button", name="Pause 1 backend").click()
    expect(of_b).to_have_text(re.compile("failed: 409: somebody else changed it"))
    expect(of_b.locator(".bad")).to_be_visible()
    expect(dialog(page).locator(".outcomes li").first).to_have_text(re.compile("a done: paused"))


def test_a_refusal_of_the_server_is_shown_and_who_is_nobody_any_more_signs_in_again(
    router: ActingRouter, page: Page
) -> None:
    sign_in(page)
    select(page, "a")
    choose(page, "Pause")
    expect(dialog(page).get_by_role("button", name="Pause 1 backend")).to_be_enabled()
    router.accounts.write_text("")
    dialog(page).get_by_role("button", name="Pause 1 backend").click()
    expect(dialog(page).locator(".outcomes .bad")).to_contain_text("failed: sign in again")
    dialog(page).get_by_role("button", name="Close").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert page.locator(".actions").count() == 0
    assert not router.is_paused("a")


def test_a_keyboard_is_enough_to_act_and_escape_changes_nothing(
    router: ActingRouter, page: Page
) -> None:
    sign_in(page)
    box = page.get_by_role("checkbox", name="Select default/a ")
    box.focus()
    page.keyboard.press("Space")
    pause = page.locator(".actions").get_by_role("button", name="Pause")
    for _ in range(60):
        page.keyboard.press("Tab")
        if pause.evaluate("(one) => one === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(dialog(page).get_by_role("button", name="Pause 1 backend")).to_be_enabled()
    expect(dialog(page).get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog(page)).to_have_count(0)
    expect(pause).to_be_focused()
    assert not router.is_paused("a")
    page.keyboard.press("Enter")
    expect(dialog(page).get_by_role("button", name="Pause 1 backend")).to_be_enabled()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(dialog(page)).to_contain_text("done: paused")
    assert router.is_paused("a")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_acting_is_for_everybody(page: Page, scheme: Any) -> None:
    axe = (WEB / "node_modules/axe-core/axe.min.js").read_text()

    def find_serious() -> list[object]:
        page.evaluate(axe)
        found = page.evaluate("axe.run()")["violations"]
        return [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] != "minor"]

    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.get_by_role("button", name="Sign in").click()
    assert find_serious() == []
    page.keyboard.press("Escape")
    sign_in(page)
    page.get_by_label("all of pool main").check()
    page.set_viewport_size(NARROW)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= NARROW["width"]
    assert find_serious() == []
    page.screenshot(path=PICTURES / f"selected-390-{scheme}.png", full_page=True)
    choose(page, "Disable")
    expect(dialog(page).get_by_role("button", name="Disable 2 backends")).to_be_enabled()
    assert find_serious() == []
    page.screenshot(path=PICTURES / f"acting-390-{scheme}.png")
