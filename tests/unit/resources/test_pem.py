import pytest

from lab.authority import Authority
from vpplb.resources.pem import read_certificates

ONE, OTHER = Authority().pem, Authority().pem


def block(label: str, content: str) -> str:
    return f"-----BEGIN {label}-----\n{content}\n-----END {label}-----\n"


@pytest.mark.parametrize(
    "text",
    [
        ONE + OTHER,
        ONE + "\n\n" + OTHER + "\n\n",
        (ONE + OTHER).replace("\n", "\r\n"),
        "\ufeff" + ONE + OTHER,
        "# Prüfstelle\n" + ONE + "# noch eine\n" + OTHER,
        "\n".join("    " + line for line in (ONE + OTHER).splitlines()),
    ],
    ids=["plain", "empty lines", "Windows", "byte order mark", "comments", "indented"],
)
def test_what_stands_around_certificates_is_left_out(text: str) -> None:
    assert read_certificates(text) == ONE + OTHER


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", ""),
        ("hello", ""),
        (ONE[:-10], ""),
        (ONE + OTHER[:-10], "; what begins must be a certificate, and end"),
        (
            ONE + block("PRIVATE KEY", "AAAA"),
            "; what begins must be a certificate, and end",
        ),
        (
            block("CERTIFICATE", "AAAA"),
            "; number 1 cannot be read",
        ),
        (
            ONE + block("CERTIFICATE", "ö"),
            "; number 2 cannot be read",
        ),
        (ONE.replace("M", "\0", 1), "; number 1 cannot be read"),
    ],
)
def test_a_broken_bundle_says_where(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=f"^{says}$"):
        read_certificates(text)
