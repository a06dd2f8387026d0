"""Acting from a router's dashboard: by an account, over what the files say, as `vpplb ctl`."""

import asyncio
import base64
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from data.manifests import backend, frontend, health_check
from in_memory.router import WEB, LocalRouter
from lab.event_reader import EventReader
from lab.waiting import eventually
from vpplb.files import account_file
from vpplb.files.account_file import hash_password
from vpplb.standalone.app import StandaloneApp
from vpplb.standalone.local_people import LocalPeople
from vpplb.telemetry.http_access import HttpAccess

pytestmark = pytest.mark.looptime

CHECKED = {"healthCheckRef": {"name": "check"}}
TWO = [{"name": "main", "backends": [{"name": "a"}, {"name": "b"}]}]
FILES = (
    health_check(),
    backend("a", "10.0.0.1", **CHECKED),
    backend("b", "10.0.0.2", **CHECKED),
    frontend(pools=TWO),
)
OWN = {"X-Vpplb-Request": "page"}
SAID = base64.urlsafe_b64encode(b'["alice", 9000000000000]').decode()
"""What a cookie of alice says, before its seal."""


@pytest.fixture
def router(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalRouter:
    monkeypatch.setattr(account_file, "COST", 2)
    accounts = tmp_path / "accounts"
    accounts.write_text(f"alice:{hash_password('so secret')}\n")
    accounts.chmod(0o600)
    made = LocalRouter(tmp_path, *FILES)
    made.http_address = "127.0.0.1:0"
    made.http_access = HttpAccess(actions=True, accounts=accounts)
    return made


class Page:
    """The dashboard in a browser."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def sign_in(self, password: str = "so secret") -> int:
        body = {"name": "alice", "password": password}
        async with self.session.post("/api/v1/session", json=body, headers=OWN) as response:
            return response.status

    async def act(self, action: str, *names: str, **more: object) -> tuple[int, Any]:
        body = {"action": action, "backends": [f"default/{name}" for name in names], **more}
        async with self.session.post("/api/v1/actions", json=body, headers=OWN) as response:
            return response.status, await response.json()

    async def read(self, path: str) -> tuple[int, Any]:
        async with self.session.get(path) as response:
            return response.status, await response.json()


@asynccontextmanager
async def opened(app: StandaloneApp) -> AsyncIterator[Page]:
    jar = aiohttp.CookieJar(unsafe=True)
    url = f"http://{app._http.listen_address}"
    async with aiohttp.ClientSession(url, cookie_jar=jar) as session:
        yield Page(session)


@asynccontextmanager
async def signed_in(app: StandaloneApp) -> AsyncIterator[Page]:
    async with opened(app) as page:
        assert await page.sign_in() == 200
        yield page


async def test_who_has_no_account_cannot_act(router: LocalRouter) -> None:
    async with router.running("a", "b") as app, opened(app) as page:
        assert (await page.read("/api/v1/session"))[1]["signIn"] == "password"
        assert await page.sign_in("so secreT") == 401
        assert (await page.act("pause", "a"))[0] == 401


async def test_a_dry_run_says_whose_flows_move_and_changes_nothing(router: LocalRouter) -> None:
    async with router.running("a", "b") as app, signed_in(app) as page:
        await router.weigh(100, 100)
        status, told = await page.act("pause", "a", dryRun=True)
        assert (status, told["dryRun"], told["name"]) == (200, True, "alice")
        assert told["backends"] == [
            {"backend": "default/a", "allowed": True, "outcome": "possible", "said": "paused"}
        ]
        (web,) = told["frontends"]
        assert (web["frontend"], web["changed"]["part"]) == ("default/web", 0.5)
        shares = {
            one["backends"][0]: (one["before"]["part"], one["after"]["part"], one["cut"])
            for one in web["servers"]
        }
        assert shares == {"default/a": (0.5, 0.0, False), "default/b": (0.5, 1.0, False)}
        assert told["calls"] == [f"{WEB}  = 10.0.0.1 weight 0"]
        assert router.weights() == [100, 100]


async def test_a_dry_run_of_disabling_says_that_flows_are_cut(router: LocalRouter) -> None:
    async with router.running("a", "b") as app, signed_in(app) as page:
        await router.weigh(100, 100)
        for action in ("disable", "drain"):
            _, told = await page.act(action, "b", dryRun=True)
            (web,) = told["frontends"]
            assert [one["cut"] for one in web["servers"]] == [False, True]
            assert told["calls"] == [f"{WEB}  = 10.0.0.2 weight 0 flush"]
        assert told["notes"] == ["for 60 s they get no new flows and keep theirs; then all is cut"]


async def test_a_pause_goes_the_road_of_ctl_and_says_who_did_it(
    router: LocalRouter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with router.running("a", "b") as app, signed_in(app) as page:
        await router.weigh(100, 100)
        assert (await page.act("pause", "a", "b"))[1]["backends"] == [
            {"backend": f"default/{name}", "allowed": True, "outcome": "done", "said": "paused"}
            for name in ("a", "b")
        ]
        await router.weigh(0, 0)
        assert (await page.act("pause", "a"))[1]["backends"][0]["outcome"] == "already"
        assert "alice, from the dashboard" in router.changes_file.read_text()
        assert "a.paused" in await router.say("status", "web")
        assert (await page.act("resume", "a", "b"))[1]["backends"][0]["said"] == "resumed"
        await router.weigh(100, 100)
    assert "Backend default/a: pause by alice from the dashboard: paused" in caplog.text


async def test_a_weight_is_of_each_pool_or_of_one(router: LocalRouter) -> None:
    async with router.running("a", "b") as app, signed_in(app) as page:
        await router.weigh(100, 100)
        more = {"frontend": "default/web", "weight": 5}
        _, told = await page.act("weight", "b", **more, pool="main")
        said = "weight 100 → 5 in pool main of frontend default/web"
        assert (told["backends"][0]["outcome"], told["backends"][0]["said"]) == ("done", said)
        await router.weigh(100, 5)
        _, told = await page.act("weight", "b", **more)
        assert told["backends"][0]["said"] == "already weight 5"
        _, told = await page.act("weight", "b", **more, pool="spare")
        assert told["backends"][0]["outcome"] == "failed"
        assert "pool spare of frontend default/web has no" in told["backends"][0]["said"]


async def test_what_is_not_there_is_said_and_the_rest_is_done(router: LocalRouter) -> None:
    async with router.running("a", "b") as app, signed_in(app) as page:
        await router.weigh(100, 100)
        _, told = await page.act("disable", "a", "gone")
        assert [one["outcome"] for one in told["backends"]] == ["done", "failed"]
        assert told["backends"][1]["said"] == "there is no Backend default/gone"
        await eventually(lambda: router.lb.flushes, "flows are cut")
        assert router.lb.flushes == [(WEB, ip_address("10.0.0.1"))]


async def test_a_drain_pauses_first_and_disables_when_flows_had_time(router: LocalRouter) -> None:
    async with router.running("a", "b") as app, signed_in(app) as page:
        await router.weigh(100, 100)
        _, told = await page.act("drain", "a", grace="400ms")
        assert told["backends"][0]["outcome"] == "draining"
        _, again = await page.act("drain", "a", grace="400ms")
        assert again["backends"][0]["said"] == "it is being drained"
        await router.weigh(0, 100)
        assert router.lb.flushes == []
        await eventually(lambda: router.lb.flushes, "flows are cut at the end")
        _, told = await page.act("enable", "a")
        assert told["backends"][0]["said"] == "enabled"


async def test_two_who_drain_at_once_drain_once(
    router: LocalRouter, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_have_looked = asyncio.Barrier(2)

    async def may_edit(*_: object) -> bool:
        await both_have_looked.wait()
        return True

    monkeypatch.setattr(LocalPeople, "may_edit", may_edit)
    async with router.running("a", "b") as app, signed_in(app) as page:
        await router.weigh(100, 100)
        both = await asyncio.gather(*(page.act("drain", "a", grace="300ms") for _ in range(2)))
        assert [status for status, _ in both] == [200, 200]
        finishing = [one for one in asyncio.all_tasks() if "_finish_drain" in repr(one)]
        assert len(finishing) == 1
        await eventually(lambda: "`enable` brings it back" in caplog.text, "it has ended")
    assert "NOT DONE" not in caplog.text


async def test_a_drained_backend_that_somebody_resumes_meanwhile_is_left_in(
    router: LocalRouter, caplog: pytest.LogCaptureFixture
) -> None:
    async with router.running("a", "b") as app, signed_in(app) as page:
        await router.weigh(100, 100)
        await page.act("drain", "a", grace="300ms")
        await router.weigh(0, 100)
        await page.act("resume", "a")
        await eventually(lambda: "NOT DONE: not disabled" in caplog.text, "the drain gives up")
        await router.weigh(100, 100)
        assert router.lb.flushes == []


@pytest.mark.looptime(False)  # a thread reads them
async def test_what_people_did_is_in_the_stream_of_events(router: LocalRouter) -> None:
    async with router.running("a", "b") as app, signed_in(app) as page:
        await router.weigh(100, 100)
        url = f"http://{app._http.listen_address}/api/v1/events"
        with await asyncio.to_thread(EventReader, url) as reader:
            await page.act("pause", "a")
            await eventually(lambda: "action" in reader.read_types(), "the action is told")
            (told,) = [one.data for one in reader.events if one.type == "action"]
        assert (told["action"], told["backend"], told["by"]) == ("pause", "default/a", "alice")
        assert (told["done"], told["said"]) == (True, "paused")


async def test_an_account_that_is_gone_or_changed_is_signed_out(router: LocalRouter) -> None:
    accounts = router.http_access.accounts
    assert accounts is not None
    async with router.running("a", "b") as app, signed_in(app) as page:
        accounts.write_text(f"alice:{hash_password('another')}\n")
        assert (await page.read("/api/v1/session"))[1]["signedIn"] is False
        assert (await page.act("pause", "a"))[0] == 401
        assert await page.sign_in("another") == 200


async def test_accounts_that_others_can_read_let_nobody_in_and_the_log_says_why(
    router: LocalRouter, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer does not: anybody may ask."""
    accounts = router.http_access.accounts
    assert accounts is not None
    accounts.chmod(0o644)
    async with router.running("a", "b") as app, opened(app) as page:
        assert "its mode is 0644" in caplog.text, "before anybody tries"
        body = {"name": "alice", "password": "so secret"}
        async with page.session.post("/api/v1/session", json=body, headers=OWN) as response:
            assert response.status == 503
            said = (await response.json())["error"]
            assert said == "the accounts cannot be read: the program's log says why"
        assert await page.sign_in() == 503
    assert caplog.text.count("its mode is 0644") == 1


async def test_a_password_is_guessed_no_faster_and_no_more_quietly_by_a_header(
    router: LocalRouter, caplog: pytest.LogCaptureFixture
) -> None:
    accounts = router.http_access.accounts
    router.http_access = HttpAccess(signed_in_only=True, accounts=accounts)
    async with router.running("a", "b") as app, opened(app) as page:
        statuses = []
        for number in range(6):
            basic = base64.b64encode(f"alice:guess {number}".encode()).decode()
            headers = {"Authorization": f"Basic {basic}"}
            async with page.session.get("/metrics", headers=headers) as response:
                statuses.append(response.status)
        assert statuses == [401] * 5 + [429]
    assert caplog.text.count("127.0.0.1 could not sign in") == 5


@pytest.mark.parametrize(
    "forged",
    [f"{SAID}.\N{LATIN SMALL LETTER E WITH ACUTE}", f"{SAID}.00", base64.b64encode(b"[" * 8000)],
    ids=["no-ascii", "seal", "deep"],
)
async def test_a_forged_sign_in_is_nobody_s(router: LocalRouter, forged: str | bytes) -> None:
    """No answer tells a name that there is from one that there is not."""
    data = forged.encode() if isinstance(forged, str) else forged + b".x"
    cookie = base64.urlsafe_b64encode(data).decode().rstrip("=")
    async with router.running("a", "b") as app, opened(app) as page:
        headers = {"Cookie": f"vpplb-session-0={cookie}"}
        async with page.session.get("/api/v1/session", headers=headers) as response:
            assert (response.status, (await response.json())["signedIn"]) == (200, False)


async def test_a_right_password_is_not_kept_out_by_wrong_ones(router: LocalRouter) -> None:
    accounts = router.http_access.accounts
    router.http_access = HttpAccess(signed_in_only=True, accounts=accounts)
    async with router.running("a", "b") as app, opened(app) as page:
        found = []
        for password in ("so secret", *"12345", "so secret"):
            basic = base64.b64encode(f"alice:{password}".encode()).decode()
            headers = {"Authorization": f"Basic {basic}"}
            async with page.session.get("/metrics", headers=headers) as response:
                found.append(response.status)
        assert found == [200, *[401] * 5, 200]


async def test_reading_can_be_for_whoever_has_an_account(router: LocalRouter) -> None:
    accounts = router.http_access.accounts
    router.http_access = HttpAccess(signed_in_only=True, accounts=accounts)
    async with router.running("a", "b") as app, opened(app) as page:
        assert (await page.read("/api/v1/frontends"))[0] == 401
        basic = base64.b64encode(b"alice:so secret").decode()
        headers = {"Authorization": f"Basic {basic}"}
        async with page.session.get("/metrics", headers=headers) as response:
            assert response.status == 200
        assert await page.sign_in() == 200
        assert (await page.act("pause", "a"))[0] == 404
        assert (await page.read("/api/v1/frontends"))[0] == 200
