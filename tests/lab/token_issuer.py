"""Tokens of ServiceAccounts as an API server makes them, by real keys."""

import json
import time
from collections.abc import Mapping
from itertools import count
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from vpplb.direct.tokens import IssuerKeys, KeysUnavailable
from vpplb.model.names import ObjectKey

ISSUER = "https://kubernetes.default.svc.cluster.local"
ACCOUNT = ObjectKey("vpplb-system", "vpplb-agent")

SigningKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

_CURVES: Mapping[str, ec.EllipticCurve] = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1()}
_numbers = count(1)


class IssuerKey:
    """A key pair that tokens are signed by, with a name."""

    def __init__(self, algorithm: str = "ES256", name: str = "") -> None:
        self.algorithm, self.name = algorithm, name or f"key-{next(_numbers)}"
        self.private: SigningKey = (
            ec.generate_private_key(_CURVES[algorithm])
            if algorithm in _CURVES
            else rsa.generate_private_key(public_exponent=65537, key_size=2048)
        )

    @property
    def published(self) -> dict[str, Any]:
        """The public half, as the cluster publishes it."""
        kind = jwt.get_algorithm_by_name(self.algorithm)
        told = json.loads(kind.to_jwk(self.private.public_key()))
        told.pop("key_ops", None)
        return {**told, "kid": self.name, "alg": self.algorithm, "use": "sig"}


class TokenIssuer:
    """A cluster, as far as tokens are concerned. `asked` counts how often its keys were fetched."""

    def __init__(self, algorithm: str = "ES256") -> None:
        self.key = IssuerKey(algorithm)
        self.published: list[dict[str, Any]] = [self.key.published]
        self.issuer, self.away, self.asked = ISSUER, "", 0

    async def fetch_keys(self) -> IssuerKeys:
        self.asked += 1
        if self.away:
            raise KeysUnavailable(self.away)
        return IssuerKeys(issuer=self.issuer, keys=tuple(self.published))

    def rotate_key(self, *, keep: bool = False) -> IssuerKey:
        """Sign by a new key from now on; `keep`: the old one is published beside it."""
        self.key = IssuerKey(self.key.algorithm)
        self.published = [*(self.published if keep else ()), self.key.published]
        return self.key

    def claim(self, node: str = "n1", **claims: object) -> dict[str, Any]:
        """Return what a token of the agent of `node` says; None in `claims` leaves one out."""
        now = int(time.time())
        bound = {
            "namespace": ACCOUNT.namespace,
            "node": {"name": node, "uid": "1"},
            "pod": {"name": "vpplb-agent-x", "uid": "2"},
            "serviceaccount": {"name": ACCOUNT.name, "uid": "3"},
        }
        told: dict[str, Any] = {
            "aud": ["vpplb-direct"],
            "exp": now + 86400,
            "iat": now,
            "nbf": now,
            "iss": self.issuer,
            "jti": "4",
            "sub": f"system:serviceaccount:{ACCOUNT.namespace}:{ACCOUNT.name}",
            "kubernetes.io": bound,
        }
        return {name: value for name, value in (told | claims).items() if value is not None}

    def issue_token(self, node: str = "n1", **claims: object) -> str:
        """Make a token of the agent of `node`; `claims` are others than usual."""
        return self.sign_claims(self.claim(node, **claims))

    def sign_claims(self, claims: dict[str, Any], **header: object) -> str:
        """Make a token of these claims by the present key."""
        return jwt.encode(
            claims,
            self.key.private,
            algorithm=self.key.algorithm,
            headers={"kid": self.key.name, **header},
        )
