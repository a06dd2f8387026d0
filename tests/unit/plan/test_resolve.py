from data.objects import backend, frontend, key, pool, vip
from vpplb.model.objects import Backend, Frontend
from vpplb.model.vip import Encap
from vpplb.plan.resolve import ResolvedObjects, resolve_group, resolve_objects

A = backend("a", "10.0.0.1")
B = backend("b", "10.0.0.2")
SIX = backend("six", "fd00::1")


def judge(*objects: Frontend | Backend) -> ResolvedObjects:
    return resolve_objects(
        {o.key: o for o in objects if isinstance(o, Frontend)},
        {o.key: o for o in objects if isinstance(o, Backend)},
        [key("check")],
    )


def test_encapsulation_is_gre_of_the_servers_family_whatever_the_vips() -> None:
    v6_vip = frontend("f", pool("p", a=1), on=vip("2001:db8::1/128"))
    v4_vip = frontend("g", pool("p", six=1), on=vip("192.0.2.9/32"))
    found = judge(v6_vip, v4_vip, A, SIX).frontends
    assert found[key("f")].encap is Encap.GRE4
    assert found[key("g")].encap is Encap.GRE6


def test_encapsulation_without_any_server_is_the_present_one_else_the_vips() -> None:
    empty = frontend("f", pool("p", gone=1), on=vip("2001:db8::1/128"))
    assert judge(empty).frontends[key("f")].encap is Encap.GRE6
    kept = resolve_group([empty], lambda _: None, lambda _: Encap.GRE4)
    assert kept[key("f")].encap is Encap.GRE4


def test_reference_to_nothing_is_named_and_the_rest_is_served() -> None:
    found = judge(frontend("f", pool("p", a=1, gone=1)), A)
    one = found.frontends[key("f")]
    assert one.rejected is None
    assert [m.backend.name for m in one.members] == ["a"]
    (problem,) = found.problems
    assert problem.reason == "BackendNotFound"
    assert problem.field == "spec.pools[0].backends[1].name"
    assert str(problem.message) == "there is no Backend default/gone"


def test_missing_health_check_is_named() -> None:
    (problem,) = judge(frontend("f", pool("p", x=1)), backend("x", "10.0.0.9", "nope")).problems
    assert (problem.kind, problem.reason) == ("Backend", "HealthCheckNotFound")


def test_same_vip_twice_goes_to_the_older() -> None:
    found = judge(frontend("new", pool("p", a=1), age=1), frontend("old", pool("p", a=1), age=9), A)
    assert found.frontends[key("old")].rejected is None
    loser = found.frontends[key("new")]
    assert loser.rejected is not None
    assert loser.is_withdrawn
    assert not loser.members
    assert loser.rejected.message == (
        "192.0.2.10/32 tcp/80 is the VIP of Frontend default/old, which is older"
    )


def test_equal_age_goes_by_name_so_that_arrival_does_not_matter() -> None:
    x, y = frontend("x", pool("p", a=1)), frontend("y", pool("p", a=1))
    for order in ([x, y], [y, x]):
        found = resolve_group(order, {A.key: A}.get, lambda _: None)
        assert found[key("x")].rejected is None
        assert found[key("y")].rejected is not None


def test_all_ports_and_single_ports_exclude_each_other_on_one_prefix() -> None:
    found = judge(
        frontend("all", pool("p", a=1), on=vip(port=0), age=1),
        frontend("one", pool("p", a=1), age=2),
        A,
    ).frontends
    assert found[key("one")].rejected is None
    assert found[key("all")].is_withdrawn


def test_two_encapsulations_on_one_address_are_refused_to_the_newer() -> None:
    found = judge(
        frontend("old", pool("p", a=1), age=2),
        frontend("new", pool("p", six=1), on=vip(port=443), age=1),
        A,
        SIX,
    ).frontends
    assert found[key("old")].rejected is None
    assert found[key("new")].is_withdrawn


def test_a_loser_takes_over_when_the_older_is_gone() -> None:
    new = frontend("new", pool("p", a=1), age=1)
    assert judge(new, A).frontends[key("new")].rejected is None


def test_mixed_families_are_refused_but_what_fits_the_present_is_served_on() -> None:
    mixed = frontend("f", pool("p", six=1, a=1))
    fresh = judge(mixed, A, SIX).frontends[key("f")]
    assert fresh.rejected is not None
    assert fresh.rejected.reason == "MixedFamilies"
    backends = {A.key: A, SIX.key: SIX}
    programmed = resolve_group([mixed], backends.get, lambda _: Encap.GRE4)[key("f")]
    assert [m.backend.name for m in programmed.members] == ["a"]
    assert not programmed.is_withdrawn


def test_a_chosen_encapsulation_refuses_servers_it_cannot_reach() -> None:
    found = judge(frontend("f", pool("p", six=1), encap=Encap.GRE4), SIX).frontends[key("f")]
    assert found.rejected is not None
    assert found.rejected.reason == "MixedFamilies"
    assert "six (fd00::1)" in found.rejected.message


def test_different_prefixes_never_conflict() -> None:
    found = judge(
        frontend("wide", pool("p", a=1), on=vip("192.0.2.0/24", port=0)),
        frontend("one", pool("p", six=1)),
        A,
        SIX,
    )
    assert found.problems == ()
