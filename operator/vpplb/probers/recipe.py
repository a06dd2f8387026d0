"""From a CheckSpec to conversations: what can be made once is made once, here.

Settings that cannot be used (which validation should have refused) give conversations that
say so, rather than errors: one check never holds up another.
"""

from collections.abc import Callable
from functools import partial
from typing import assert_never

from vpplb.model.check import HttpProbe, IPAddress, TcpProbe, TlsSettings
from vpplb.model.health import ProbeCode, ProbeResult
from vpplb.probers.conversation import Conversation
from vpplb.probers.http import HttpConversation, HttpRecipe
from vpplb.probers.regexp import UnusableRegexp
from vpplb.probers.tcp import Foregone, TcpConversation
from vpplb.probers.tls import Resumption, TlsConversation, UnusableTls, client_context


def conversations(probe: TcpProbe | HttpProbe, address: IPAddress) -> Callable[[], Conversation]:
    """Return what makes a new conversation for each probe of one check."""
    try:
        return _conversations(probe, address)
    except UnusableRegexp as error:
        result = ProbeResult(code=ProbeCode.L7RSP, detail=str(error))
    except UnusableTls as error:
        result = ProbeResult(code=ProbeCode.L6RSP, detail=str(error))
    return lambda: Foregone(result)


def _conversations(probe: TcpProbe | HttpProbe, address: IPAddress) -> Callable[[], Conversation]:
    tls = probe.tls
    match probe:
        case TcpProbe():
            return TcpConversation if tls is None else _in_tls(tls, address, None)
        case HttpProbe():
            exchange = partial(HttpConversation, HttpRecipe(probe, address))
            return exchange if tls is None else _in_tls(tls, address, exchange)
        case _:
            assert_never(probe)


def _in_tls(
    tls: TlsSettings, address: IPAddress, inner: Callable[[], Conversation] | None
) -> Callable[[], Conversation]:
    context = client_context(tls)
    # Without a name the address is verified; when nothing is verified none is needed.
    # The dot of a full name is none of SNI's (RFC 6066, 3), nor of a certificate's.
    name = tls.server_name.removesuffix(".")
    name = name or ("" if tls.insecure_skip_verify else str(address))
    resumption = Resumption()

    def make() -> Conversation:
        return TlsConversation(context, name, resumption, inner() if inner is not None else None)

    try:
        make()
    except ValueError as error:
        raise UnusableTls(f"serverName {name!r} cannot be used") from error
    return make
