"""Health checks of HAProxy: what a proxy and its servers say, as a HealthCheck's spec.

Times and defaults are HAProxy's (configuration manual, 4.2 and 5.2): a check each 2 s, 2 passes, 3
failures. Without `timeout check` a whole check may take `inter`; with it connecting may take the
smaller of `timeout connect` and `inter`, and the answer `timeout check`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import re2

from vpplb.migration.drafts import ImportedSet, ManifestDraft, read_number
from vpplb.migration.endpoints import read_host
from vpplb.migration.haproxy_lines import ConfigLine
from vpplb.resources.fields import format_duration

ServerSettings = Mapping[str, str]
"""Settings of a server by their keyword; the value of one without argument is empty."""

_TIME = re.compile(r"(\d{1,18})(us|ms|s|m|h|d)?", re.ASCII)
_UNITS = {
    "us": timedelta(microseconds=1),
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_INTERVAL = timedelta(seconds=2)
_SHORTEST_INTERVAL, _SHORTEST_TIMEOUT = timedelta(milliseconds=10), timedelta(milliseconds=1)
_ALL_CODES = range(100, 600)
_CODES = re.compile(r"(\d{1,18})(?:-(\d{0,18}))?", re.ASCII)
_OTHERS = {
    "smtpchk": "SMTP",
    "mysql-check": "MySQL",
    "pgsql-check": "PostgreSQL",
    "redis-check": "Redis",
    "ldap-check": "LDAP",
    "spop-check": "SPOP",
    "external-check": "a program",
}


@dataclass(slots=True, kw_only=True)
class ProxyCheck:
    """How a proxy has its servers checked.

    `codes` are the lowest and the highest; without them and `regexp` HAProxy's default counts.
    `kind` is tcp, tls or http; `line` where that was said.
    """

    kind: str = "tcp"
    line: int = 0
    method: str = "OPTIONS"
    path: str = "/"
    host: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    codes: tuple[int, int] | None = None
    regexp: str = ""
    expect_line: int = 0
    port: str = ""
    tls: bool = False
    sni: str = ""
    connect_timeout: timedelta | None = None
    check_timeout: timedelta | None = None


def read_time(text: str) -> timedelta:
    """Read a time of HAProxy, in milliseconds where no unit is given; ValueError for another."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"{text:.20} is no time")
    try:
        return int(found[1]) * _UNITS[found[2] or "ms"]
    except OverflowError as error:
        raise ValueError(f"{text:.20} is no time") from error


# --- what a proxy says ----------------------------------------------------------------------------


def read_check_option(check: ProxyCheck, line: ConfigLine, imported: ImportedSet) -> bool:
    """Take an `option` that says how servers are checked; tell whether it does."""
    option, rest = line.words[1] if len(line.words) > 1 else "", line.words[2:]
    match option:
        case "httpchk":
            check.kind, check.line = "http", line.number
            _read_request(check, line, rest, imported)
        case "tcp-check":
            check.kind, check.line = "tcp", line.number
        case "ssl-hello-chk":
            check.kind, check.line = "tls", line.number
        case _ if option in _OTHERS:
            check.kind, check.line = "tcp", line.number
            said = f"a check by {_OTHERS[option]}; whether the port can be connected is checked"
            imported.add_loss(line.number, line.text, said)
        case _:
            return False
    return True


def _read_request(
    check: ProxyCheck, line: ConfigLine, words: tuple[str, ...], imported: ImportedSet
) -> None:
    """Read `[method] uri [version]`, where headers and a body may follow the version."""
    if len(words) == 1:
        check.path = words[0]
    elif words:
        check.method, check.path = words[0].upper(), words[1]
    head, _, body = " ".join(words[2:]).partition("\r\n\r\n")
    if body:
        imported.add_loss(line.number, line.text, f"body {body}")
    for header in head.split("\r\n")[1:]:
        name, _, value = header.partition(":")
        _add_header(check, name.strip(), value.strip())


def _add_header(check: ProxyCheck, name: str, value: str) -> None:
    if name.lower() == "host":
        check.host = value
    elif name.lower() not in ("connection", "content-length", ""):
        check.headers.append((name, value))


def read_http_check(check: ProxyCheck, line: ConfigLine, imported: ImportedSet) -> None:
    """Take a line `http-check …`."""
    match line.words[1:]:
        case ("send", *rest):
            _read_send(check, line, rest, imported)
        case ("expect", *rest):
            _read_expect(check, line, rest, imported)
        case ("connect", *rest):
            _read_connect(check, line, rest, imported)
        case _:
            imported.add_loss(line.number, line.text, "a check is one request and one answer")


def _read_send(
    check: ProxyCheck, line: ConfigLine, words: list[str], imported: ImportedSet
) -> None:
    left = iter(words)
    for word in left:
        match word:
            case "meth":
                check.method = next(left, "").upper()
            case "uri":
                check.path = next(left, "/")
            case "ver":
                next(left, "")
            case "hdr":
                _add_header(check, next(left, ""), next(left, ""))
            case _:
                imported.add_loss(line.number, line.text, f"{word} {next(left, '')}".strip())


def _read_connect(
    check: ProxyCheck, line: ConfigLine, words: list[str], imported: ImportedSet
) -> None:
    left = iter(words)
    for word in left:
        match word:
            case "default":
                pass
            case "port":
                check.port = next(left, "")
            case "ssl":
                check.tls = True
            case "sni":
                check.sni = next(left, "")
            case _:
                imported.add_loss(line.number, line.text, f"{word} is not carried to a probe")


