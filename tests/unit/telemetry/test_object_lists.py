"""Lists of objects, as they are asked for."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.telemetry.object_lists import write_objects
from vpplb.telemetry.object_queries import ObjectQuery


class ListedBackends:
    """Backends b0 to b4 of shop/web, of which shop/http checks b1 and b3; and bank/b9."""

    def __init__(self) -> None:
        self.members = [ObjectKey("shop", f"b{n}") for n in range(5)]
        self.gone = set[ObjectKey]()

    def list_keys(self, kind: ObjectKind) -> Sequence[ObjectKey]:
        return [ObjectKey("bank", "b9"), *self.members]

    def list_members(self, frontend: ObjectKey) -> Sequence[ObjectKey]:
        return self.members if frontend == ObjectKey("shop", "web") else []

    def list_users(self, health_check: ObjectKey) -> Sequence[ObjectKey]:
        return self.members[1::2] if health_check == ObjectKey("shop", "http") else []

    def show_object(self, kind: ObjectKind, key: ObjectKey) -> Mapping[str, object] | None:
        return None if key in self.gone else {"metadata": key._asdict(), "status": {"detail": "x"}}

    def ask(self, **asked: str) -> dict[str, Any]:
        query = ObjectQuery.parse(asked)
        answer: dict[str, Any] = json.loads(
            b"".join(write_objects(self, ObjectKind.BACKEND, query))
        )
        return answer

    def name(self, **asked: str) -> list[str]:
        return [one["metadata"]["name"] for one in self.ask(**asked)["items"]]


def test_lists_are_read_by_pages_fields_and_frontend() -> None:
    backends = ListedBackends()
    asked = {"fields": "metadata.name", "frontend": "shop/web", "limit": "3"}
    first = backends.ask(**asked)
    rest = backends.ask(**asked, **{"continue": first["continue"]})
    assert "continue" not in rest
    items = [*first["items"], *rest["items"]]
    assert items == [{"metadata": {"name": f"b{n}"}} for n in range(5)]


def test_the_users_of_a_health_check_are_asked_for_alone_or_of_a_frontend() -> None:
    backends = ListedBackends()
    assert backends.name(healthcheck="shop/http") == ["b1", "b3"]
    assert backends.name(healthcheck="shop/other") == []
    both = {"healthcheck": "shop/http", "frontend": "shop/web"}
    assert backends.name(**both, **{"continue": "shop/b1"}) == ["b3"]
    assert backends.name(healthcheck="shop/http", frontend="shop/another") == []


def test_what_is_gone_meanwhile_is_left_out_and_none_is_an_empty_list() -> None:
    backends = ListedBackends()
    backends.gone = {ObjectKey("shop", "b1")}
    assert backends.name(healthcheck="shop/http") == ["b3"]
    backends.gone = set(backends.members)
    assert backends.ask(frontend="shop/web") == {"items": []}
