"""Checkers of keepalived as HealthChecks (keepalived.conf(5), "LVS CONFIGURATION").

Settings of a virtual server hold for its real servers, and theirs for their checkers. After a
failure a server is asked `retry` times more, `delay_before_retry` apart; one pass brings it back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from vpplb.migration.drafts import ImportedSet, ManifestDraft, read_number
from vpplb.migration.endpoints import read_host
from vpplb.migration.keepalived_blocks import ConfigStatement, iter_statements
from vpplb.resources.fields import format_duration

CARRIED = ("HTTP_GET", "SSL_GET", "TCP_CHECK", "SMTP_CHECK", "PING_CHECK")
"""Checkers that a HealthCheck can stand for; the first says most of a server."""
LOST = {
    "DNS_CHECK": "DNS is not asked",
    "UDP_CHECK": "UDP is not probed",
    "MISC_CHECK": "no program is run to check a server",
    "BFD_CHECK": "no BFD is looked at",
    "FILE_CHECK": "no file is looked at",
}
INHERITED = ("delay_loop", "connect_timeout", "retry", "nb_get_retry", "delay_before_retry")
_DEFAULTS = {"delay_loop": "60", "connect_timeout": "5", "retry": "1"}
_SLOW_RETRY = ("HTTP_GET", "SSL_GET")
_MOOT = ("warmup", "alpha", "log_all_failures", "fast_recovery", "http_protocol", "tls_compliant")
_TYPES = {
    "HTTP_GET": "HTTP",
    "SSL_GET": "HTTPS",
    "TCP_CHECK": "TCP",
    "SMTP_CHECK": "TCP",
    "PING_CHECK": "ICMP",
}
_SHORTEST = timedelta(milliseconds=10)
_REGEX_FLAGS = {"caseless": "i", "multiline": "m", "dotall": "s"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedServer:
    """What a checker is about: `inherited` are settings of the servers above it."""

    address: str
    port: int
    inherited: Mapping[str, str] = field(default_factory=dict)
    virtualhost: str = ""


def choose_checker(server: ConfigStatement, imported: ImportedSet) -> ConfigStatement | None:
    """Return the checker that is carried, if there is one; the others are findings."""
    carried = sorted(
        iter_statements(server.block, *CARRIED), key=lambda one: CARRIED.index(one.keyword)
    )
    for one in iter_statements(server.block, *LOST):
        always = "" if carried else ": the server counts as up always, give it a HealthCheck"
        imported.add_loss(one.line, one.keyword, LOST[one.keyword] + always)
    for one in carried[1:]:
        said = f"a server has one check, and {carried[0].keyword} is it"
        imported.add_loss(one.line, one.keyword, said)
    return carried[0] if carried else None


def put_checker(
    draft: ManifestDraft, checker: ConfigStatement, server: CheckedServer, imported: ImportedSet
) -> None:
    """Fill the draft of a HealthCheck (ValueError for a number that is none)."""
    settings = dict(server.inherited) | {
        one.keyword: one.argument() for one in checker.block if one.keyword != "url"
    }
    kind, line = checker.keyword, checker.line
    draft.put_field("type", _TYPES[kind], line)
    if kind != "PING_CHECK":
        own = settings.get("connect_port")
        draft.put_field("port", read_number(own, "connect_port") if own else server.port, line)
    _put_cadence(draft, kind, settings, line)
    if source := settings.get("bindto"):
        address = read_host(source)
        draft.put_field(f"probeSource.ipv{address.version}", str(address), line)
    if kind == "SMTP_CHECK":
        imported.add_loss(
            line, kind, "no SMTP is spoken: whether the port can be connected is checked"
        )
    if kind in ("HTTP_GET", "SSL_GET"):
        _put_url(draft, checker, server, imported)
    if kind == "SSL_GET":
        _put_tls(draft, checker, server, settings)
    _note_rest(checker, server, imported)


def _put_cadence(draft: ManifestDraft, kind: str, settings: Mapping[str, str], line: int) -> None:
    given = {**_DEFAULTS, **settings}
    retry = read_number(settings.get("nb_get_retry") or given["retry"], "retry")
    again = settings.get("delay_before_retry") or ("3" if kind in _SLOW_RETRY else "1")
    interval = _write_seconds(given["delay_loop"])
    draft.put_field("interval", interval, line)
    draft.put_field("fastInterval", _write_seconds(again), line)
    draft.put_field("timeout", _write_seconds(given["connect_timeout"]), line)
    draft.put_field("rise", 1, line)
    draft.put_field("fall", retry + 1, line)


def _write_seconds(text: str) -> str:
    """Write keepalived's seconds, which may have a fraction, as a duration (ValueError)."""
    try:
        return format_duration(max(timedelta(seconds=float(text)), _SHORTEST))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text:.20} is no time") from error


