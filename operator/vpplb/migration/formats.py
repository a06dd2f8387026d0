"""Which configuration a text is, and its import."""

import re
from collections.abc import Sequence
from enum import StrEnum

from vpplb.migration.drafts import ImportedSet, UnparseableConfig
from vpplb.migration.haproxy import import_haproxy
from vpplb.migration.keepalived import import_keepalived
from vpplb.migration.maglev import import_maglev
from vpplb.model.vip import IPAddress


class ConfigFormat(StrEnum):
    """A configuration that can be imported, by the program that reads it."""

    MAGLEV = "maglev"
    HAPROXY = "haproxy"
    KEEPALIVED = "keepalived"


_MARKS = (
    (ConfigFormat.MAGLEV, r"^[ \t]*[\"']?maglev[\"']?[ \t]*:"),
    (ConfigFormat.KEEPALIVED, r"^[ \t]*(virtual_server|virtual_server_group|vrrp_instance)\b"),
    (ConfigFormat.KEEPALIVED, r"^[ \t]*global_defs\b"),
    (ConfigFormat.HAPROXY, r"^[ \t]*(defaults|frontend|backend|listen|global)\b"),
)


def detect_format(text: str) -> ConfigFormat:
    """Tell by its keywords what a configuration is; UnparseableConfig where none is found."""
    for found, pattern in _MARKS:
        if re.search(pattern, text, re.MULTILINE):
            return found
    known = ", ".join(ConfigFormat)
    raise UnparseableConfig(1, f"is none of these, or does not look like it: {known} (--format)")


def import_config(
    text: str, given: ConfigFormat | None, node: str, vips: Sequence[IPAddress]
) -> ImportedSet:
    """Import a configuration of the `given` format, or of the one that it looks like.

    `node` names the Dataplane, `vips` are the VIPs of what listens on every address.
    UnparseableConfig where the text is no such configuration.
    """
    match given or detect_format(text):
        case ConfigFormat.MAGLEV:
            return import_maglev(text, node)
        case ConfigFormat.HAPROXY:
            return import_haproxy(text, vips)
        case ConfigFormat.KEEPALIVED:
            return import_keepalived(text)
