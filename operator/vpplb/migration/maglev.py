"""From vpp-maglev's maglev.yaml to manifests that mean the same to VPP and to the probes.

Known are the keys up to vpp-maglev 1.0 (its docs/config-guide.md). maglevd's own defaults are
written out where ours differ. Where a check leaves out what maglevd asks for, or has a default that
is not known for sure, a value is written that takes nobody out, and that is a finding.
"""

import re
from collections.abc import Mapping
from datetime import timedelta

from vpplb.migration.drafts import (
    DraftedMember,
    DraftedPool,
    ImportedSet,
    ManifestDraft,
    choose_free,
    fit_name,
)
from vpplb.migration.maglev_sections import ConfigMapping, read_document
from vpplb.model.names import ObjectKind
from vpplb.resources.fields import format_duration

_BUCKETS, _FLOW_TIMEOUT = 65536, "40s"
"""What maglevd sets in VPP where nothing is given."""
_TYPES = {"icmp": "ICMP", "tcp": "TCP", "http": "HTTP", "https": "HTTPS"}
_PROTOCOLS = {"tcp": "TCP", "udp": "UDP", "any": "Any"}
_UNITS = {
    "h": 3600.0,
    "m": 60.0,
    "s": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ns": 1e-9,
}
_GO_DURATION = re.compile(r"(?:\d+(?:\.\d*)?|\.\d+)(?:h|ms|m|s|us|µs|μs|ns)")
_STARTUP = (
    "is not needed: what VPP has stays until each server has a verdict, and no longer than that"
)
_ASK = "say what `maglevc show healthcheck` says"


def import_maglev(text: str, node: str) -> ImportedSet:
    """Import a maglev.yaml; `node` names the Dataplane (UnparseableConfig)."""
    imported = ImportedSet()
    config = read_document(text, imported)
    _read_checker(config.take_mapping("healthchecker"), imported)
    _read_plugin(config.take_mapping("vpp"), node, imported)
    checks = _read_checks(config.take_mapping("healthchecks"), imported)
    backends = _read_backends(config.take_mapping("backends"), checks, imported)
    for name, frontend in config.take_mapping("frontends").iter_named():
        _read_frontend(name, frontend, backends, imported)
    config.finish()
    return imported


# --- values ---------------------------------------------------------------------------------------


def read_go_duration(text: str) -> timedelta:
    """Read a duration as Go writes it: `1.5s`, `1m30s`, `100ms`; ValueError for another."""
    parts = _GO_DURATION.findall(text)
    if not parts or "".join(parts) != text:
        raise ValueError(f"{text:.20} is no duration of Go")
    seconds = 0.0
    for part in parts:
        number = part.rstrip("hmsuµμn")
        seconds += float(number) * _UNITS[part[len(number) :]]
    try:
        return timedelta(seconds=seconds)
    except OverflowError:
        raise ValueError(f"{text:.20} is no duration of Go") from None


def _take_duration(section: ConfigMapping, key: str, imported: ImportedSet) -> str | None:
    """Return a duration as manifests write it; what is none is a finding."""
    value = section.take_value(key)
    if value is None:
        return None
    try:
        return format_duration(read_go_duration(str(value)))
    except ValueError as error:
        imported.add_loss(section.line_of(key), section.path_of(key), str(error))
        return None


def _put_value(draft: ManifestDraft, path: str, section: ConfigMapping, key: str) -> None:
    """Set a field to the value of a key as it stands; the rules of manifests judge it."""
    draft.put_field(path, section.take_value(key), section.line_of(key))


def _take_choice(
    section: ConfigMapping, key: str, choices: Mapping[str, str], imported: ImportedSet
) -> str | None:
    value = section.take_value(key)
    if value is None:
        return None
    if str(value).lower() not in choices:
        said = f"{value!s:.40} is none of {', '.join(choices)}"
        imported.add_loss(section.line_of(key), section.path_of(key), said)
        return None
    return choices[str(value).lower()]


def _note_renamed(
    section: ConfigMapping, name: str, draft: ManifestDraft, into: ImportedSet
) -> None:
    if draft.name != name:
        into.add_note(section.line, section.path, f"is named {draft.name}: names are of RFC 1123")


# --- the program and the plugin -------------------------------------------------------------------


def _read_checker(section: ConfigMapping, imported: ImportedSet) -> None:
    for key in ("netns", "transition-history"):
        value = section.take_value(key)
        if value not in (None, ""):
            _add_option(section, key, str(value), imported)
    section.finish()


