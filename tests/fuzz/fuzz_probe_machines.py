"""Coverage-guided fuzzing of the probes' machines (atheris, libFuzzer).

    PYTHONPATH=tests python tests/fuzz/fuzz_probe_machines.py [CORPUS] [-max_total_time=60 …]

The first byte chooses the probe, the next eight the sizes of the pieces, the rest is what the
peer sends.
"""

import sys

import atheris

with atheris.instrument_imports(include=["vpplb.probers"]):
    from fuzz.conversations import HTTP_CODES, PROBES, cut, ended, http, tls
    from vpplb.model.health import ProbeCode
    from vpplb.probers.icmp_packets import EchoCodec, ipv4_header_size

MACHINES = [*(http(probe) for probe in PROBES), tls(inside=True), tls(inside=False)]
CODECS = [EchoCodec(version=version, payload=b"x" * 56) for version in (4, 6)]


def one(data: bytes) -> None:
    """Run one input; whatever must not happen raises."""
    if len(data) < 9:
        return
    chosen = data[0] % (len(MACHINES) + len(CODECS))
    sizes, sent = [1 + size for size in data[1:9]], data[9:]
    if chosen >= len(MACHINES):
        codec = CODECS[chosen - len(MACHINES)]
        codec.match_reply(sent, ipv4_header_size(sent))
        codec.match_quoted(sent)
        return
    result = ended(MACHINES[chosen], cut(sent, sizes))
    expected = HTTP_CODES if chosen < len(PROBES) else {ProbeCode.L6RSP}
    assert result.code in expected, result


def main() -> None:
    """Fuzz until stopped, or as libFuzzer's options say."""
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
