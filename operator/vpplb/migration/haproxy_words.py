"""What is known of HAProxy's keywords: those that are carried, and why others are not.

Of a keyword of a proxy or a setting of a server that stands in no table here, nothing is known,
and so it counts as lost. Versions up to 3.3 were looked through.
"""

from typing import NamedTuple


class KeywordMeaning(NamedTuple):
    """What becomes of a keyword: `why` it is not carried, empty for one that is.

    `lost`: without it traffic or checks are not the same. `arguments` is the number of words that
    follow it, of settings of servers, where several stand in a line.
    """

    why: str = ""
    lost: bool = False
    arguments: int = 0


_REQUESTS = "VPP forwards packets and sees no requests"
_PROXY = "nothing is proxied, so there is nothing to set"
_STREAM = "clients speak to the servers directly, and nothing stands between them"

_LOST_REQUESTS = (
    "acl use-server http-request http-response http-after-response redirect cookie appsession"
    " compression filter errorfile errorfiles errorloc errorloc302 errorloc303 http-error"
    " monitor-uri monitor dynamic-cookie-key force-persist ignore-persist http-send-name-header"
    " use-fcgi-app http-reuse retry-on declare reqadd reqrep rspadd rspdel reqdel"
)
_LOST_STREAM = "tcp-request tcp-response rate-limit dispatch persist quic-initial"
_MOOT_KEYWORDS = (
    "log log-tag log-format log-format-sd log-steps error-log-format unique-id-format"
    " unique-id-header maxconn backlog retries hash-type hash-balance-factor hash-preserve-affinity"
    " id guid bind-process fullconn max-keep-alive-queue max-session-srv-conns mode clitimeout"
    " srvtimeout grace capture enabled"
)

MOOT = KeywordMeaning(_PROXY)

PROXY_KEYWORDS: dict[str, KeywordMeaning] = {
    **dict.fromkeys(_LOST_REQUESTS.split(), KeywordMeaning(_REQUESTS, lost=True)),
    **dict.fromkeys(_LOST_STREAM.split(), KeywordMeaning(_STREAM, lost=True)),
    **dict.fromkeys(_MOOT_KEYWORDS.split(), MOOT),
    "stats": KeywordMeaning("vpplb has a dashboard of its own (--http-address)"),
    "email-alert": KeywordMeaning("alert by the metrics or the events", lost=True),
    "external-check": KeywordMeaning("no program is run to check a server", lost=True),
    "server-template": KeywordMeaning("servers are not looked up: name each Backend", lost=True),
    "load-server-state-from-file": KeywordMeaning("states are kept by vpplb itself"),
    "server-state-file-name": KeywordMeaning("states are kept by vpplb itself"),
}

SECTION_WHY: dict[str, KeywordMeaning] = {
    "global": KeywordMeaning("it is about the proxy's own process"),
    "program": KeywordMeaning("programs are started by the init system"),
    "traces": KeywordMeaning("it is about the proxy's own process"),
    "ring": KeywordMeaning("it is about the proxy's logs"),
    "log-forward": KeywordMeaning("logs are forwarded by others", lost=True),
    "log-profile": KeywordMeaning("it is about the proxy's logs"),
    "mailers": KeywordMeaning("alert by the metrics or the events", lost=True),
    "peers": KeywordMeaning("nodes need not tell each other: the same table gives the same server"),
    "resolvers": KeywordMeaning("no name is resolved: a Backend has an address", lost=True),
    "userlist": KeywordMeaning(_REQUESTS, lost=True),
    "cache": KeywordMeaning(_REQUESTS, lost=True),
    "http-errors": KeywordMeaning(_REQUESTS, lost=True),
    "fcgi-app": KeywordMeaning(_REQUESTS, lost=True),
    "crt-store": KeywordMeaning("VPP does not end TLS", lost=True),
    "acme": KeywordMeaning("VPP does not end TLS", lost=True),
}

_HEADER = "the PROXY header is not sent: servers that wait for it refuse every connection"
_CHECK_ONLY = "a check has no such setting"
_QUEUE = "connections are neither counted nor queued"
_STREAM_TLS = "clients speak TLS with the servers themselves, or not at all"

