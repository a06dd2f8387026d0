"""The token by which an agent proves who it is: a file that the kubelet renews."""

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import jwt

from vpplb.direct.messages import MOST_TOKEN_CHARS


class TokenLifetime(NamedTuple):
    """When a token was made, and until when it holds, in Unix seconds."""

    issued: float
    expiry: float


def read_token(path: Path) -> str:
    """Read the token of this node (OSError, ValueError)."""
    with path.open("rb") as file:
        token = file.read(MOST_TOKEN_CHARS + 1)
    if len(token) > MOST_TOKEN_CHARS:
        raise ValueError(f"{path} is too long for a token")
    text = token.decode("ascii").strip()
    if not text or not text.isprintable():
        raise ValueError(f"{path} has no token")
    return text


def read_lifetime(path: Path) -> TokenLifetime | None:
    """Read how long the token holds; None where there is none, or it does not say so."""
    with suppress(OSError, ValueError, jwt.InvalidTokenError):
        # Whether it is genuine is the operators' affair.
        claims = jwt.decode(read_token(path), options={"verify_signature": False})
        issued, expiry = claims.get("iat"), claims.get("exp")
        if isinstance(issued, int | float) and isinstance(expiry, int | float):
            return TokenLifetime(issued=issued, expiry=expiry)
    return None
