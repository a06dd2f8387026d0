"""What a change of an object makes dirty, and nothing else."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from data.objects import NOON, backend, frontend, health_check, key, pool, vip
from vpplb.model.names import ObjectKind
from vpplb.model.problem import Problem
from vpplb.reconcile.object_store import DirtyKeys, ObjectStore

PREFIX, OTHER = vip().prefix, vip("192.0.2.11/32").prefix
A, B = backend("a", "10.0.0.1"), backend("b", "10.0.0.2")
WEB = frontend("web", pool("main", a=10), pool("next", b=10))
WRONG = [Problem(kind="", key=key("x"), reason="Invalid", message="nonsense")]


def full() -> ObjectStore:
    """Frontend web on backends a and b, which are checked; nothing dirty."""
    store = ObjectStore()
    store.put_health_check(health_check())
    store.put_backend(A)
    store.put_backend(B)
    store.put_frontend(WEB)
    store.dirty = DirtyKeys()
    return store


def dirty(**names: set[str]) -> DirtyKeys:
    prefixes = {PREFIX} if names.pop("prefix", None) else set()
    return DirtyKeys(
        prefixes=prefixes,
        **{kind: {key(name) for name in of_kind} for kind, of_kind in names.items()},
    )


@pytest.mark.parametrize(
    ("change", "touched"),
    [
        # The same again is no change.
        (lambda s: s.put_frontend(WEB), {}),
        (lambda s: s.put_backend(A), {}),
        (lambda s: s.put_health_check(health_check()), {}),
        # A frontend: its prefix, and the backends that it no longer references, or newly does.
        (
            lambda s: s.put_frontend(frontend("web", pool("main", b=1, c=1))),
            {"prefix": {"x"}, "frontends": {"web"}, "backends": {"a", "c"}},
        ),
        (
            lambda s: s.put_frontend(frontend("web", pool("main", a=7, b=1))),
            {"prefix": {"x"}, "frontends": {"web"}},
        ),
        (
            lambda s: s.remove_object(ObjectKind.FRONTEND, key("web")),
            {"prefix": {"x"}, "frontends": {"web"}, "backends": {"a", "b"}},
        ),
        # A backend: its address concerns the prefixes it is served on, its check who is counted.
        (lambda s: s.put_backend(replace(A, paused=True)), {"backends": {"a"}}),
        (
            lambda s: s.put_backend(backend("a", "10.0.0.9")),
            {"prefix": {"x"}, "backends": {"a"}},
        ),
        (
            lambda s: s.put_backend(backend("a", "10.0.0.1", "other")),
            {"backends": {"a"}, "health_checks": {"check", "other"}},
        ),
        (
            lambda s: s.remove_object(ObjectKind.BACKEND, key("a")),
            {"prefix": {"x"}, "backends": {"a"}, "health_checks": {"check"}},
        ),
        (lambda s: s.put_backend(backend("lone", "10.0.0.9", None)), {"backends": {"lone"}}),
        # A health check: all who name it.
        (
            lambda s: s.put_health_check(health_check(interval=timedelta(seconds=9))),
            {"backends": {"a", "b"}, "health_checks": {"check"}},
        ),
        (
            lambda s: s.remove_object(ObjectKind.HEALTH_CHECK, key("check")),
            {"backends": {"a", "b"}, "health_checks": {"check"}},
        ),
        (lambda s: s.put_health_check(health_check("lone")), {"health_checks": {"lone"}}),
        # What is not understood: the object itself, and who may have to say so.
        (lambda s: s.put_invalid("Frontend", key("web"), WRONG), {"frontends": {"web"}}),
        (lambda s: s.put_invalid("Backend", key("a"), WRONG), {"backends": {"a"}}),
        (
            lambda s: s.put_invalid("HealthCheck", key("check"), WRONG),
            {"backends": {"a", "b"}, "health_checks": {"check"}},
        ),
        (lambda s: s.put_backend(A, WRONG), {"backends": {"a"}}),
    ],
)
def test_a_change_touches_what_depends_on_it(
    change: Callable[[ObjectStore], None], touched: dict[str, set[str]]
) -> None:
    store = full()
    change(store)
    assert store.dirty == dirty(**touched)


def test_a_frontend_that_moves_touches_the_prefix_that_it_leaves() -> None:
    store = full()
    store.put_frontend(replace(WEB, vip=vip("192.0.2.11/32")))
    assert store.dirty.prefixes == {PREFIX, OTHER}
    assert store.group_of(PREFIX) == []
    assert [one.key for one in store.group_of(OTHER)] == [WEB.key]


def test_a_backend_knows_all_its_frontends_whichever_came_first() -> None:
    store = ObjectStore()
    store.put_frontend(WEB)
    store.put_frontend(frontend("api", pool("main", a=1), on=vip(port=443)))
    assert store.frontends_of(key("a")) == {key("web"), key("api")}
    store.put_backend(A)
    store.put_frontend(frontend("web", pool("main", b=1)))
    assert store.frontends_of(key("a")) == {key("api")}
    store.remove_object(ObjectKind.FRONTEND, key("api"))
    assert store.frontends_of(key("a")) == frozenset()


def test_a_health_check_knows_its_backends_before_it_exists() -> None:
    store = ObjectStore()
    store.put_backend(A)
    assert store.backends_of(key("check")) == {A.key}
    store.put_backend(backend("a", "10.0.0.1", None))
    assert store.backends_of(key("check")) == frozenset()


def test_asking_for_what_is_not_there_leaves_no_trace() -> None:
    store = ObjectStore()
    assert (store.frontends_of(key("x")), store.backends_of(key("x"))) == (frozenset(), frozenset())
    assert store.group_of(PREFIX) == []
    store.remove_object(ObjectKind.BACKEND, key("x"))
    store.remove_object(ObjectKind.FRONTEND, key("x"))
    store.remove_object(ObjectKind.HEALTH_CHECK, key("x"))
    assert (store.frontends, store.backends, store.health_checks) == ({}, {}, {})


def test_the_last_good_version_stays_in_force_until_a_good_one_mends_it() -> None:
    store = full()
    store.put_invalid(ObjectKind.BACKEND, key("a"), WRONG)
    assert store.backends[key("a")] == A
    assert store.invalid[ObjectKind.BACKEND, key("a")] == tuple(WRONG)
    store.dirty = DirtyKeys()
    store.put_backend(A)
    assert store.invalid == {}
    assert store.dirty == dirty(backends={"a"})


@pytest.mark.parametrize("kind", [ObjectKind.FRONTEND, ObjectKind.BACKEND, ObjectKind.HEALTH_CHECK])
def test_what_is_deleted_is_not_wrong_any_more(kind: ObjectKind) -> None:
    store = ObjectStore()
    store.put_invalid(kind, key("x"), WRONG)
    store.remove_object(kind, key("x"))
    assert store.invalid == {}


def test_a_newer_generation_is_a_change_and_the_same_once_more_is_not() -> None:
    store = full()
    store.put_frontend(replace(WEB, created=NOON))
    assert store.dirty == DirtyKeys()
    store.put_frontend(replace(WEB, generation=2))
    assert store.dirty.frontends == {WEB.key}
