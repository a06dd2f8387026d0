"""From a haproxy.cfg to manifests: binds become VIPs, servers Backends, their checks HealthChecks.

What a proxy does with connections and requests has no place here: VPP forwards packets. A backend
that is reached by no `bind` is not carried.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from vpplb.migration.drafts import (
    PORTS_DIFFER,
    DraftedMember,
    DraftedPool,
    ImportedSet,
    ManifestDraft,
    read_number,
)
from vpplb.migration.endpoints import ServiceEndpoint, read_endpoints
from vpplb.migration.haproxy_checks import put_check
from vpplb.migration.haproxy_lines import ConfigLine, ConfigSection, parse_sections
from vpplb.migration.haproxy_proxies import HaproxyProxy, ProxyServer, read_proxy
from vpplb.migration.haproxy_words import SECTION_WHY
from vpplb.model.names import ObjectKind
from vpplb.model.vip import IPAddress
from vpplb.resources.frontend import MOST_POOLS

_GRE = (
    "packets reach the servers from the client to the VIP, within GRE: each server needs a GRE"
    " tunnel and the VIP on a loopback (docs/router.md)"
)
_KEEPS_FLOWS = (
    "flows of a server that goes down stay (flushOnDown: false), as without"
    " on-marked-down shutdown-sessions"
)


def import_haproxy(text: str, vips: Sequence[IPAddress]) -> ImportedSet:
    """Import a configuration; `vips` are the addresses of binds to every address.

    UnparseableConfig where the text is no haproxy.cfg.
    """
    return _HaproxyImport(vips).import_sections(parse_sections(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class _DraftedServer:
    """A server and the Backend that it became."""

    server: ProxyServer
    backend: str
    weight: int


@dataclass(slots=True)
class _HaproxyImport:
    """The import of one configuration."""

    vips: Sequence[IPAddress]
    imported: ImportedSet = field(default_factory=ImportedSet)
    _backends: dict[str, HaproxyProxy] = field(default_factory=dict)
    _wanted: set[str] = field(default_factory=set)
    """Backends that a bind leads to, also where its VIP is lost: that is said of the bind."""
    _drafted: dict[tuple[str, int], _DraftedServer] = field(default_factory=dict)
    """Servers by their proxy and line: frontends share them."""

    def import_sections(self, sections: Sequence[ConfigSection]) -> ImportedSet:
        self._drop_conditions(sections)
        proxies = list(self._read_proxies(sections))
        self._backends = {one.name: one for one in proxies if one.section.kind != "frontend"}
        for proxy in proxies:
            if proxy.disabled:
                self._note_lost(proxy, "it is disabled")
            elif proxy.binds:
                self._import_frontend(proxy)
            elif proxy.section.kind == "frontend":
                self._note_lost(proxy, "it has no bind")
        for proxy in self._backends.values():
            reached = proxy.binds or proxy.disabled or proxy.name in self._wanted
            if proxy.servers and not reached:
                self._note_lost(proxy, "no bind leads here without a look at requests")
        return self.imported

    def _drop_conditions(self, sections: Iterable[ConfigSection]) -> None:
        """Take out `.if` and the like, with a finding for each: what they choose between stays."""
        for section in sections:
            for line in section.lines:
                if line.words[0].startswith("."):
                    said = "conditions are not evaluated: what every branch says is taken"
                    self.imported.add_loss(line.number, line.text, said)
            section.lines = [one for one in section.lines if not one.words[0].startswith(".")]

    def _note_lost(self, proxy: HaproxyProxy, why: str) -> None:
        section = proxy.section
        self.imported.add_loss(section.line, f"{section.kind} {proxy.name}", why)

    def _read_proxies(self, sections: Iterable[ConfigSection]) -> Iterator[HaproxyProxy]:
        latest: HaproxyProxy | None = None
        named: dict[str, HaproxyProxy] = {}
        unverified = False
        for section in sections:
            _, _, base = " ".join(section.words).partition("from ")
            match section.kind:
                case "global":
                    unverified |= any(
                        line.words[:2] == ("ssl-server-verify", "none") for line in section.lines
                    )
                    self._note_section(section)
                case "defaults":
                    latest = read_proxy(section, named.get(base), self.imported)
                    if unverified:
                        latest.default_server.setdefault("verify", "none")
                    named[section.name] = latest
                case "frontend" | "backend" | "listen":
                    yield read_proxy(section, named.get(base, latest), self.imported)
                case _:
                    self._note_section(section)

    def _note_section(self, section: ConfigSection) -> None:
        meaning = SECTION_WHY[section.kind]
        add = self.imported.add_loss if meaning.lost else self.imported.add_note
        add(section.line, " ".join((section.kind, *section.words)), meaning.why)

    # --- VIPs -------------------------------------------------------------------------------------

    def _import_frontend(self, proxy: HaproxyProxy) -> None:
        target = self._find_target(proxy)
        if target is None:
            return
        self._wanted.add(target.name)
        binds = [(one, line) for line in proxy.binds for one in self._read_bind(line)]
        for endpoint, line in binds:
            same = endpoint.port == binds[0][0].port
            name = proxy.name if same else f"{proxy.name}-{endpoint.port}"
            self._draft_frontend(name, proxy, target, endpoint, line)

    def _find_target(self, proxy: HaproxyProxy) -> HaproxyProxy | None:
        if proxy.default_backend is None:
            if proxy.servers:
                return proxy
            self._note_lost(proxy, "all its traffic goes by requests, or nowhere: there is no VIP")
            return None
        name, line = proxy.default_backend
        target = self._backends.get(name)
        if target is None or not target.servers:
            self.imported.add_loss(line.number, line.text, f"{name} has no servers: no VIP is made")
            return None
        return target

    def _read_bind(self, line: ConfigLine) -> Iterator[ServiceEndpoint]:
        """Read `bind`; what is bound to every address is bound to `vips` instead."""
        settings = line.words[2:]
        if "ssl" in settings:
            said = "VPP does not end TLS: the servers have to, with certificates of their own"
            self.imported.add_loss(line.number, "bind: ssl", said)
        if "accept-proxy" in settings:
            said = "VPP reads no PROXY header: servers see it"
            self.imported.add_loss(line.number, "bind: accept-proxy", said)
        for text in line.words[1].split(","):
            try:
                endpoints = list(read_endpoints(text))
            except ValueError as error:
                self.imported.add_loss(line.number, f"bind {text}", str(error))
                continue
            for endpoint in endpoints:
                yield from self._place_endpoint(endpoint, text, line)

    def _place_endpoint(
        self, endpoint: ServiceEndpoint, text: str, line: ConfigLine
    ) -> Iterator[ServiceEndpoint]:
        subject = f"bind {text}"
        if not endpoint.port:
            self.imported.add_loss(line.number, subject, "there is no port")
        elif endpoint.address is not None:
            yield endpoint
        elif not self.vips:
            said = "a VIP is one address, and this is every address: say which by --vip"
            self.imported.add_loss(line.number, subject, said)
        for vip in () if endpoint.address or not endpoint.port else self.vips:
            if endpoint.version in (0, vip.version):
                yield endpoint._replace(address=vip)

    def _draft_frontend(
        self,
        name: str,
        proxy: HaproxyProxy,
        target: HaproxyProxy,
        endpoint: ServiceEndpoint,
        line: ConfigLine,
    ) -> None:
        servers = self._draft_servers(target, endpoint.port)
        if not servers:
            said = f"no server of {target.name} can serve it: no VIP is made"
            self.imported.add_loss(line.number, f"{endpoint.address} port {endpoint.port}", said)
            return
        draft = self.imported.add_draft(ObjectKind.FRONTEND, name, line.number)
        draft.put_field("description", proxy.description or None, proxy.section.line)
        draft.put_field("address", str(endpoint.address), line.number)
        draft.put_field("protocol", "TCP", line.number)
        draft.put_field("port", endpoint.port, line.number)
        draft.put_field("srcIPSticky", target.sticky or None, target.section.line)
        self._put_flush(draft, target)
        pools = self._make_pools(target, servers)
        draft.put_pools(pools)
        self.imported.note_scaled(pools, f"backend {target.name}")
        self.imported.add_note(line.number, f"Frontend {draft.name}", _GRE)

    def _put_flush(self, draft: ManifestDraft, target: HaproxyProxy) -> None:
        """Cut flows as HAProxy does: only where it is asked to, of all servers."""
        flush = all(
            one.settings.get("on-marked-down") == "shutdown-sessions" for one in target.servers
        )
        draft.put_field("flushOnDown", flush, target.section.line)
        if not flush:
            subject = f"{target.section.kind} {target.name}"
            self.imported.add_note(target.section.line, subject, _KEEPS_FLOWS)

    def _make_pools(
        self, target: HaproxyProxy, servers: Sequence[_DraftedServer]
    ) -> list[DraftedPool]:
        """Make a pool of the servers, and one of each backup: HAProxy uses the first that is up."""
        line = target.section.line
        active = [one for one in servers if "backup" not in one.server.settings]
        backups = [one for one in servers if "backup" in one.server.settings]
        groups = [("main", active)] if active else []
        if target.all_backups and backups:
            groups.append(("backup", backups))
        else:
            groups += [(f"backup-{n}", [one]) for n, one in enumerate(backups, 1)]
        for _, left_out in groups[MOST_POOLS:]:
            said = f"a Frontend has {MOST_POOLS} pools at most"
            number = left_out[0].server.line.number
            self.imported.add_loss(number, f"server {left_out[0].server.name}", said)
        return [
            DraftedPool(name=name, members=tuple(_make_members(group)), line=line)
            for name, group in groups[:MOST_POOLS]
        ]

    # --- servers ----------------------------------------------------------------------------------

    def _draft_servers(self, target: HaproxyProxy, vip_port: int) -> list[_DraftedServer]:
        """Draft the Backends of a proxy's servers that listen at the port of a VIP."""
        drafted = (self._draft_server(target, one, vip_port) for one in target.servers)
        return [one for one in drafted if one is not None]

    def _draft_server(
        self, target: HaproxyProxy, server: ProxyServer, vip_port: int
    ) -> _DraftedServer | None:
        key = target.name, server.line.number
        try:
            endpoint = next(read_endpoints(server.address))
            if endpoint.address is None:
                raise ValueError("every address is no server")
            if endpoint.port not in (0, vip_port):
                raise ValueError(PORTS_DIFFER.format(server=endpoint.port, vip=vip_port))
            if key not in self._drafted:
                self._drafted[key] = self._draft_backend(target, server, endpoint.address, vip_port)
        except ValueError as error:
            self.imported.add_loss(server.line.number, f"server {server.name}", str(error))
            return None
        return self._drafted[key]

    def _draft_backend(
        self, target: HaproxyProxy, server: ProxyServer, address: IPAddress, port: int
    ) -> _DraftedServer:
        number = server.line.number
        weight = read_number(server.settings.get("weight") or "1", "weight")
        check = self._draft_check(target, server, port)
        draft = self.imported.add_draft(ObjectKind.BACKEND, f"{target.name}-{server.name}", number)
        draft.put_field("address", str(address), number)
        draft.put_field("healthCheckRef.name", check, number)
        draft.put_field("enabled", False if "disabled" in server.settings else None, number)
        self._note_settings(server, address)
        return _DraftedServer(server=server, backend=draft.name, weight=weight)

    def _draft_check(self, target: HaproxyProxy, server: ProxyServer, port: int) -> str | None:
        """Draft the HealthCheck of a server, unless another of its proxy has the same."""
        if "check" not in server.settings:
            return None
        number = server.line.number
        trial = ManifestDraft(kind=ObjectKind.HEALTH_CHECK, name=target.name, line=number)
        put_check(trial, target.check, server.settings, port, number)
        self._note_request(target)
        return self.imported.share_draft(trial)

    def _note_request(self, target: HaproxyProxy) -> None:
        check = target.check
        if check.kind != "http":
            return
        if check.method not in ("GET", "HEAD"):
            said = (
                f"a probe asks by GET or HEAD, not by {check.method}: GET has to be answered well"
            )
            self.imported.add_loss(check.line, "option httpchk", said)
        if not check.host:
            said = "a probe asks by HTTP/1.1, with the server's address as Host"
            self.imported.add_note(check.line, "option httpchk", said)

    def _note_settings(self, server: ProxyServer, address: IPAddress) -> None:
        number, settings = server.line.number, server.settings
        subject = f"server {server.name}"
        if "ssl" in settings:
            said = "clients speak TLS with the server themselves, or not at all"
            self.imported.add_loss(number, f"{subject}: ssl", said)
        if settings.get("addr", str(address)) != str(address):
            said = "the probe goes to the server's own address"
            self.imported.add_loss(number, f"{subject}: addr", said)
        trusted = settings.get("ca-file", "@system-ca")
        if trusted != "@system-ca" and settings.get("verify") != "none":
            said = f"put the certificates of {trusted} into spec.tls.caBundle: without, checks fail"
            self.imported.add_loss(number, f"{subject}: ca-file", said)


def _make_members(servers: Iterable[_DraftedServer]) -> Iterator[DraftedMember]:
    for one in servers:
        yield DraftedMember(backend=one.backend, weight=one.weight, line=one.server.line.number)
