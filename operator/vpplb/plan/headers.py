"""Headers of probes whose values are in Secrets."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from vpplb.model.check import HttpProbe, ProbeKind
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.objects import Backend, HealthCheck, SecretHeader, SecretValues
from vpplb.model.problem import Problem

Secrets = Mapping[ObjectKey, SecretValues]


def missing_secrets(check: HealthCheck, secrets: Secrets) -> tuple[Problem, ...]:
    """Return a problem for each header of a health check whose value is not known."""
    return tuple(_find_missing(check, secrets))


def unprobed_for_secret(backend: Backend, check: HealthCheck, secrets: Secrets) -> Problem | None:
    """Return the problem of a backend whose health check lacks the value of a header."""
    for missing in _find_missing(check, secrets):
        return replace(
            missing,
            kind=ObjectKind.BACKEND,
            key=backend.key,
            message=f"HealthCheck {check.key}: {missing.message}, so nothing is probed",
            field="spec.healthCheckRef.name",
        )
    return None


def resolved_probe(check: HealthCheck, secrets: Secrets) -> ProbeKind | None:
    """Return a health check's probe with all its headers; None where a value is not known."""
    if not check.secret_headers or not isinstance(check.probe, HttpProbe):
        return check.probe
    headers = list(check.probe.headers)
    for header in check.secret_headers:  # by position, so each finds its place
        secret = secrets.get(header.secret)
        value = secret.values.get(header.key) if secret else None
        if value is None:
            return None
        headers.insert(header.position, (header.name, value))
    return replace(check.probe, headers=tuple(headers))


def _find_missing(check: HealthCheck, secrets: Secrets) -> Iterator[Problem]:
    for header in check.secret_headers:
        secret = secrets.get(header.secret)
        message = _describe_lack(header, secret)
        if message:
            blamed = "key" if secret and not secret.trouble else "name"
            yield Problem(
                kind=ObjectKind.HEALTH_CHECK,
                key=check.key,
                reason="SecretNotFound",
                message=message,
                field=f"spec.http.headers[{header.position}].valueFrom.secretKeyRef.{blamed}",
            )


def _describe_lack(header: SecretHeader, secret: SecretValues | None) -> str:
    if secret is None:
        return f"there is no Secret {header.secret}"
    if secret.trouble:
        return f"Secret {header.secret} {secret.trouble}"
    if header.key not in secret.values:
        return f"Secret {header.secret} has no key {header.key}"
    if secret.values[header.key] is None:
        return f"{header.key} in Secret {header.secret} is not one line of printable ASCII"
    return ""