def _put_url(
    draft: ManifestDraft, checker: ConfigStatement, server: CheckedServer, imported: ImportedSet
) -> None:
    urls = list(iter_statements(checker.block, "url"))
    for one in urls[1:]:
        imported.add_loss(one.line, "url", "a check asks for one path, the first")
    url = urls[0] if urls else ConfigStatement(words=("url",), line=checker.line)
    settings = {one.keyword: one for one in url.block}
    path = settings["path"].argument() if "path" in settings else "/"
    draft.put_field("http.path", path, url.line)
    host = settings["virtualhost"].argument() if "virtualhost" in settings else ""
    draft.put_field("http.host", host or server.virtualhost or None, url.line)
    _put_codes(draft, settings.get("status_code"), url, imported)
    _put_regex(draft, settings, imported)
    for one in url.block:
        if one.keyword == "digest":
            imported.add_loss(one.line, one.text, "a body is searched (responseRegexp), not hashed")
        elif one.keyword.startswith("regex_") and one.keyword != "regex_options":
            imported.add_loss(one.line, one.text, "a body is searched from its beginning")
        elif one.keyword not in (*_MOOT, *_URL):
            imported.add_loss(one.line, one.text, "is not known")


_URL = ("path", "virtualhost", "status_code", "regex", "regex_options")


def _put_codes(
    draft: ManifestDraft,
    given: ConfigStatement | None,
    url: ConfigStatement,
    imported: ImportedSet,
) -> None:
    """Set the status codes; keepalived's own default is 200 to 299."""
    codes: set[int] = set()
    for part in given.words[1:] if given else ("200-299",):
        low, _, high = part.partition("-")
        first, last = read_number(low, "status"), read_number(high or low, "status")
        codes |= set(range(first, min(last, 599) + 1))
    said = given or url
    if not codes:
        imported.add_loss(said.line, said.text, "no status can be read from it: 200 to 299 pass")
    lowest, highest = imported.bound_codes(codes or range(200, 300), said.line, said.text)
    draft.put_field("http.responseCodes.min", lowest, said.line)
    draft.put_field("http.responseCodes.max", highest, said.line)


def _put_regex(
    draft: ManifestDraft, settings: Mapping[str, ConfigStatement], imported: ImportedSet
) -> None:
    given = settings.get("regex")
    if given is None:
        return
    if "regex_no_match" in settings:
        imported.add_loss(given.line, given.text, "what must not be found cannot be searched for")
        return
    options = settings.get("regex_options")
    flags = ""
    for option in options.words[1:] if options else ():
        flags += _REGEX_FLAGS.get(option, "")
        if options and option not in _REGEX_FLAGS:
            imported.add_loss(options.line, f"regex_options {option}", "RE2 has no such option")
    pattern = f"(?{flags}){given.argument()}" if flags else given.argument()
    draft.put_field("http.responseRegexp", pattern, given.line)


def _put_tls(
    draft: ManifestDraft,
    checker: ConfigStatement,
    server: CheckedServer,
    settings: Mapping[str, str],
) -> None:
    """Set TLS: keepalived asks for no certificate that could be trusted (SSL_VERIFY_NONE)."""
    draft.put_field("tls.insecureSkipVerify", True, checker.line)
    name = settings.get("sni_name") or ""
    if not name and "enable_sni" in settings:
        http = draft.spec.get("http")
        name = str(http.get("host") or "") if isinstance(http, dict) else ""
    draft.put_field("tls.serverName", name or None, checker.line)


def _note_rest(checker: ConfigStatement, server: CheckedServer, imported: ImportedSet) -> None:
    """Say what of a checker is not carried."""
    known = (*INHERITED, *_MOOT, "connect_port", "bindto", "url", "enable_sni", "sni_name")
    for one in checker.block:
        if one.keyword == "connect_ip":
            if one.argument() != server.address:
                imported.add_loss(one.line, one.text, "the probe goes to the server's own address")
        elif one.keyword in ("bind_if", "bind_port", "fwmark"):
            imported.add_loss(one.line, one.text, "the routes say where probes leave (--netns)")
        elif one.keyword not in (*known, "helo_name"):
            imported.add_loss(one.line, one.text, "is not known")


def list_inherited(statements: Sequence[ConfigStatement]) -> dict[str, str]:
    """Return what checkers below inherit of these statements."""
    return {one.keyword: one.argument() for one in iter_statements(list(statements), *INHERITED)}
