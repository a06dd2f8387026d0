from ipaddress import ip_network

from fakes.object_view import WEB
from lab.scrape import scrape_metrics
from vpplb.model.vip import VipId, VipProtocol
from vpplb.sync.ports import PacketTally
from vpplb.telemetry.metrics import MetricsRegistry
from vpplb.telemetry.scraped_metrics import (
    DirectFigures,
    KnowledgeFigures,
    OperatorFigures,
    register_agents,
    register_direct,
    register_knowledge,
    register_operators,
    register_packets,
    register_unprogrammed,
)


def value(registry: MetricsRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


OWN, OTHER = (VipId(ip_network(f"192.0.2.{n}/32"), VipProtocol.TCP, 80) for n in (1, 2))


def test_packets_of_vips_are_read_when_somebody_scrapes() -> None:
    packets = {OWN: PacketTally(first=10)}
    registry = MetricsRegistry("test")
    register_packets(registry, lambda: packets, lambda: {OWN: WEB})
    labels = {"namespace": "shop", "frontend": "web", "kind": "first"}
    assert value(registry, "vpplb_vip_packets_total", **labels) == 10
    packets[OWN] = PacketTally(first=12)
    assert value(registry, "vpplb_vip_packets_total", **labels) == 12


def test_packets_are_counted_for_the_frontend_whose_vip_it_is() -> None:
    packets = {
        OWN: PacketTally(existing=4, first=3, untracked=2, no_server=1),
        OTHER: PacketTally(first=9),
    }
    registry = MetricsRegistry("test")
    register_packets(registry, lambda: packets, lambda: {OWN: WEB})
    counted = [
        (sample.labels, sample.value)
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "vpplb_vip_packets_total"
    ]
    assert counted == [
        ({"namespace": "shop", "frontend": "web", "kind": kind}, number)
        for kind, number in (("existing", 4), ("first", 3), ("untracked", 2), ("no_server", 1))
    ]


def test_each_operator_that_an_agent_knows_is_shown() -> None:
    registry = MetricsRegistry("test")
    known = [
        OperatorFigures(operator="op-1", connected=True, leads=True, messages=7, age=1.5),
        OperatorFigures(operator="op-2", connected=False, leads=False, messages=0, age=None),
    ]
    register_operators(registry, lambda: known)
    served = scrape_metrics(registry)
    for series in (
        "vpplb_direct_led 1.0",
        'vpplb_direct_operator_connected{operator="op-1"} 1.0',
        'vpplb_direct_operator_connected{operator="op-2"} 0.0',
        'vpplb_direct_operator_messages_total{operator="op-1"} 7.0',
        'vpplb_direct_operator_message_age_seconds{operator="op-1"} 1.5',
    ):
        assert f"\n{series}\n" in served
    assert 'age_seconds{operator="op-2"}' not in served
    known.clear()
    assert "\nvpplb_direct_led 0.0\n" in scrape_metrics(registry)


def test_agents_that_are_gone_are_told_from_those_that_are_there() -> None:
    registry, agents = MetricsRegistry("test"), {"n1": False, "n2": True}
    register_agents(registry, lambda: agents)
    assert value(registry, "vpplb_agent_gone", agent="n1") == 0
    assert value(registry, "vpplb_agent_gone", agent="n2") == 1
    del agents["n2"]
    assert value(registry, "vpplb_agent_gone", agent="n2") is None


def test_agents_that_are_behind_are_counted() -> None:
    registry = MetricsRegistry("test")
    figures = DirectFigures(agents=3, behind=2, sent=9, heard=4, refused={"token": 1}, age=None)
    register_direct(registry, lambda: figures)
    assert value(registry, "vpplb_direct_agents") == 3
    assert value(registry, "vpplb_direct_agents_behind") == 2
    assert value(registry, "vpplb_direct_message_age_seconds") is None


def test_frontends_that_vpp_has_not_are_counted_at_the_scrape() -> None:
    registry, missing = MetricsRegistry("test"), [1, 0]
    register_unprogrammed(registry, missing.pop)
    assert value(registry, "vpplb_unprogrammed_frontends") == 0
    assert value(registry, "vpplb_unprogrammed_frontends") == 1


def test_what_an_agent_does_not_know_has_no_time() -> None:
    registry = MetricsRegistry("test")
    figures = KnowledgeFigures(decision_taken=None, token_issued=100.0, token_expiry=200.0)
    register_knowledge(registry, lambda: figures)
    assert value(registry, "vpplb_last_decision_taken_timestamp_seconds") is None
    assert value(registry, "vpplb_direct_token_issued_timestamp_seconds") == 100
    assert value(registry, "vpplb_direct_token_expiry_timestamp_seconds") == 200
