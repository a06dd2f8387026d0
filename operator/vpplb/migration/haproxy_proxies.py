"""Proxies of a haproxy.cfg: what their lines say, with what `defaults` said before.

A line that is not carried is a finding, each once: those of a `defaults` section at that section.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from vpplb.migration.drafts import ImportedSet
from vpplb.migration.haproxy_checks import (
    ProxyCheck,
    read_check_option,
    read_http_check,
    read_time,
)
from vpplb.migration.haproxy_lines import ConfigLine, ConfigSection
from vpplb.migration.haproxy_words import MOOT, PROXY_KEYWORDS, SERVER_SETTINGS, KeywordMeaning

_UNKNOWN = KeywordMeaning("is not known", lost=True)


@dataclass(slots=True, kw_only=True)
class ProxyServer:
    """A line `server`: where it is, and its settings with those of `default-server`."""

    name: str
    address: str
    settings: dict[str, str]
    line: ConfigLine


@dataclass(slots=True, kw_only=True)
class HaproxyProxy:
    """A frontend, backend or listen section, or what `defaults` says for those that follow."""

    section: ConfigSection
    check: ProxyCheck = field(default_factory=ProxyCheck)
    description: str = ""
    sticky: bool = False
    all_backups: bool = False
    disabled: bool = False
    default_backend: tuple[str, ConfigLine] | None = None
    default_server: dict[str, str] = field(default_factory=dict)
    binds: list[ConfigLine] = field(default_factory=list)
    servers: list[ProxyServer] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.section.name


def read_proxy(
    section: ConfigSection, base: HaproxyProxy | None, imported: ImportedSet
) -> HaproxyProxy:
    """Read a section, beginning with what its `defaults` said."""
    proxy = HaproxyProxy(section=section)
    if base is not None:
        proxy = replace(
            base,
            section=section,
            check=replace(base.check, headers=list(base.check.headers)),
            default_server=dict(base.default_server),
            binds=[],
            servers=[],
        )
    for line in section.lines:
        _read_line(proxy, line, imported)
    return proxy


def _read_line(proxy: HaproxyProxy, line: ConfigLine, imported: ImportedSet) -> None:
    keyword, *rest = line.words
    match keyword, rest:
        case "bind", [_, *_]:
            proxy.binds.append(line)
        case "server", [name, address, *settings]:
            merged = read_settings(proxy.default_server, settings, line, imported)
            proxy.servers.append(
                ProxyServer(name=name, address=address, settings=merged, line=line)
            )
        case "default-server", _:
            base = proxy.default_server
            proxy.default_server = read_settings(base, rest, line, imported)
        case "default_backend", [name, *_]:
            proxy.default_backend = (name, line)
        case "use_backend", [name]:
            proxy.default_backend = (name, line)
        case "use_backend", _:
            said = "VPP sees no requests: all traffic goes to the default backend"
            imported.add_loss(line.number, line.text, said)
        case "option" | "no" | "default", _:
            _read_option(proxy, line, imported)
        case "http-check", _:
            read_http_check(proxy.check, line, imported)
        case "tcp-check", _:
            said = "nothing is sent or expected: whether the port can be connected is checked"
            imported.add_loss(line.number, line.text, said)
        case "timeout", [kind, time]:
            _read_timeout(proxy, kind, time, line, imported)
        case "balance", [how, *_]:
            _read_balance(proxy, how, line, imported)
        case "stick" | "stick-table", _:
            _read_stick(proxy, line, imported)
        case "source", [source, *_]:
            proxy.default_server.setdefault("source", source)
            said = "it is the source of probes; clients' packets keep their own"
            imported.add_note(line.number, line.text, said)
        case "description", _:
            proxy.description = " ".join(rest)
        case "disabled", _:
            proxy.disabled = True
        case _:
            _note_meaning(PROXY_KEYWORDS.get(keyword, _UNKNOWN), line, line.text, imported)


def _note_meaning(
    meaning: KeywordMeaning, line: ConfigLine, subject: str, imported: ImportedSet
) -> None:
    if meaning.lost:
        imported.add_loss(line.number, subject, meaning.why)
    elif meaning.why:
        imported.add_note(line.number, subject, meaning.why)


def _read_option(proxy: HaproxyProxy, line: ConfigLine, imported: ImportedSet) -> None:
    match line.words:
        case ("option", "allbackups", *_):
            proxy.all_backups = True
        case ("no" | "default", "option", "allbackups", *_):
            proxy.all_backups = False
        case ("no" | "default", "option", "httpchk" | "tcp-check", *_):
            proxy.check.kind = "tcp"
        case ("option", "forwardfor" | "originalto", *_):
            said = "servers see the client's own address anyway"
            imported.add_note(line.number, line.text, said)
        case _:
            if not read_check_option(proxy.check, line, imported):
                said = "nothing is proxied, so there is nothing to set"
                imported.add_note(line.number, line.text, said)


def _read_timeout(
    proxy: HaproxyProxy, kind: str, time: str, line: ConfigLine, imported: ImportedSet
) -> None:
    if kind not in ("connect", "check"):
        _note_meaning(MOOT, line, line.text, imported)
        return
    try:
        value = read_time(time)
    except ValueError as error:
        imported.add_loss(line.number, line.text, str(error))
        return
    if kind == "check":
        proxy.check.check_timeout = value
    else:
        proxy.check.connect_timeout = value


def _read_balance(proxy: HaproxyProxy, how: str, line: ConfigLine, imported: ImportedSet) -> None:
    proxy.sticky = how == "source"
    if how not in ("source", "roundrobin", "static-rr"):
        said = "flows are spread by a hash of addresses and ports, in proportion to the weights"
        add = imported.add_loss if how in ("first", "uri", "url_param") else imported.add_note
        add(line.number, line.text, said)


def _read_stick(proxy: HaproxyProxy, line: ConfigLine, imported: ImportedSet) -> None:
    match line.words:
        case ("stick", "on" | "match" | "store-request", "src", *_):
            proxy.sticky = True
            said = "a client goes to one server by a hash of its address (srcIPSticky)"
            imported.add_note(line.number, line.text, said)
        case ("stick-table", *_):
            imported.add_note(line.number, line.text, "no table of clients is kept")
        case _:
            imported.add_loss(line.number, line.text, "VPP sees addresses and ports alone")


def read_settings(
    base: Mapping[str, str], words: Iterable[str], line: ConfigLine, imported: ImportedSet
) -> dict[str, str]:
    """Read the settings that follow a server's address, or `default-server`, on top of `base`."""
    settings = dict(base)
    left = iter(words)
    for word in left:
        meaning = SERVER_SETTINGS.get(word, _UNKNOWN)
        value = next(left, "") if meaning.arguments else ""
        if not meaning.why:
            settings.pop("disabled" if word == "enabled" else word.removeprefix("no-"), None)
            settings.pop(f"no-{word}", None)
            settings[word] = value
            continue
        subject = f"server {line.words[1]}" if line.words[0] == "server" else line.words[0]
        _note_meaning(meaning, line, f"{subject}: {word} {value}".rstrip(), imported)
    return settings
