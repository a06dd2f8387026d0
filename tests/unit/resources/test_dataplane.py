"""A Dataplane's settings go before the agent's flags."""

from ipaddress import IPv4Address

from data.manifests import manifest
from vpplb.plan.settings import DesiredSettings
from vpplb.resources.dataplane import DataplaneFrontends, DataplaneStatus
from vpplb.resources.parse import ParsedDataplane, parse_object

FLAGS = DesiredSettings(ipv4_source=IPv4Address("192.0.2.1"), flow_timeout=60)


def wish(**spec: object) -> DesiredSettings:
    parsed = parse_object(manifest("Dataplane", "n1", spec))
    assert isinstance(parsed, ParsedDataplane), parsed
    return parsed.spec.merge_settings(FLAGS)


def test_the_flags_hold_where_nothing_is_said() -> None:
    assert wish() == FLAGS


def test_what_is_said_holds() -> None:
    said = wish(
        ipv4SourceAddress="192.0.2.9",
        ipv6SourceAddress="2001:db8::9",
        stickyBucketsPerCore=4096,
        flowTimeout="2m",
    )
    assert (str(said.ipv4_source), str(said.ipv6_source)) == ("192.0.2.9", "2001:db8::9")
    assert (said.sticky_buckets_per_core, said.flow_timeout) == (4096, 120)


def test_its_status_has_both_numbers_in_one_column() -> None:
    status = DataplaneStatus(frontends=DataplaneFrontends.summarize_frontends(2, 3))
    assert status.dump_json()["frontends"] == {"total": 3, "programmed": 2, "summary": "2/3"}


def test_owners_are_one_text() -> None:
    told = "192.0.2.1/32 tcp/80 default/web\n"
    assert DataplaneStatus.model_validate({"owned": told}).dump_json()["owned"] == told
