"""People at an operator's HTTP server: a real API server says who they are, and what they may.

alice may edit Backends and Frontends of one namespace, bob may look at both, and a scraper may get
`/metrics`.
"""

import json
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from cluster.certificates import write_serving_certificate
from cluster.control_plane import SYSTEM_NAMESPACE, ControlPlane, fresh_namespace
from cluster.kubectl import Kubectl
from cluster.stage import VPPLB, electing
from lab.processes import Program, free_port
from lab.waiting import eventually, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.control_plane]

OWN = {"X-Vpplb-Request": "page"}
API = "vpplb.dev/v1alpha1"
CHART_ROLES = {role: f"{SYSTEM_NAMESPACE}.vpplb-{role}" for role in ("edit", "view")}
"""What the chart adds to the roles `edit` and `view`; nobody adds it up here."""


def account(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}


def binding(kind: str, name: str, role: str, subject: Kubectl) -> dict[str, Any]:
    """Bind a ClusterRole to an account of another namespace, in one namespace or in all."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": f"{subject.namespace}-{name}-{role}"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": CHART_ROLES.get(role) or f"{subject.namespace}-{role}",
        },
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": subject.namespace}],
    }


def objects(address: str) -> list[dict[str, Any]]:
    """Return a Frontend with two backends that are taken for up, since nothing checks them."""
    pools = [{"name": "main", "backends": [{"name": "a"}, {"name": "b"}]}]
    return [
        {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}
        for kind, name, spec in (
            ("Backend", "a", {"address": "192.0.2.1"}),
            ("Backend", "b", {"address": "192.0.2.2"}),
            ("Frontend", "web", {"address": address, "port": 80, "pools": pools}),
        )
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """An operator at `url`, two namespaces with the same objects, and tokens by name."""

    url: str
    certificate: Path
    log: Path
    shop: Kubectl
    bank: Kubectl
    tokens: Mapping[str, str]

    @asynccontextmanager
    async def browser(self, name: str = "") -> AsyncIterator[aiohttp.ClientSession]:
        """Give a browser in which somebody is signed in, if a name is given."""
        trust = ssl.create_default_context(cafile=str(self.certificate))
        jar = aiohttp.CookieJar(unsafe=True)
        connector = aiohttp.TCPConnector(ssl=trust)
        async with aiohttp.ClientSession(self.url, cookie_jar=jar, connector=connector) as session:
            if name:
                body = {"token": self.tokens[name]}
                async with session.post("/api/v1/session", json=body, headers=OWN) as response:
                    assert response.status == 200, await response.text()
            yield session

    def names(self, *names: str) -> list[str]:
        return [f"{self.shop.namespace}/{name}" for name in names]


@pytest.fixture(scope="module")
def people(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[People]:
    folder, port = tmp_path_factory.mktemp("people"), free_port()
    certificate, key = folder / "tls.crt", folder / "tls.key"
    write_serving_certificate(certificate, key)
    with ExitStack() as stack:
        shop = stack.enter_context(fresh_namespace(control_plane))
        bank = stack.enter_context(fresh_namespace(control_plane))
        scraping = f"{shop.namespace}-scrape"
        shop.apply([account(name) for name in ("alice", "bob", "scraper", "nobody")])
        control_plane.kubectl.apply(
            [
                {
                    "apiVersion": "rbac.authorization.k8s.io/v1",
                    "kind": "ClusterRole",
                    "metadata": {"name": scraping},
                    "rules": [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}],
                },
                binding("ClusterRoleBinding", "scraper", "scrape", shop),
                binding("ClusterRoleBinding", "alice", "view", shop),
                binding("ClusterRoleBinding", "bob", "view", shop),
            ]
        )
        shop.apply(binding("RoleBinding", "alice", "edit", shop))
        shop.apply(objects("198.51.100.71"))
        bank.apply(objects("198.51.100.72"))
        tokens = {
            name: shop("create", "token", name).strip()
            for name in ("alice", "bob", "scraper", "nobody")
        }
        operator = Program(
            [
                *(VPPLB, "operator", f"--http-address=127.0.0.1:{port}", "--log-format=json"),
                *(f"--http-tls-cert={certificate}", f"--http-tls-key={key}"),
                *("--http-auth=kubernetes", "--http-actions", *electing("people")),
            ],
            log=folder / "operator.log",
            env={"KUBECONFIG": str(control_plane.operator_kubeconfig)},
        )
        stack.callback(operator.stop)
        for decided in (shop, bank):
            wait_for(partial(decided.field, "vfe", "web", ".status.dataplane"), "it is decided")
        yield People(
            url=f"https://127.0.0.1:{port}",
            certificate=certificate,
            log=operator.log,
            shop=shop,
            bank=bank,
            tokens=tokens,
        )
        control_plane.kubectl("delete", "clusterrole", scraping)
        for name in ("scraper-scrape", "alice-view", "bob-view"):
            control_plane.kubectl("delete", "clusterrolebinding", f"{shop.namespace}-{name}")


async def act(
    session: aiohttp.ClientSession, body: object, headers: Mapping[str, str] = OWN
) -> tuple[int, Any]:
    async with session.post("/api/v1/actions", json=body, headers=headers) as response:
        return response.status, await response.json()


async def read(session: aiohttp.ClientSession, path: str, token: str = "") -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with session.get(path, headers=headers) as response:
        return response.status, await response.text()


def user(people: People, name: str) -> str:
    return f"system:serviceaccount:{people.shop.namespace}:{name}"


# --- acting ----------------------------------------------------------------------------------


async def test_what_is_done_is_done_by_the_person_and_told_so(people: People) -> None:
    async with people.browser("alice") as browser:
        status, told = await act(browser, {"action": "pause", "backends": people.names("a")})
        assert (status, told["name"]) == (200, user(people, "alice"))
        assert (told["backends"][0]["outcome"], told["backends"][0]["said"]) == ("done", "paused")
    raw = people.shop.get("vbe", "a")
    assert raw["spec"]["paused"] is True
    wait_for(
        lambda: (
            f"paused by {user(people, 'alice')} from the dashboard"
            in people.shop("get", "events", "-o", "jsonpath={.items[*].message}")
        ),
        "the event is there",
    )
    people.shop.patch("vbe", "a", {"spec": {"paused": False}})


async def test_a_dry_run_says_whose_flows_move_and_who_may(people: People) -> None:
    async with people.browser("alice") as browser:
        bank = f"{people.bank.namespace}/a"
        body = {"action": "disable", "backends": [*people.names("a"), bank], "dryRun": True}
        await eventually(
            lambda: not people.shop.field("vbe", "a", ".spec.paused").startswith("true"),
            "it is not paused",
        )
        status, told = await act(browser, body)
        assert status == 200
        assert [one["outcome"] for one in told["backends"]] == ["possible", "forbidden"]
        (web,) = told["frontends"]
        assert web["frontend"] == people.names("web")[0]
        assert {one["address"]: one["cut"] for one in web["servers"]} == {
            "192.0.2.1": True,
            "192.0.2.2": False,
        }
    assert people.shop.field("vbe", "a", ".spec.enabled") == "true"


async def test_who_may_not_is_told_so_and_nothing_is_done(people: People) -> None:
    async with people.browser("bob") as browser:
        status, told = await act(browser, {"action": "disable", "backends": people.names("a", "b")})
        assert status == 200
        assert [one["outcome"] for one in told["backends"]] == ["forbidden", "forbidden"]
    assert people.shop.field("vbe", "a", ".spec.enabled") == "true"


async def test_a_weight_is_the_persons_edit_of_the_frontend(people: People) -> None:
    async with people.browser("alice") as browser:
        body = {
            "action": "weight",
            "backends": people.names("b"),
            "frontend": people.names("web")[0],
            "weight": 7,
        }
        _, told = await act(browser, body)
        assert told["backends"][0]["outcome"] == "done", told
    managers = json.loads(people.shop("get", "vfe", "web", "-o", "json", "--show-managed-fields"))[
        "metadata"
    ]["managedFields"]
    assert "vpplb-dashboard" in {one["manager"] for one in managers}
    assert people.shop.field("vfe", "web", ".spec.pools[0].backends[1].weight") == "7"


async def test_a_drain_ends_with_the_persons_own_token(people: People) -> None:
    async with people.browser("alice") as browser:
        body = {"action": "drain", "backends": people.names("a"), "grace": "1s"}
        assert (await act(browser, body))[1]["backends"][0]["outcome"] == "draining"
        wait_for(
            lambda: people.shop.field("vbe", "a", ".spec.enabled") == "false", "it is disabled"
        )
        assert people.shop.field("vbe", "a", ".spec.paused") == "false"
        await act(browser, {"action": "enable", "backends": people.names("a")})


async def test_an_edit_that_the_api_server_refuses_is_told_in_its_words(people: People) -> None:
    """Rights that were taken away within the minute for which they are kept."""
    async with people.browser("alice") as browser:
        body = {"action": "pause", "backends": people.names("b")}
        assert (await act(browser, {**body, "dryRun": True}))[1]["backends"][0]["allowed"]
        role = f"{people.shop.namespace}-alice-edit"
        people.shop("delete", "rolebinding", role)
        _, told = await act(browser, body)
        people.shop.apply(binding("RoleBinding", "alice", "edit", people.shop))
        assert told["backends"][0]["outcome"] == "failed"
        assert "cannot patch resource" in told["backends"][0]["said"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({**OWN, "Origin": "https://evil.example"}, 403),
        ({**OWN, "Sec-Fetch-Site": "same-site"}, 403),
        ({**OWN, "Content-Type": "text/plain"}, 415),
    ],
    ids=["no-header", "origin", "sibling", "text"],
)
async def test_a_page_of_somebody_else_does_nothing(
    people: People, headers: Mapping[str, str], status: int
) -> None:
    async with people.browser("alice") as browser:
        body = {"action": "disable", "backends": people.names("b")}
        assert (await act(browser, body, headers))[0] == status
    assert people.shop.field("vbe", "b", ".spec.enabled") == "true"


async def test_who_has_not_signed_in_or_whose_token_has_ended_does_nothing(people: People) -> None:
    body = {"action": "disable", "backends": people.names("b")}
    async with people.browser() as browser:
        assert (await act(browser, body))[0] == 401
        people.shop.apply(account("leaver"))
        token = people.shop("create", "token", "leaver").strip()
        people.shop("delete", "serviceaccount", "leaver")
        async with browser.post("/api/v1/session", json={"token": token}, headers=OWN) as response:
            assert response.status == 401
            assert token not in await response.text()
    assert people.shop.field("vbe", "b", ".spec.enabled") == "true"


# --- reading ---------------------------------------------------------------------------------


async def test_who_may_read_is_what_the_cluster_says(people: People) -> None:
    async with people.browser() as browser:
        found = {
            (name, path): (await read(browser, path, people.tokens.get(name, "")))[0]
            for name in ("", "scraper", "bob", "nobody")
            for path in ("/metrics", "/api/v1/frontends", "/readyz", "/")
        }
    assert {name: status for name, status in found.items() if status == 200} == dict.fromkeys(
        [
            ("scraper", "/metrics"),
            ("bob", "/api/v1/frontends"),
            *(
                (name, path)
                for name in ("", "scraper", "bob", "nobody")
                for path in ("/readyz", "/")
            ),
        ],
        200,
    )
    assert found["", "/metrics"] == 401
    assert found["nobody", "/api/v1/frontends"] == 403


async def test_a_scrape_goes_on_while_the_api_server_is_away(
    people: People, control_plane: ControlPlane
) -> None:
    async with people.browser() as browser:
        assert (await read(browser, "/metrics", people.tokens["scraper"]))[0] == 200
        with control_plane.stopped():
            assert (await read(browser, "/metrics", people.tokens["scraper"]))[0] == 200
            status, said = await read(browser, "/metrics", f"{people.tokens['bob']}x")
            assert status == 503, said
            assert "cannot be asked at present" in said


async def test_an_agent_asks_who_reads_as_well(
    people: People, control_plane: ControlPlane, tmp_path: Path
) -> None:
    port = free_port()
    agent = Program(
        [
            *(VPPLB, "agent", f"--http-address=127.0.0.1:{port}", "--node=guarded"),
            *(f"--vpp-api-socket={tmp_path}/none", f"--state-file={tmp_path}/agent.json"),
            *(f"--http-tls-cert={people.certificate}", "--http-auth=kubernetes"),
            f"--http-tls-key={people.certificate.with_suffix('.key')}",
        ],
        log=tmp_path / "agent.log",
        env={"KUBECONFIG": str(control_plane.agent_kubeconfig)},
    )
    with agent:
        served = replace(people, url=f"https://127.0.0.1:{port}")
        async with served.browser() as browser:
            await eventually(lambda: accepts(port), "it listens")
            found = [
                (await read(browser, path, people.tokens.get(name, "")))[0]
                for path, name in (
                    ("/metrics", ""),
                    ("/metrics", "nobody"),
                    ("/metrics", "scraper"),
                    ("/api/v1/dataplanes/guarded/vips", "scraper"),
                    ("/healthz", ""),
                )
            ]
    control_plane.kubectl("delete", "dataplane", "guarded", "--ignore-not-found")
    assert found == [401, 403, 200, 403, 200]


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


async def test_no_token_is_in_the_log(people: People) -> None:
    said = people.log.read_text()
    assert user(people, "alice") in said
    assert not [name for name, token in people.tokens.items() if token in said]
