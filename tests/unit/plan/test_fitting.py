from dataclasses import replace

from data.objects import address
from vpplb.model.vip import AppServer, Encap, Vip, VipSettings
from vpplb.plan.fitting import fit_vip, is_serving

A, B, C, X = (address(f"10.0.0.{n}") for n in (1, 2, 3, 9))
SETTINGS = VipSettings(encap=Encap.GRE4)


def vip(*, tentative: bool = False, any_length: bool = False, length: int = 1024) -> Vip:
    """A wish: A was taken out by a person, B and C are undecided."""
    servers = {
        A: AppServer(weight=0),
        B: AppServer(weight=100, undecided=tentative),
        C: AppServer(weight=0, undecided=tentative),
    }
    settings = replace(SETTINGS, table_length=length)
    return Vip(settings=settings, servers=servers, tentative=tentative, any_length=any_length)


def found(length: int = 1024, **weights: int) -> Vip:
    names = {"a": A, "b": B, "c": C, "x": X}
    servers = {names[name]: AppServer(weight=weight) for name, weight in weights.items()}
    return Vip(settings=replace(SETTINGS, table_length=length), servers=servers)


def weights(of: Vip) -> dict[str, int]:
    return {str(at)[-1]: one.weight for at, one in of.servers.items()}


def test_what_is_decided_is_wanted_as_it_is() -> None:
    assert fit_vip(vip(), found(a=1, b=2, x=3), adopting=True) == vip()
    assert fit_vip(vip(), None, adopting=True) == vip()


def test_a_tentative_vip_keeps_its_servers_and_their_weights_but_for_those_taken_out() -> None:
    kept = fit_vip(vip(tentative=True), found(a=50, b=40, x=30), adopting=True)
    assert weights(kept) == {"1": 0, "2": 40, "3": 0, "9": 30}


def test_a_tentative_vip_that_does_not_serve_becomes_what_is_wanted() -> None:
    want = vip(tentative=True)
    assert fit_vip(want, found(a=0, b=0, x=0), adopting=False) == want


def test_a_vip_that_is_there_keeps_its_length_if_a_person_does_not_say_otherwise() -> None:
    have = found(length=4096, b=1)
    assert fit_vip(vip(), have, adopting=True).settings.table_length == 1024
    assert fit_vip(vip(any_length=True), have, adopting=True).settings.table_length == 4096


def test_a_vip_that_is_made_anew_for_another_reason_gets_the_length_that_is_wanted() -> None:
    have = replace(
        found(b=1), settings=VipSettings(encap=Encap.GRE4, src_ip_sticky=True, table_length=64)
    )
    assert fit_vip(vip(any_length=True), have, adopting=True).settings == SETTINGS


def test_a_vip_serves_while_a_server_has_a_weight() -> None:
    assert [is_serving(one) for one in (None, found(), found(a=0), found(a=0, b=1))] == [
        False,
        False,
        False,
        True,
    ]
