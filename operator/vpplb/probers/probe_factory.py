"""From a CheckSpec to conversations: what can be made once is made once, here.

Settings that cannot be used (which validation should have refused) give conversations that
say so, rather than errors: one check never holds up another.
"""

from collections.abc import Callable
from functools import partial
from typing import assert_never

from vpplb.model.check import HttpProbe, IPAddress, TcpProbe, TlsSettings
from vpplb.model.health import ProbeCode, ProbeResult
from vpplb.probers.body_regexp import UnusableRegexp
from vpplb.probers.conversation import ProbeConversation
from vpplb.probers.http import HttpCheck, HttpConversation
from vpplb.probers.tcp import RefusedConversation, TcpConversation
from vpplb.probers.tls import SessionResumption, TlsConversation, UnusableTls, client_context


def conversation_factory(
    probe: TcpProbe | HttpProbe, address: IPAddress
) -> Callable[[], ProbeConversation]:
    """Return what makes a new conversation for each probe of one check."""
    try:
        return _make_factory(probe, address)
    except UnusableRegexp as error:
        result = ProbeResult(code=ProbeCode.L7RSP, detail=str(error))
    except UnusableTls as error:
        result = ProbeResult(code=ProbeCode.L6RSP, detail=str(error))
    return lambda: RefusedConversation(result)


def _make_factory(
    probe: TcpProbe | HttpProbe, address: IPAddress
) -> Callable[[], ProbeConversation]:
    tls = probe.tls
    match probe:
        case TcpProbe():
            return TcpConversation if tls is None else _in_tls(tls, address, None)
        case HttpProbe():
            exchange = partial(HttpConversation, HttpCheck(probe, address))
            return exchange if tls is None else _in_tls(tls, address, exchange)
        case _:
            assert_never(probe)


def _in_tls(
    tls: TlsSettings, address: IPAddress, inner: Callable[[], ProbeConversation] | None
) -> Callable[[], ProbeConversation]:
    context = client_context(tls)
    # Without a name the address is verified; when nothing is verified none is needed.
    # The dot of a full name is none of SNI's (RFC 6066, 3), nor of a certificate's.
    name = tls.server_name.removesuffix(".")
    name = name or ("" if tls.insecure_skip_verify else str(address))
    resumption = SessionResumption()

    def make() -> ProbeConversation:
        return TlsConversation(context, name, resumption, inner() if inner is not None else None)

    try:
        make()
    except ValueError as error:
        raise UnusableTls(f"serverName {name!r} cannot be used") from error
    return make
