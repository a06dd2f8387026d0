"""Servers that VPP would never reach, since a VIP of its own is in the way.

VPP looks up the address of a server as any other (lb.c, lb_as_stack), so what is sent to one that
is behind a VIP goes on in that VIP, if that takes it (node.c, lb_node_get_hash): a VIP for all
ports takes everything; one for a port takes what NAT sends to that port, and what L3DSR leaves
as it came; but nothing wrapped in GRE, which has no ports. That is lost. What comes back to where
it was gets a header more each time round, until there is no room and VPP dies; or goes round for
ever and VPP with it, where nothing is wrapped.

So each frontend is judged beside the older ones that are accepted. A server that may not be is
left out, since the others can serve. A VIP that would take the server of an older frontend away is
refused. A VIP for many addresses is no fault where VPP has a better route to a server in it,
which cannot be known here: it is refused where packets would come back, and warned of elsewhere.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from vpplb.model.lookup import AddressSet, PrefixSet
from vpplb.model.names import ObjectKey
from vpplb.model.printable import join_few
from vpplb.model.problem import Problem
from vpplb.model.vip import Encap, IPAddress, IPNetwork, VipProtocol
from vpplb.plan.resolved import ResolvedFrontend, ResolvedMember, frontend_problem

NAT = frozenset({Encap.NAT4, Encap.NAT6})


class AcceptedFrontends:
    """The frontends accepted so far, found by where their VIPs and servers are."""

    def __init__(self) -> None:
        self._prefixes, self._addresses = PrefixSet(), AddressSet()
        self._on: dict[IPNetwork, list[ResolvedFrontend]] = {}
        self._serving: dict[IPAddress, list[ResolvedFrontend]] = {}

    @property
    def has_any(self) -> bool:
        return bool(self._on)

    def add_frontend(self, one: ResolvedFrontend) -> None:
        prefix = one.frontend.vip.prefix
        self._prefixes.add_prefix(prefix)
        self._on.setdefault(prefix, []).append(one)
        for address in _list_servers(one):
            self._addresses.add_address(address)
            self._serving.setdefault(address, []).append(one)

    def find_on(self, prefix: IPNetwork) -> Sequence[ResolvedFrontend]:
        """Return the frontends whose VIP has this prefix, in the order in which they came."""
        return self._on.get(prefix, ())

    def find_around(self, address: IPAddress) -> Iterator[IPNetwork]:
        """Find the prefixes that an address is in, the longest first: VPP looks no further."""
        return self._prefixes.find_around(address)

    def find_serving(self, address: IPAddress) -> Sequence[ResolvedFrontend]:
        """Return the frontends that have this server, in the order in which they came."""
        return self._serving.get(address, ())

    def servers_in(self, prefix: IPNetwork) -> Iterator[IPAddress]:
        return self._addresses.find_within(prefix)


def without_loops(one: ResolvedFrontend, older: AcceptedFrontends) -> ResolvedFrontend:
    """Leave out the servers of a frontend that VPP would not reach, or all of it."""
    vip = one.frontend.vip.prefix
    if not older.has_any and not any(member.address in vip for member in one.members):
        return one  # as most are: alone
    address = _read_host(vip)
    if address is not None and (taken := older.find_serving(address)):
        message = f"{address} is a server of Frontend {_name_frontend(taken[0])}"
        rejected = frontend_problem(one.frontend, "Conflict", "spec.address", message)
        return replace(one, members=(), rejected=rejected)
    unfit = dict(_find_unfit(one, older))
    if unfit:
        one = _left_out(one, unfit)
    return replace(one, warnings=tuple(_find_overlaps(one, older)))


# --- what is left out -------------------------------------------------------------------------


def _find_unfit(one: ResolvedFrontend, older: AcceptedFrontends) -> Iterator[tuple[IPAddress, str]]:
    """Find the servers that may not be, and say of each what it is."""
    harmless: set[ObjectKey] = set()
    for address in _list_servers(one):
        says = _in_the_way(one, address, older, harmless) or _find_translation(one, address, older)
        if says:
            yield address, says


def _in_the_way(
    one: ResolvedFrontend, address: IPAddress, older: AcceptedFrontends, harmless: set[ObjectKey]
) -> str:
    if address == _read_host(one.frontend.vip.prefix):
        return "is the VIP itself"
    best = next(older.find_around(address), None)
    if best is not None and _read_host(best):
        return f"is the VIP of Frontend {_name_frontend(older.find_on(best)[0])}"
    way = _way_back(one, address, older, harmless)
    if way is one:
        return "lies inside the VIP, which would take its packets again"
    if way is not None:
        return (
            f"is behind VIPs of which Frontend {_name_frontend(way)}, sends its packets back here"
        )
    return ""


def _find_translation(one: ResolvedFrontend, address: IPAddress, older: AcceptedFrontends) -> str:
    # VPP quirk: NAT by server and port. What comes back is told apart by nothing else (lb.c,
    # mapping_by_as4), and the mapping that two VIPs share is freed twice, and VPP aborts.
    if one.encap not in NAT:
        return ""
    port = one.frontend.target_port
    for other in older.find_serving(address):
        if other.encap in NAT and other.frontend.target_port == port:
            return (
                f"is behind the NAT of Frontend {_name_frontend(other)}, with the same port {port}"
            )
    return ""


def _way_back(
    one: ResolvedFrontend, address: IPAddress, older: AcceptedFrontends, harmless: set[ObjectKey]
) -> ResolvedFrontend | None:
    """Find who would send back to a frontend what it sends to a server.

    VPP quirk: servers behind VIPs. One packet that comes back kills VPP, and again when it is up.

    `harmless` are those who are known not to; all that were asked in vain are added.
    """
    asked: set[ObjectKey] = set()
    sent = [(one, address)]
    while sent:
        sender, to = sent.pop()
        for taker in _find_takers(sender, to, one, older):
            if taker is one:
                return sender
            if taker.frontend.key not in harmless | asked:
                asked.add(taker.frontend.key)
                sent += [(taker, server) for server in _list_servers(taker)]
    harmless |= asked
    return None


def _find_takers(
    sender: ResolvedFrontend, to: IPAddress, one: ResolvedFrontend, older: AcceptedFrontends
) -> Iterator[ResolvedFrontend]:
    """Find the VIPs in which VPP goes on with what is sent to a server: those of its best route."""
    best, own = next(older.find_around(to), None), one.frontend.vip.prefix
    takers = older.find_on(best) if best is not None else ()
    if to in own and (best is None or own.prefixlen >= best.prefixlen):
        takers = (*older.find_on(own), one)
    return (taker for taker in takers if _does_take(taker, sender))


def _does_take(taker: ResolvedFrontend, sender: ResolvedFrontend) -> bool:
    vip = taker.frontend.vip
    if vip.protocol is VipProtocol.ANY or sender.encap is Encap.L3DSR:
        return True
    translated = (VipProtocol.UDP, sender.frontend.target_port)  # of NAT, TCP is dropped
    return sender.encap in NAT and (vip.protocol, vip.port) == translated


def _left_out(one: ResolvedFrontend, unfit: Mapping[IPAddress, str]) -> ResolvedFrontend:
    out = [member for member in one.members if member.address in unfit]
    message = (
        "not served, since VPP would lose or repeat their packets, or die of them: "
        + join_few([f"{_name_member(member)} {unfit[member.address]}" for member in out], "; ")
    )
    problem = frontend_problem(one.frontend, "Conflict", _locate_members(one, out), message)
    if one.rejected is not None:
        problem = replace(one.rejected, message=f"{one.rejected.message}; {message}")
    kept = tuple(member for member in one.members if member.address not in unfit)
    return replace(one, members=kept, rejected=problem)


# --- what is warned of ------------------------------------------------------------------------


def _find_overlaps(one: ResolvedFrontend, older: AcceptedFrontends) -> Iterator[Problem]:
    """Find servers that a VIP for many addresses is around, with or without a better route."""
    vip = one.frontend.vip.prefix
    own = [member for member in one.members if not _read_host(vip) and member.address in vip]
    if own:
        names = [_name_member(member) for member in own]
        yield _describe_overlap(one, _locate_members(one, own), "lie inside the VIP", names)
    behind = {
        m: best for m in one.members if (best := next(older.find_around(m.address), vip)) != vip
    }
    if behind:
        names = [f"{_name_member(member)} in {best}" for member, best in behind.items()]
        place = _locate_members(one, tuple(behind))
        yield _describe_overlap(one, place, "lie inside VIPs of other Frontends", names)
    covered = [] if _read_host(vip) else older.servers_in(vip)
    if names := [f"{at} of {older.find_serving(at)[0].frontend.key}" for at in covered]:
        yield _describe_overlap(one, "spec.address", "of other Frontends lie inside the VIP", names)


def _describe_overlap(
    one: ResolvedFrontend, field: str, where: str, names: Sequence[str]
) -> Problem:
    said = join_few(names, "; ")
    message = f"servers {where} and get nothing unless VPP has a better route to them: {said}"
    return frontend_problem(one.frontend, "ServersInVip", field, message)


# --- words ------------------------------------------------------------------------------------


def _locate_members(one: ResolvedFrontend, members: Sequence[ResolvedMember]) -> str:
    """Return the field of a single member, that of all pools for several."""
    (first, *more) = members
    for i, pool in enumerate(one.frontend.pools if not more else ()):
        for j, member in enumerate(pool.members):
            if (pool.name, member.backend) == (first.pool, first.backend):
                return f"spec.pools[{i}].backends[{j}].name"
    return "spec.pools"


def _name_frontend(older: ResolvedFrontend) -> str:
    return f"{older.frontend.key}, which is older"


def _name_member(member: ResolvedMember) -> str:
    return f"{member.backend.name} ({member.address})"


def _list_servers(one: ResolvedFrontend) -> Iterable[IPAddress]:
    return dict.fromkeys(member.address for member in one.members)


def _read_host(prefix: IPNetwork) -> IPAddress | None:
    """Return the address of a prefix for one address."""
    return prefix.network_address if prefix.prefixlen == prefix.max_prefixlen else None
