"""The OpenAPI document tells of the paths that are served, and of nothing else."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import pytest

from vpplb.model.names import OWN_KINDS, ObjectKey, ObjectKind
from vpplb.telemetry.event_stream import EventStream
from vpplb.telemetry.http import HttpServer
from vpplb.telemetry.openapi import EVENTS, describe_api


class NoObjects:
    def list_keys(self, kind: ObjectKind) -> Sequence[ObjectKey]:
        return ()

    def list_members(self, frontend: ObjectKey) -> Sequence[ObjectKey]:
        return ()

    def list_users(self, health_check: ObjectKey) -> Sequence[ObjectKey]:
        return ()

    def show_object(self, kind: ObjectKind, key: ObjectKey) -> Mapping[str, object] | None:
        return None


async def no_vips(frontend: ObjectKey | None) -> Mapping[str, object]:
    return {}


def make_server(*, whole: bool) -> HttpServer:
    return HttpServer(
        address="127.0.0.1:0",
        metrics=lambda: [b""],
        view=NoObjects() if whole else None,
        stream=EventStream() if whole else None,
        dashboard=whole,
        histories=(lambda backends: {}) if whole else None,
        operator=dict if whole else None,
        find_node=None if whole else lambda node: no_vips,
    )


async def read_document(server: HttpServer) -> Any:
    async with server, aiohttp.ClientSession() as session:
        url = f"http://{server.listen_address}/api/v1/openapi.json"
        async with session.get(url) as answer:
            assert answer.content_type == "application/json"
            return await answer.json()


def list_served(server: HttpServer) -> set[str]:
    """Return the paths of a server's routes, those of all kinds one by one."""
    resources = server._make_app().router.resources()
    return {
        re.sub(r"\{kind[^}]*\}", kind.plural, resource.canonical)
        for resource in resources
        for kind in OWN_KINDS
    }


@pytest.mark.parametrize("whole", [True, False], ids=["operator", "agent"])
async def test_each_path_that_is_served_is_described_and_no_other(whole: bool) -> None:
    document = await read_document(make_server(whole=whole))
    described = set(document["paths"])
    served = list_served(make_server(whole=whole))
    # A name alone names nothing of a kind in namespaces, and a Dataplane is in none.
    nothing = {f"/api/v1/{kind.plural}/{{name}}" for kind in OWN_KINDS if kind.is_namespaced}
    assert described == served - nothing - {"/api/v1/dataplanes/{namespace}/{name}"}


def test_the_document_of_all_programs_has_all_paths() -> None:
    paths = describe_api()["paths"]
    assert {"/", "/api/v1/events", "/api/v1/dataplanes/{name}/vips", "/readyz"} <= set(paths)


def test_each_reference_leads_to_a_schema() -> None:
    document = describe_api()
    references = set(re.findall(r"'#/components/schemas/(\w+)'", str(document)))
    assert references <= set(document["components"]["schemas"])
    assert set(EVENTS) <= set(document["components"]["schemas"])


def test_no_schema_speaks_of_kubernetes_alone() -> None:
    assert "x-kubernetes" not in str(describe_api())
