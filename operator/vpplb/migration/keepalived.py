"""From a keepalived.conf to manifests: virtual servers become Frontends, real servers Backends.

What it does besides (VRRP, routes, scripts) stays with keepalived, or with the network.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network

from vpplb.migration.drafts import (
    PORTS_DIFFER,
    DraftedMember,
    DraftedPool,
    ImportedSet,
    ManifestDraft,
    read_number,
)
from vpplb.migration.endpoints import read_host, read_port
from vpplb.migration.keepalived_blocks import ConfigStatement, iter_statements, parse_blocks
from vpplb.migration.keepalived_checks import (
    CARRIED,
    INHERITED,
    LOST,
    CheckedServer,
    choose_checker,
    list_inherited,
    put_checker,
)
from vpplb.model.names import ObjectKind
from vpplb.model.vip import IPAddress
from vpplb.resources.frontend import MOST_POOLS

MOST_IN_RANGE = 256
"""Addresses of one range; each is a VIP of its own."""
_MOST_WEIGHT = 65535

_TUNNEL = (
    "packets reach the servers within GRE: each needs a GRE tunnel, and the VIP on a loopback"
    " (docs/router.md)"
)
_ELSEWHERE = {
    "global_defs": "it is about keepalived itself",
    "vrrp_instance": "VPP neither answers for VIPs nor announces them: route them to it",
    "vrrp_sync_group": "VRRP stays with keepalived, or goes: every node carries every VIP",
    "vrrp_script": "VRRP stays with keepalived, or goes: every node carries every VIP",
    "vrrp_track_process": "VRRP stays with keepalived, or goes: every node carries every VIP",
    "track_file": "no file is looked at",
    "static_ipaddress": "addresses of the host are the host's",
    "static_routes": "routes of the host are the host's",
    "static_rules": "routes of the host are the host's",
    "static_iptables": "rules of the host are the host's",
    "SSL": "no certificate is shown to servers, and none of theirs verified, as before",
    "bfd_instance": "BFD stays with the routing daemon",
    "linkbeat_interfaces": "it is about VRRP",
    "interface_up_down_delays": "it is about VRRP",
}
_STICKY = frozenset({"persistence_timeout", "persistence_engine"})
_MOOT = frozenset(
    [
        "snmp_name",
        "smtp_alert",
        "omega",
        "alpha",
        "warmup",
        "ip_family",
        "nat_mask",
        "flag-1",
        "flag-2",
        "flag-3",
        "sh-port",
        "sh-fallback",
        "mh-port",
        "mh-fallback",
        "bind_if",
    ]
)
_LOST_SERVER = {
    "ha_suspend": "checks go on, whoever has the VIP",
    "ops": "each flow of datagrams is remembered",
    "persistence_granularity": "clients stick by their whole address",
    "hysteresis": "a quorum is not counted",
    "quorum_up": "no script is run: watch the events",
    "quorum_down": "no script is run: watch the events",
    "sorry_server_inhibit": "a server that is down gets no flows",
    "sorry_server_lvs_method": "all servers are reached by GRE",
    "notify_up": "no script is run: watch the events",
    "notify_down": "no script is run: watch the events",
    "uthreshold": "connections are not counted",
    "lthreshold": "connections are not counted",
}
_READ = frozenset(
    [
        "lvs_sched",
        "lb_algo",
        "lvs_method",
        "lb_kind",
        "protocol",
        "virtualhost",
        "quorum",
        "sorry_server",
        "real_server",
        "weight",
        "inhibit_on_failure",
    ]
)


def import_keepalived(text: str) -> ImportedSet:
    """Import a configuration (UnparseableConfig)."""
    statements, unread = parse_blocks(text)
    importer = _KeepalivedImport()
    for line in unread:
        importer.imported.add_loss(line.line, line.text, line.why)
    return importer.import_statements(statements)


@dataclass(frozen=True, slots=True, kw_only=True)
class _ServedVip:
    """What a virtual server is for; `port` 0: all ports."""

    address: IPAddress
    port: int
    line: int


@dataclass(slots=True)
class _KeepalivedImport:
    """The import of one configuration; equal checks and servers are shared."""

    imported: ImportedSet = field(default_factory=ImportedSet)
    _groups: dict[str, ConfigStatement] = field(default_factory=dict)

    def import_statements(self, statements: Sequence[ConfigStatement]) -> ImportedSet:
        self._groups = {
            one.argument(): one for one in statements if one.keyword == "virtual_server_group"
        }
        for one in statements:
            if one.keyword == "virtual_server":
                self._import_server(one)
            elif one.keyword in _ELSEWHERE:
                self.imported.add_note(one.line, one.text, _ELSEWHERE[one.keyword])
            elif one.keyword != "virtual_server_group":
                self.imported.add_loss(one.line, one.text, "is not known")
        return self.imported

    # --- VIPs -------------------------------------------------------------------------------------

    def _import_server(self, server: ConfigStatement) -> None:
        try:
            vips = list(self._read_vips(server))
            pools = {vip.port: self._make_pools(server, vip.port, vips[0].port) for vip in vips}
        except ValueError as error:
            self.imported.add_loss(server.line, server.text, str(error))
            return
        settings = {one.keyword: one for one in server.block}
        protocol = settings["protocol"].argument().upper() if "protocol" in settings else "TCP"
        if protocol not in ("TCP", "UDP"):
            said = f"there are no VIPs of {protocol}"
            self.imported.add_loss(server.line, server.text, said)
            return
        for vip in vips:
            if pools[vip.port]:
                self._draft_frontend(server, vip, protocol, pools[vip.port])
            else:
                subject = f"{vip.address} port {vip.port or 'any'}"
                self.imported.add_loss(vip.line, subject, "no server can serve it: no VIP is made")
        self._note_settings(server)

    def _read_vips(self, server: ConfigStatement) -> Iterator[_ServedVip]:
        match server.words[1:]:
            case ("fwmark", *_):
                raise ValueError("VPP has no marks of a firewall: name the VIP's address")
            case ("group", name, *_):
                if name not in self._groups:
                    raise ValueError(f"there is no virtual_server_group {name}")
                for one in self._groups[name].block:
                    yield from self._read_group(one)
            case (address, *port):
                number = _read_port(port)
                yield _ServedVip(address=read_host(address), port=number, line=server.line)
            case _:
                raise ValueError("there is no address")

    def _read_group(self, entry: ConfigStatement) -> Iterator[_ServedVip]:
        if entry.keyword == "fwmark":
            self.imported.add_loss(entry.line, entry.text, "VPP has no marks of a firewall")
            return
        port = _read_port(entry.words[1:])
        for address in _read_range(entry.keyword):
            yield _ServedVip(address=address, port=port, line=entry.line)

    def _draft_frontend(
        self, server: ConfigStatement, vip: _ServedVip, protocol: str, pools: list[DraftedPool]
    ) -> None:
        name = "-".join(
            str(part) for part in (vip.address, vip.port or "any", protocol) if part != "TCP"
        )
        draft = self.imported.add_draft(ObjectKind.FRONTEND, name, vip.line)
        draft.put_field("address", str(vip.address), vip.line)
        draft.put_field("protocol", protocol if vip.port else "Any", vip.line)
        draft.put_field("port", vip.port or None, vip.line)
        if not vip.port:
            said = "all ports: a VIP for them is one for all protocols, too"
            self.imported.add_note(vip.line, server.text, said)
        draft.put_field("srcIPSticky", self._is_sticky(server) or None, server.line)
        self._put_flush(draft, server)
        draft.put_pools(pools)
        self.imported.note_scaled(pools, server.text)

    def _is_sticky(self, server: ConfigStatement) -> bool:
        """Whether clients stick: by persistence, or by a hash of their address alone."""
        words = {one.keyword: one for one in server.block}
        scheduler = words.get("lvs_sched") or words.get("lb_algo")
        hashed = scheduler is not None and scheduler.argument() in ("sh", "mh")
        by_port = "sh-port" in words or "mh-port" in words
        return bool(_STICKY & words.keys()) or (hashed and not by_port)

    def _put_flush(self, draft: ManifestDraft, server: ConfigStatement) -> None:
        """Keep flows where keepalived keeps a server that is down in IPVS, with weight 0."""
        keeping = any(
            _is_on(one)
            for place in (server, *iter_statements(server.block, "real_server"))
            for one in iter_statements(place.block, "inhibit_on_failure")
        )
        if keeping:
            draft.put_field("flushOnDown", False, server.line)

    # --- servers ----------------------------------------------------------------------------------

    def _make_pools(
        self, server: ConfigStatement, vip_port: int, first_port: int
    ) -> list[DraftedPool]:
        """Make the pools of a VIP at a port; servers without one are checked at `first_port`."""
        members = list(self._draft_members(server, vip_port, first_port))
        words = {one.keyword: one for one in server.block}
        scheduler = words.get("lvs_sched") or words.get("lb_algo")
        groups = [members] if members else []
        if scheduler is not None and scheduler.argument() == "fo":
            groups = [[one] for one in sorted(members, key=lambda one: -one.weight)]
        sorry = self._make_sorry(server, vip_port)
        most = MOST_POOLS - len(sorry)
        for left_out in groups[most:]:
            said = f"a Frontend has {MOST_POOLS} pools at most"
            self.imported.add_loss(left_out[0].line, server.text, said)
        pools = [
            DraftedPool(
                name="main" if not n else f"main-{n + 1}", members=tuple(one), line=server.line
            )
            for n, one in enumerate(groups[:most])
        ]
        return pools + sorry

    def _make_sorry(self, server: ConfigStatement, vip_port: int) -> list[DraftedPool]:
        pools: list[DraftedPool] = []
        for one in iter_statements(server.block, "sorry_server"):
            if not self._fits_port(one, vip_port):
                continue
            backend = self._share_backend(str(read_host(one.argument())), None, one.line)
            member = DraftedMember(backend=backend, weight=100, line=one.line)
            pools = [DraftedPool(name="sorry", members=(member,), line=one.line)]
        return pools

    def _draft_members(
        self, server: ConfigStatement, vip_port: int, first_port: int
    ) -> Iterator[DraftedMember]:
        seen: set[str] = set()
        for real in iter_statements(server.block, "real_server"):
            try:
                if not self._fits_port(real, vip_port):
                    continue
                weight = _read_weight(real)
                backend = self._draft_server(server, real, first_port)
            except ValueError as error:
                self.imported.add_loss(real.line, real.text, str(error))
                continue
            if backend in seen:
                said = "a server is in a pool once: it gets no more for another port"
                self.imported.add_loss(real.line, real.text, said)
                continue
            seen.add(backend)
            yield DraftedMember(backend=backend, weight=weight, line=real.line)

    def _fits_port(self, real: ConfigStatement, vip_port: int) -> bool:
        """Tell whether a server gets packets at its own port; say so where it does not.

        One behind a VIP of all ports does, and others besides.
        """
        port = _read_port(real.words[2:])
        if port in (0, vip_port):
            return True
        said = f"the server is at port {port}, and packets come to all ports"
        if vip_port:
            said = PORTS_DIFFER.format(server=port, vip=vip_port)
        self.imported.add_loss(real.line, real.text, said)
        return not vip_port

    def _draft_server(self, server: ConfigStatement, real: ConfigStatement, first_port: int) -> str:
        """Draft the Backend of a real server; one without a port of its own has the first VIP's."""
        address, port = str(read_host(real.argument())), _read_port(real.words[2:])
        checker = choose_checker(real, self.imported)
        check = None
        if checker is not None:
            hosts = {one.keyword: one.argument() for one in (*server.block, *real.block)}
            about = CheckedServer(
                address=address,
                port=port or first_port,
                inherited=list_inherited(server.block) | list_inherited(real.block),
                virtualhost=hosts.get("virtualhost", ""),
            )
            check = self._share_check(checker, about)
        self._note_real(real)
        return self._share_backend(address, check, real.line)

    def _share_check(self, checker: ConfigStatement, about: CheckedServer) -> str:
        trial = ManifestDraft(kind=ObjectKind.HEALTH_CHECK, name="", line=checker.line)
        put_checker(trial, checker, about, self.imported)
        trial.name = str(trial.spec["type"]).lower()
        trial.name += f"-{trial.spec['port']}" if "port" in trial.spec else ""
        return self.imported.share_draft(trial)

    def _share_backend(self, address: str, check: str | None, line: int) -> str:
        trial = ManifestDraft(kind=ObjectKind.BACKEND, name=address, line=line)
        trial.put_field("address", address, line)
        trial.put_field("healthCheckRef.name", check, line)
        return self.imported.share_draft(trial)

    # --- what is not carried ----------------------------------------------------------------------

    def _note_settings(self, server: ConfigStatement) -> None:
        for one in server.block:
            match one.keyword:
                case "lvs_method" | "lb_kind":
                    self.imported.add_note(one.line, one.text, _TUNNEL)
                case "lvs_sched" | "lb_algo" if one.argument() not in ("sh", "mh", "fo"):
                    said = "flows are spread by a hash, in proportion to the weights"
                    self.imported.add_note(one.line, one.text, said)
                case "quorum" if one.argument() != "1":
                    said = "a pool serves while one of its servers does"
                    self.imported.add_loss(one.line, one.text, said)
                case _ if one.keyword in _STICKY:
                    said = "a client goes to one server by a hash of its address (srcIPSticky)"
                    self.imported.add_note(one.line, one.text, said)
                case _:
                    self._note_statement(one)

    def _note_real(self, real: ConfigStatement) -> None:
        for one in real.block:
            if one.keyword in ("lvs_method", "lb_kind"):
                self.imported.add_note(one.line, one.text, _TUNNEL)
            elif one.keyword not in (*CARRIED, *LOST):
                self._note_statement(one)

    def _note_statement(self, one: ConfigStatement) -> None:
        if one.keyword in _LOST_SERVER:
            self.imported.add_loss(one.line, one.text, _LOST_SERVER[one.keyword])
        elif one.keyword in _MOOT:
            self.imported.add_note(one.line, one.text, "there is no such setting, nor need of it")
        elif one.keyword not in _READ and one.keyword not in INHERITED:
            self.imported.add_loss(one.line, one.text, "is not known")


