"""How the HTTP server is guarded, as the command line says."""

from dataclasses import dataclass
from pathlib import Path

from vpplb.telemetry.http_tls import TlsFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAccess:
    """By default anybody may read, and nobody can act.

    `actions`: people act from the dashboard. `signed_in_only`: who reads has to sign in. `accounts`
    are those of people where there is no cluster. `tls` None: plain HTTP.
    """

    actions: bool = False
    signed_in_only: bool = False
    accounts: Path | None = None
    tls: TlsFiles | None = None

    @property
    def knows_people(self) -> bool:
        """Whether anybody can sign in."""
        return self.actions or self.signed_in_only
