"""A GET whose every outcome is a value."""

import ssl
import urllib.error
import urllib.request


def http_get(url: str, context: ssl.SSLContext | None = None) -> tuple[int, str]:
    """Return status and body; status 0 and the reason when nobody answers within 5 s."""
    try:
        with urllib.request.urlopen(url, timeout=5, context=context) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)