def _read_port(words: Sequence[str]) -> int:
    """Read the port that follows an address, 0 where there is none."""
    return read_port(words[0]) if words else 0


def _read_weight(real: ConfigStatement) -> int:
    """Read a weight; keepalived's own default is 1."""
    for one in iter_statements(real.block, "weight"):
        weight = read_number(one.argument(), "weight")
        if weight > _MOST_WEIGHT:
            raise ValueError(f"weight {weight} is above {_MOST_WEIGHT}")
        return weight
    return 1


def _is_on(one: ConfigStatement) -> bool:
    return one.argument().lower() not in ("off", "no", "false")


def _read_range(text: str) -> Iterator[IPAddress]:
    """Read `192.0.2.1`, `192.0.2.1-10`, `192.0.2.1-192.0.3.5` or `192.0.2.8/29`."""
    if "/" in text:
        network = _read_network(text)
        if network.num_addresses > MOST_IN_RANGE:
            raise ValueError(f"{text} are too many addresses: each is a VIP of its own")
        yield from network
        return
    low, dash, high = text.partition("-")
    first = last = read_host(low)
    if dash:
        last = _read_last(first, high)
    if not 0 <= int(last) - int(first) < MOST_IN_RANGE:
        raise ValueError(f"{text} are too many addresses, or none: each is a VIP of its own")
    for number in range(int(first), int(last) + 1):
        yield type(first)(number)


def _read_last(first: IPAddress, text: str) -> IPAddress:
    """Read the end of a range: a whole address, or the last number of the first one."""
    if "." in text or ":" in text:
        return read_host(text)
    base, bits = (10, 8) if first.version == 4 else (16, 16)
    try:
        number = int(text, base)
    except ValueError:
        number = -1
    if not 0 <= number < 1 << bits:
        raise ValueError(f"{text:.20} is no end of a range")
    return type(first)((int(first) >> bits << bits) + number)


def _read_network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text:.80} is no network") from None
