"""What a set of objects comes to when every backend counts as up, or but for some."""

from ipaddress import ip_address

from data.objects import backend, frontend, key, pool, vip
from vpplb.model.objects import Backend, Frontend
from vpplb.model.vip import AppServer, Encap, Vip, VipSettings, VipTable
from vpplb.plan.assumption import NOW, AssumedVips, assume_vips

WEB = vip()


def assumed(
    *objects: Backend | Frontend,
    down: tuple[str, ...] = (),
    before: VipTable | None = None,
    checks: tuple[str, ...] = (),
) -> AssumedVips:
    return assume_vips(
        {one.key: one for one in objects if isinstance(one, Frontend)},
        {one.key: one for one in objects if isinstance(one, Backend)},
        {key(name) for name in checks},
        down={key(name) for name in down},
        before=before or {},
    )


def weights(result: AssumedVips) -> dict[str, tuple[int, int]]:
    """Weight and flush epoch by address of the VIP of `web`."""
    _, row = result.vips[key("web")]
    return {str(a): (s.weight, s.flush_epoch) for a, s in row.servers.items()}


def have(**servers: int) -> VipTable:
    """What there is: weights by backend's name, as `a=100`."""
    settings = VipSettings(encap=Encap.GRE4, table_length=2048)
    rows = {ADDRESS[name]: AppServer(weight=weight) for name, weight in servers.items()}
    return {WEB: Vip(settings=settings, servers=rows)}


A, B, C = (backend(name, f"10.0.0.{n}", None) for n, name in enumerate("abc", 1))
ADDRESS = {name: ip_address(f"10.0.0.{n}") for n, name in enumerate("abc", 1)}
POOLS = (pool("main", a=100, b=50), pool("spare", c=100))


def test_all_backends_are_up_and_the_first_pool_serves() -> None:
    result = assumed(frontend("web", *POOLS), A, B, C)
    assert weights(result) == {"10.0.0.1": (100, 0), "10.0.0.2": (50, 0), "10.0.0.3": (0, 0)}
    assert result.problems == ()


def test_a_backend_that_goes_down_is_flushed_and_the_next_pool_takes_over() -> None:
    objects = (frontend("web", *POOLS), A, B, C)
    result = assumed(*objects, down=("a", "b"), before=have(a=100, b=50, c=0))
    assert weights(result) == {"10.0.0.1": (0, NOW), "10.0.0.2": (0, NOW), "10.0.0.3": (100, 0)}


def test_what_had_no_weight_or_was_not_there_has_no_flows_to_cut() -> None:
    objects = (frontend("web", *POOLS), A, B, C)
    assert weights(assumed(*objects, down=("a",), before=have(a=0)))["10.0.0.1"] == (0, 0)
    assert weights(assumed(*objects, down=("a",)))["10.0.0.1"] == (0, 0)


def test_paused_is_drained_disabled_is_flushed_and_an_unprobed_one_does_not_serve() -> None:
    result = assumed(
        frontend("web", pool("main", a=1, b=1, c=1)),
        backend("a", "10.0.0.1", None, paused=True),
        backend("b", "10.0.0.2", None, enabled=False),
        backend("c", "10.0.0.3", "lost"),
        before=have(a=1, b=1, c=1),
    )
    assert weights(result) == {"10.0.0.1": (0, 0), "10.0.0.2": (0, NOW), "10.0.0.3": (0, 0)}
    assert [problem.reason for problem in result.problems] == ["HealthCheckNotFound"]


def test_a_table_length_that_serves_is_kept() -> None:
    objects = (frontend("web", pool("main", a=100)), A)
    assert assumed(*objects).table[WEB].settings.table_length == 1024
    assert assumed(*objects, before=have(a=100)).table[WEB].settings.table_length == 2048


def test_a_frontend_that_lost_its_vip_to_another_has_none() -> None:
    result = assumed(frontend("web", pool("main", a=1)), frontend("aaa", pool("main", a=1)), A)
    assert list(result.vips) == [key("aaa")]
    assert [(p.key, p.reason) for p in result.problems] == [(key("web"), "Conflict")]
