"""Whatever a configuration holds, an import ends in manifests and findings, or in a refusal."""

from hypothesis import given
from hypothesis import strategies as st

from data.imports import config
from vpplb.migration.drafts import ImportedSet, UnparseableConfig, load_drafts
from vpplb.migration.formats import ConfigFormat, import_config
from vpplb.resources.allowances import NOTHING

TEXTS = {
    ConfigFormat.MAGLEV: config(
        """
        maglev:
          healthchecker: {netns: a, transition-history: 5}
          vpp:
            lb: {ipv4-src-address: 192.0.2.1, flow-timeout: 40s, startup-min-delay: 5s}
          healthchecks:
            web:
              type: https
              port: 80
              interval: 2s
              timeout: 1s
              params: {path: /, host: a, response-code: 200-204, response-regexp: a}
          backends:
            a: {address: 10.0.0.1, healthcheck: web, enabled: true}
          frontends:
            web:
              address: 203.0.113.1
              protocol: tcp
              port: 80
              pools:
                - name: main
                  backends: {a: {weight: 100}}
        """
    ),
    ConfigFormat.HAPROXY: config(
        r"""
        global
            ssl-server-verify none
        defaults base
            timeout connect 5s
            timeout check 3s
            default-server inter 3s fastinter 100ms fall 4 weight 10 source 10.9.9.9:0
            option httpchk GET /ok HTTP/1.1\r\nHost:\ a.example
        frontend www from base
            description "of it all"
            bind *:80,[2001:db8::1]:80-81 ssl
            use_backend api if { path /api }
            default_backend web
        backend web
            balance source
            http-check connect port 80 ssl sni b
            http-check send meth GET uri / hdr A b
            http-check expect rstatus (2|3)[0-9][0-9]
            server a 10.0.0.1:80 check ssl verify none port 81 addr 10.0.0.9
            server b 10.0.0.2 check backup disabled sni str(x) ca-file /etc/ca.pem
        listen other
            bind 192.0.2.1:80
            server c [fd00::1]:80 weight 256
            server d 10.0.0.4:80
        """
    ),
    ConfigFormat.KEEPALIVED: config(
        """
        $NET=10.0.0
        virtual_server_group web {
            192.0.2.1-9 80
            198.51.100.0/30 443
            fwmark 3
        }
        virtual_server group web {
            delay_loop 6
            lvs_sched fo
            quorum 2
            persistence_timeout 50
            sorry_server 10.9.9.9 80
            real_server ${NET}.1 80 {
                weight 300
                inhibit_on_failure
                HTTP_GET {
                    url {
                        path /ok
                        status_code 200-204 301
                        regex "a b"
                        regex_options caseless
                    }
                    connect_timeout 3
                    delay_before_retry 1.5
                    retry 3
                    bindto 10.9.9.9
                }
                MISC_CHECK { misc_path "/bin/x !" }
            }
            real_server ${NET}.2 {
                TCP_CHECK { connect_port 81 }
            }
        }
        """
    ),
}
ODD = [
    *(
        "",
        "-1",
        "0",
        "99999999999",
        "9" * 5000,
        "1e999",
        "nan",
        "inf",
        "65536",
        "²",
        "٣",
        "1-",
        "-",
    ),
    *("1-2-3", "300-200", "/", "/33", "10.0.0.0/8", "10.0.0.1-", "ffff::-0", "::", "*", "0.0.0.0"),
    *(
        "[",
        "]",
        "{",
        "}",
        "(",
        "'",
        '"',
        "\\",
        "#",
        "!",
        "$A",
        "${NET}",
        "$NET=${NET}",
        "@x",
        "~SEQ",
    ),
    *("null", "[1]", "{a: b}", "true", "&a", "*a", "<<", ":", "- x", "\x00", "\x1b[0m", "\ufeff"),
    *(
        "check",
        "backup",
        "server",
        "bind",
        "real_server",
        "url",
        "weight",
        "fwmark",
        "group",
        "port",
    ),
]


@st.composite
def damaged(draw: st.DrawFn) -> tuple[ConfigFormat, str]:
    """Draw a configuration of which some words are others, and some lines lost, twice or moved."""
    given_format = draw(st.sampled_from(sorted(TEXTS)))
    lines = TEXTS[given_format].splitlines()
    for _ in range(draw(st.integers(1, 6))):
        number = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["word", "drop", "twice", "swap"])):
            case "word":
                words = lines[number].split(" ")
                place = draw(st.integers(0, len(words) - 1))
                words[place] = draw(st.sampled_from(ODD) | st.text(max_size=8))
                lines[number] = " ".join(words)
            case "drop" if len(lines) > 1:
                del lines[number]
            case "twice":
                lines.insert(number, lines[number])
            case _:
                other = draw(st.integers(0, len(lines) - 1))
                lines[number], lines[other] = lines[other], lines[number]
    return given_format, "\n".join(lines)


def _import(given_format: ConfigFormat, text: str) -> tuple[ImportedSet, int]:
    """Import a text; where it is refused, return nothing and the line."""
    try:
        return import_config(text, given_format, "node", ()), 0
    except UnparseableConfig as error:
        return ImportedSet(), error.line


@given(damaged())
def test_an_import_never_breaks(drawn: tuple[ConfigFormat, str]) -> None:
    given_format, text = drawn
    # YAML has more line breaks than editors have.
    lines = range(1, max(text.count("\n"), len(text.splitlines())) + 2)
    imported, refused_at = _import(given_format, text)
    assert refused_at in (0, *lines)
    loaded = load_drafts(imported, "a.cfg", "", NOTHING)
    assert all(finding.line in lines for finding in imported.findings), imported.findings
    assert all(finding.line in lines for finding in loaded.findings)
    assert len(loaded.objects) == len(imported.drafts)