def _read_expect(
    check: ProxyCheck, line: ConfigLine, words: list[str], imported: ImportedSet
) -> None:
    check.expect_line = line.number
    match words:
        case ("status", pattern):
            codes = list(_read_codes(pattern))
        case ("rstatus", pattern):
            codes = list(_search_codes(pattern))
        case ("string", text):
            check.regexp = re2.escape(text)
            return
        case ("rstring", pattern):
            check.regexp = pattern
            return
        case _:
            imported.add_loss(
                line.number, line.text, "only status, rstatus, string and rstring are"
            )
            return
    check.codes = imported.bound_codes(codes, line.number, line.text) if codes else None
    if not codes:
        imported.add_loss(line.number, line.text, "no status can be read from it: 200 to 399 pass")


def _read_codes(pattern: str) -> Iterator[int]:
    """Read `200`, `200-399` or `200,301-302`."""
    for part in pattern.split(","):
        if found := _CODES.fullmatch(part):
            low, high = int(found[1]), int(found[2] or found[1])
            yield from (code for code in _ALL_CODES if low <= code <= high)


def _search_codes(pattern: str) -> Iterable[int]:
    try:
        compiled = re.compile(pattern)
    except re.error:
        return ()
    return [code for code in _ALL_CODES if compiled.search(str(code))]


# --- what a server makes of it --------------------------------------------------------------------


def put_check(
    draft: ManifestDraft, check: ProxyCheck, settings: ServerSettings, port: int, line: int
) -> None:
    """Fill the draft of a HealthCheck; `port` is that of the server (ValueError for bad times)."""
    asked_tls = "check-ssl" in settings or check.tls
    inherited = "ssl" in settings and not ({"port", "addr", "no-check-ssl"} & settings.keys())
    tls = asked_tls or inherited or check.kind == "tls"
    plain_type = "HTTP" if check.kind == "http" else "TCP"
    said = check.line or line
    draft.put_field("type", "HTTPS" if plain_type == "HTTP" and tls else plain_type, said)
    own_port = settings.get("port") or check.port
    draft.put_field("port", (own_port and read_number(own_port, "port")) or port, line)
    _put_cadence(draft, check, settings, line, whole=check.kind == "http" or tls)
    if source := settings.get("source"):
        _put_source(draft, source, line)
    if check.kind == "http":
        _put_request(draft, check)
    if tls:
        _put_tls(draft, check, settings, line)


def _put_cadence(
    draft: ManifestDraft, check: ProxyCheck, settings: ServerSettings, line: int, *, whole: bool
) -> None:
    """Say when and how often; `whole`: a check is more than a connection."""
    interval = read_time(settings["inter"]) if "inter" in settings else _INTERVAL
    draft.put_field("interval", _write_interval(interval), line)
    for keyword, name in (("fastinter", "fastInterval"), ("downinter", "downInterval")):
        if keyword in settings:
            draft.put_field(name, _write_interval(read_time(settings[keyword])), line)
    timeout = interval
    if check.check_timeout is not None:
        timeout = min(check.connect_timeout or interval, interval)
        timeout += check.check_timeout if whole else timedelta()
    draft.put_field("timeout", format_duration(max(timeout, _SHORTEST_TIMEOUT)), line)
    draft.put_field("rise", read_number(settings.get("rise") or "2", "rise") or 2, line)
    draft.put_field("fall", read_number(settings.get("fall") or "3", "fall") or 3, line)


def _write_interval(interval: timedelta) -> str:
    return format_duration(max(interval, _SHORTEST_INTERVAL))


def _put_source(draft: ManifestDraft, source: str, line: int) -> None:
    """Set where probes come from; the port, of which only one probe at a time could be, is not."""
    text = source.removeprefix("ipv4@").removeprefix("ipv6@")
    host = text if text.count(":") > 1 and "]" not in text else text.rpartition(":")[0] or text
    address = read_host(host)
    if not address.is_unspecified:
        draft.put_field(f"probeSource.ipv{address.version}", str(address), line)


def _put_request(draft: ManifestDraft, check: ProxyCheck) -> None:
    draft.put_field("http.path", check.path, check.line)
    draft.put_field("http.method", "HEAD" if check.method == "HEAD" else "GET", check.line)
    draft.put_field("http.host", check.host or None, check.line)
    headers = [{"name": name, "value": value} for name, value in check.headers]
    draft.put_field("http.headers", headers or None, check.line)
    low, high = check.codes or ((100, 599) if check.regexp else (200, 399))
    draft.put_field("http.responseCodes.min", low, check.expect_line or check.line)
    draft.put_field("http.responseCodes.max", high, check.expect_line or check.line)
    draft.put_field("http.responseRegexp", check.regexp or None, check.expect_line)


def _put_tls(draft: ManifestDraft, check: ProxyCheck, settings: ServerSettings, line: int) -> None:
    unverified = settings.get("verify") == "none" or check.kind == "tls"
    draft.put_field("tls.insecureSkipVerify", unverified, line)
    name = check.sni or settings.get("check-sni") or settings.get("verifyhost") or ""
    fixed = re.fullmatch(r"str\((.*)\)", settings.get("sni", ""))
    draft.put_field("tls.serverName", name or (fixed[1] if fixed else None), line)