SERVER_SETTINGS: dict[str, KeywordMeaning] = {
    **dict.fromkeys(
        ("check", "no-check", "backup", "no-backup", "disabled", "enabled", "ssl", "no-ssl"),
        KeywordMeaning(),
    ),
    **dict.fromkeys(("check-ssl", "no-check-ssl"), KeywordMeaning()),
    **dict.fromkeys(
        [
            "weight",
            "inter",
            "fastinter",
            "downinter",
            "rise",
            "fall",
            "port",
            "addr",
            "verify",
            "verifyhost",
            "ca-file",
            "sni",
            "check-sni",
            "on-marked-down",
            "source",
        ],
        KeywordMeaning(arguments=1),
    ),
    **dict.fromkeys(
        ("send-proxy", "send-proxy-v2", "send-proxy-v2-ssl", "send-proxy-v2-ssl-cn"),
        KeywordMeaning(_HEADER, lost=True),
    ),
    "check-send-proxy": KeywordMeaning("a probe sends no PROXY header", lost=True),
    "proxy-v2-options": KeywordMeaning(_HEADER, lost=True, arguments=1),
    "set-proxy-v2-tlv-fmt": KeywordMeaning(_HEADER, lost=True, arguments=1),
    **dict.fromkeys(
        ("check-alpn", "check-proto", "check-pool-conn-name", "ca-verify-file", "crl-file"),
        KeywordMeaning(_CHECK_ONLY, lost=True, arguments=1),
    ),
    **dict.fromkeys(
        ("check-via-socks4", "check-reuse-pool"), KeywordMeaning(_CHECK_ONLY, lost=True)
    ),
    **dict.fromkeys(
        ("crt", "alpn", "npn", "ciphers", "ciphersuites", "curves", "sigalgs", "client-sigalgs"),
        KeywordMeaning(_STREAM_TLS, lost=True, arguments=1),
    ),
    **dict.fromkeys(
        ("ssl-min-ver", "ssl-max-ver"), KeywordMeaning(_STREAM_TLS, lost=True, arguments=1)
    ),
    **dict.fromkeys(
        (
            "ssl-reuse",
            "no-ssl-reuse",
            "tls-tickets",
            "no-tls-tickets",
            "allow-0rtt",
            "no-verifyhost",
        ),
        KeywordMeaning(_STREAM_TLS),
    ),
    "cookie": KeywordMeaning(_REQUESTS, lost=True, arguments=1),
    "redir": KeywordMeaning(_REQUESTS, lost=True, arguments=1),
    "track": KeywordMeaning("give this server a check of its own", lost=True, arguments=1),
    "observe": KeywordMeaning("traffic does not tell the health", lost=True, arguments=1),
    "error-limit": KeywordMeaning("traffic does not tell the health", lost=True, arguments=1),
    "on-error": KeywordMeaning("traffic does not tell the health", lost=True, arguments=1),
    "on-marked-up": KeywordMeaning("flows stay where they are", lost=True, arguments=1),
    "slowstart": KeywordMeaning("a server gets its whole weight at once", lost=True, arguments=1),
    "agent-check": KeywordMeaning("no agent is asked for a weight", lost=True),
    "no-agent-check": KeywordMeaning("no agent is asked for a weight"),
    **dict.fromkeys(
        ("agent-port", "agent-addr", "agent-inter", "agent-send"),
        KeywordMeaning("no agent is asked for a weight", lost=True, arguments=1),
    ),
    **dict.fromkeys(
        ("maxconn", "minconn", "maxqueue", "max-reuse"),
        KeywordMeaning(_QUEUE, lost=True, arguments=1),
    ),
    **dict.fromkeys(
        (
            "id",
            "guid",
            "proto",
            "pool-max-conn",
            "pool-low-conn",
            "pool-purge-delay",
            "pool-conn-name",
        ),
        KeywordMeaning(_PROXY, arguments=1),
    ),
    **dict.fromkeys(
        (
            "hash-key",
            "shard",
            "log-bufsize",
            "log-proto",
            "idle-ping",
            "tcp-ut",
            "ws",
            "init-state",
        ),
        KeywordMeaning(_PROXY, arguments=1),
    ),
    **dict.fromkeys(("tfo", "no-tfo", "stick", "non-stick"), MOOT),
    "namespace": KeywordMeaning("--netns sets where all probes leave", lost=True, arguments=1),
    "resolvers": KeywordMeaning("no name is resolved", arguments=1),
    "resolve-prefer": KeywordMeaning("no name is resolved", arguments=1),
    "resolve-net": KeywordMeaning("no name is resolved", arguments=1),
    "resolve-opts": KeywordMeaning("no name is resolved", arguments=1),
    "init-addr": KeywordMeaning("no name is resolved", arguments=1),
    "interface": KeywordMeaning("the routes say where probes leave", lost=True, arguments=1),
    "usesrc": KeywordMeaning("servers see the client's own address anyway", arguments=1),
    "socks4": KeywordMeaning("nothing is proxied", lost=True, arguments=1),
}
