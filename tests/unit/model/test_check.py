import pytest

from vpplb.model.check import (
    HttpProbe,
    IcmpProbe,
    ProbeKind,
    TcpProbe,
    TlsSettings,
    probe_type,
)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (IcmpProbe(), "ICMP"),
        (TcpProbe(port=80), "TCP"),
        (TcpProbe(port=443, tls=TlsSettings()), "TCP"),
        (HttpProbe(port=80), "HTTP"),
        (HttpProbe(port=443, tls=TlsSettings()), "HTTPS"),
    ],
)
def test_the_type_of_a_probe_is_what_users_call_it(kind: ProbeKind, expected: str) -> None:
    assert probe_type(kind) == expected
