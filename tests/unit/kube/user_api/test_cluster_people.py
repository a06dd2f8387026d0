"""People of a cluster: what their tokens are asked of, and what is read out of the answers."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from fakes.api_http import answering
from vpplb.acting.ports import AccessUnknown, NotSignedIn
from vpplb.kube.api_types import ConfigError
from vpplb.kube.cluster_access import ClusterAccess
from vpplb.kube.user_api.cluster_people import ClusterPeople
from vpplb.kube.user_api.kept_answers import MOST_ANSWERS
from vpplb.kube.user_api.person_client import PersonClient, check_server
from vpplb.model.names import ObjectKind


class Reviews:
    """An API server that knows tokens, and what their users may do, as SSAR specs in JSON."""

    def __init__(self) -> None:
        self.names = {"alice-token": "alice@example.com"}
        self.allowed: set[str] = set()
        self.status = 0
        self.asked: list[Any] = []

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        if self.status or token not in self.names:
            return web.json_response({"message": "no"}, status=self.status or 401)
        if request.path.endswith("selfsubjectreviews"):
            user = {"username": self.names[token], "groups": ["system:authenticated"]}
            return web.json_response({"status": {"userInfo": user}})
        spec = (await request.json())["spec"]
        self.asked.append(spec)
        return web.json_response({"status": {"allowed": json.dumps(spec) in self.allowed}})

    def allow(self, spec: Mapping[str, object]) -> None:
        self.allowed.add(json.dumps(spec))


@asynccontextmanager
async def people(reviews: Reviews, *namespaces: str) -> AsyncIterator[ClusterPeople]:
    async with answering(reviews.handle) as url:
        access = ClusterAccess(server=url, auth_headers=own_headers)
        made = ClusterPeople(client=PersonClient(lambda: access), namespaces=namespaces)
        yield made
        await made.close()


async def own_headers() -> Mapping[str, str]:
    raise AssertionError("who asks in a person's name never says who we are")


def resource(verb: str, resource: str, namespace: str) -> Mapping[str, object]:
    return {
        "resourceAttributes": {
            "verb": verb,
            "group": "vpplb.dev",
            "resource": resource,
            "namespace": namespace,
        }
    }


async def test_a_token_is_whose_the_api_server_says() -> None:
    async with people(Reviews()) as cluster:
        found = await cluster.sign_in({"token": " alice-token\n"})
        assert (found.name, found.credential) == ("alice@example.com", "alice-token")
        for header in ("Bearer alice-token", "bearer alice-token", "Bearer  alice-token "):
            assert (await cluster.identify_header(header)).name == "alice@example.com"


@pytest.mark.parametrize(
    "token",
    ["", "unknown", "alice token", "alice\r\nImpersonate-User: admin", "x" * 13000, "ключ"],
)
async def test_what_is_no_token_of_the_cluster_is_nobody_s(token: str) -> None:
    async with people(Reviews()) as cluster:
        with pytest.raises(NotSignedIn) as refused:
            await cluster.sign_in({"token": token})
    assert not token or token not in str(refused.value)


async def test_a_password_is_no_token_and_basic_no_bearer() -> None:
    async with people(Reviews()) as cluster:
        with pytest.raises(NotSignedIn, match="kubectl create token"):
            await cluster.sign_in({"name": "alice", "password": "so secret"})
        with pytest.raises(NotSignedIn, match="a bearer token is wanted"):
            await cluster.identify_header("Basic YWxpY2U6c2VjcmV0")


async def test_an_api_server_that_lets_everybody_in_lets_nobody_in_here() -> None:
    reviews = Reviews()
    reviews.names["guess"] = "system:anonymous"
    async with people(reviews) as cluster:
        with pytest.raises(NotSignedIn):
            await cluster.sign_in({"token": "guess"})


async def test_a_name_is_made_printable_and_short() -> None:
    reviews = Reviews()
    reviews.names["odd"] = "mallory\n\u202eadmin" + "x" * 500
    async with people(reviews) as cluster:
        name = (await cluster.sign_in({"token": "odd"})).name
    assert name.startswith(r"mallory\n\u202eadmin")
    assert len(name) == 200


async def test_who_may_patch_backends_of_a_namespace_may_act_there_alone() -> None:
    reviews = Reviews()
    reviews.allow(resource("patch", "backends", "shop"))
    async with people(reviews) as cluster:
        alice = await cluster.sign_in({"token": "alice-token"})
        may = [
            await cluster.may_edit(alice, kind, namespace)
            for kind, namespace in (
                (ObjectKind.BACKEND, "shop"),
                (ObjectKind.BACKEND, "bank"),
                (ObjectKind.FRONTEND, "shop"),
            )
        ]
    assert may == [True, False, False]


async def test_metrics_are_for_whoever_may_get_that_path_of_the_cluster() -> None:
    reviews = Reviews()
    reviews.allow({"nonResourceAttributes": {"path": "/metrics", "verb": "get"}})
    async with people(reviews) as cluster:
        alice = await cluster.sign_in({"token": "alice-token"})
        assert await cluster.may_read(alice, "/metrics")
        assert not await cluster.may_read(alice, "/api/v1/frontends")


async def test_the_state_is_for_whoever_may_list_frontends_and_not_by_its_path() -> None:
    """Everybody may get `/api/*` of a cluster: that role is for discovery."""
    reviews = Reviews()
    reviews.allow({"nonResourceAttributes": {"path": "/api/v1/frontends", "verb": "get"}})
    async with people(reviews) as cluster:
        alice = await cluster.sign_in({"token": "alice-token"})
        assert not await cluster.may_read(alice, "/api/v1/frontends")
    reviews.allow(resource("list", "frontends", ""))
    async with people(reviews) as cluster:
        assert await cluster.may_read(alice, "/api/v1/frontends")


async def test_where_some_namespaces_are_served_each_of_them_is_asked_for() -> None:
    reviews = Reviews()
    reviews.allow(resource("list", "frontends", "shop"))
    async with people(reviews, "shop", "bank") as cluster:
        alice = await cluster.sign_in({"token": "alice-token"})
        assert not await cluster.may_read(alice, "/api/v1/frontends")
    reviews.allow(resource("list", "frontends", "bank"))
    async with people(reviews, "shop", "bank") as cluster:
        assert await cluster.may_read(alice, "/api/v1/frontends")


async def test_answers_are_kept_so_that_a_scrape_costs_none() -> None:
    reviews = Reviews()
    async with people(reviews) as cluster:
        alice = await cluster.sign_in({"token": "alice-token"})
        for _ in range(5):
            await cluster.may_read(alice, "/metrics")
    assert len(reviews.asked) == 1


async def test_guesses_push_nobody_out_of_what_is_remembered() -> None:
    async with people(Reviews()) as cluster:
        await cluster.sign_in({"token": "alice-token"})
        for number in range(MOST_ANSWERS + 1):
            assert not await cluster._names.get_answer(number, nobody)
        assert cluster.remembers(authorization="Bearer alice-token", credential="")
        assert cluster.remembers(authorization="", credential="alice-token")
        assert not cluster.remembers(authorization="Bearer \udcff", credential="")


async def nobody() -> str:
    return ""


def test_what_has_signed_in_itself_tells_nobody_apart() -> None:
    """Behind `kubectl proxy` any token is the user's who runs it."""
    check_server("https://10.96.0.1:443")
    with pytest.raises(ConfigError, match="need an API server over https"):
        check_server("http://127.0.0.1:8001")


async def test_an_api_server_in_trouble_is_no_no() -> None:
    reviews = Reviews()
    reviews.status = 503
    async with people(reviews) as cluster:
        with pytest.raises(AccessUnknown, match="cannot be asked at present"):
            await cluster.sign_in({"token": "alice-token"})