def _add_option(section: ConfigMapping, key: str, value: str, imported: ImportedSet) -> None:
    """Carry a key by an option of the program, of the same name."""
    imported.options[f"--{key}"] = value
    said = f"is the option --{key} of vpplb standalone and vpplb operator"
    if key == "sync-interval":
        said = f"is the option --{key} of vpplb standalone and vpplb agent"
    imported.add_note(section.line_of(key), section.path_of(key), said)


def _read_plugin(section: ConfigMapping, node: str, imported: ImportedSet) -> None:
    """Make the Dataplane; maglevd's defaults are written out, for VPP's own are others."""
    lb = section.take_mapping("lb")
    draft = imported.add_draft(ObjectKind.DATAPLANE, node, lb.line)
    for family in ("4", "6"):
        key = f"ipv{family}-src-address"
        _put_value(draft, f"ipv{family}SourceAddress", lb, key)
        if f"ipv{family}SourceAddress" not in draft.spec:
            said = "is not given: VPP's own source of GRE stays, 255.255.255.255 from its start on"
            imported.add_loss(lb.line, lb.path_of(key), said)
    draft.put_field("stickyBucketsPerCore", _BUCKETS, lb.line)
    _put_value(draft, "stickyBucketsPerCore", lb, "sticky-buckets-per-core")
    timeout = _take_duration(lb, "flow-timeout", imported) or _FLOW_TIMEOUT
    draft.put_field("flowTimeout", timeout, lb.line_of("flow-timeout"))
    if interval := _take_duration(lb, "sync-interval", imported):
        _add_option(lb, "sync-interval", interval, imported)
    for key in ("startup-min-delay", "startup-max-delay"):
        if lb.take_value(key) is not None:
            imported.add_note(lb.line_of(key), lb.path_of(key), _STARTUP)
    lb.finish()
    section.finish()


# --- health checks --------------------------------------------------------------------------------


def _read_checks(section: ConfigMapping, imported: ImportedSet) -> dict[str, str]:
    """Draft the HealthChecks; return their names by maglevd's."""
    names = {}
    for name, check in section.iter_named():
        draft = imported.add_draft(ObjectKind.HEALTH_CHECK, name, check.line)
        _note_renamed(check, name, draft, imported)
        names[name] = draft.name
        _read_check(draft, check, imported)
    return names


def _read_check(draft: ManifestDraft, check: ConfigMapping, imported: ImportedSet) -> None:
    kind = _take_choice(check, "type", _TYPES, imported)
    draft.put_field("type", kind, check.line_of("type"))
    _put_value(draft, "port", check, "port")
    if "port" not in draft.spec and kind in ("HTTP", "HTTPS"):
        imported.add_loss(check.line, check.path_of("port"), f"is not given: {_ASK}")
    _read_cadence(draft, check, imported)
    _put_value(draft, "probeSource.ipv4", check, "probe-ipv4-src")
    _put_value(draft, "probeSource.ipv6", check, "probe-ipv6-src")
    params = check.take_mapping("params")
    if kind in ("HTTP", "HTTPS"):
        _read_request(draft, params, imported)
    if kind == "HTTPS" or (kind == "TCP" and params.take_value("ssl") is True):
        draft.put_field("tls.insecureSkipVerify", False, check.line)
        _put_value(draft, "tls.serverName", params, "server-name")
        _put_value(draft, "tls.insecureSkipVerify", params, "insecure-skip-verify")
        if kind == "HTTPS":
            _name_by_host(draft, params)
    params.finish()
    check.finish()


def _read_cadence(draft: ManifestDraft, check: ConfigMapping, imported: ImportedSet) -> None:
    fields = {
        "interval": "interval",
        "fast-interval": "fastInterval",
        "down-interval": "downInterval",
        "timeout": "timeout",
    }
    for key, field in fields.items():
        draft.put_field(field, _take_duration(check, key, imported), check.line_of(key))
    for field, value in (("interval", "2s"), ("timeout", "1s")):
        if field not in draft.spec:
            draft.put_field(field, value, check.line)
            said = f"is not given, {value} is taken: {_ASK}"
            imported.add_loss(check.line, check.path_of(field), said)
    for field, times in (("rise", 2), ("fall", 3)):
        draft.put_field(field, times, check.line)
        _put_value(draft, field, check, field)


def _read_request(draft: ManifestDraft, params: ConfigMapping, imported: ImportedSet) -> None:
    _put_value(draft, "http.path", params, "path")
    _put_value(draft, "http.host", params, "host")
    _put_value(draft, "http.responseRegexp", params, "response-regexp")
    codes, line = params.take_value("response-code"), params.line_of("response-code")
    found = re.fullmatch(r"(\d{3})(?:-(\d{3}))?", str(codes or "200-399"), re.ASCII)
    if codes is None or found is None:
        said = "is not given" if codes is None else f"{codes!s:.20} is neither code nor range"
        said += f": 200 to 399 pass, {_ASK}"
        imported.add_loss(line, params.path_of("response-code"), said)
    low, high = (found[1], found[2] or found[1]) if found else ("200", "399")
    draft.put_field("http.responseCodes.min", int(low), line)
    draft.put_field("http.responseCodes.max", int(high), line)


def _name_by_host(draft: ManifestDraft, params: ConfigMapping) -> None:
    """Ask for, and verify, the name that the request is for where no other is given."""
    http, tls = draft.spec.get("http"), draft.spec.get("tls")
    assert isinstance(http, dict)
    assert isinstance(tls, dict)
    if "serverName" not in tls:
        draft.put_field("tls.serverName", http.get("host"), params.line_of("host"))


# --- backends and frontends -----------------------------------------------------------------------


def _read_backends(
    section: ConfigMapping, checks: Mapping[str, str], imported: ImportedSet
) -> dict[str, str]:
    """Draft the Backends; return their names by maglevd's."""
    names = {}
    for name, backend in section.iter_named():
        draft = imported.add_draft(ObjectKind.BACKEND, name, backend.line)
        _note_renamed(backend, name, draft, imported)
        names[name] = draft.name
        _put_value(draft, "address", backend, "address")
        check = backend.take_value("healthcheck")
        if check not in (None, ""):
            found = checks.get(str(check), fit_name(str(check)))
            draft.put_field("healthCheckRef.name", found, backend.line_of("healthcheck"))
        _put_value(draft, "enabled", backend, "enabled")
        backend.finish()
    return names


def _read_frontend(
    name: str, frontend: ConfigMapping, backends: Mapping[str, str], imported: ImportedSet
) -> None:
    draft = imported.add_draft(ObjectKind.FRONTEND, name, frontend.line)
    _note_renamed(frontend, name, draft, imported)
    _put_value(draft, "description", frontend, "description")
    _put_value(draft, "address", frontend, "address")
    protocol = _take_choice(frontend, "protocol", _PROTOCOLS, imported)
    _put_value(draft, "port", frontend, "port")
    given = protocol or ("TCP" if draft.spec.get("port") else "Any")
    draft.put_field("protocol", given, frontend.line_of("protocol"))
    _put_value(draft, "srcIPSticky", frontend, "src-ip-sticky")
    _put_value(draft, "flushOnDown", frontend, "flush-on-down")
    pools: list[DraftedPool] = []
    for pool in frontend.take_list("pools"):
        pools.append(_read_pool(pool, backends, {one.name for one in pools}, imported))
    draft.put_pools(pools)
    frontend.finish()


def _read_pool(
    pool: ConfigMapping, backends: Mapping[str, str], taken: set[str], imported: ImportedSet
) -> DraftedPool:
    given = str(pool.take_value("name") or "pool")
    name = choose_free(fit_name(given, dots=False), taken)
    if name != given:
        said = f"the pool is named {name}: names are of RFC 1123"
        imported.add_note(pool.line_of("name"), pool.path_of("name"), said)
    members = []
    for backend, settings in pool.take_mapping("backends").iter_named():
        members.append(
            DraftedMember(
                backend=backends.get(backend, fit_name(backend)),
                weight=_read_weight(settings, imported),
                line=settings.line,
            )
        )
        settings.finish()
    pool.finish()
    return DraftedPool(name=name, members=tuple(members), line=pool.line)


def _read_weight(settings: ConfigMapping, imported: ImportedSet) -> int:
    """Read a weight; maglevd's own default is 100, as ours."""
    value = settings.take_value("weight")
    if value is None:
        return 100
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 100:
        said = f"{value!s:.20} is no weight from 0 to 100: 0 is taken"
        imported.add_loss(settings.line_of("weight"), settings.path_of("weight"), said)
        return 0
    return value
