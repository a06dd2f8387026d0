"""`vpplb operator`: reconcile, probe, write status."""

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from vpplb.cli.options import (
    allowance_flags,
    election_namespace,
    http_address,
    http_hosts,
    identity,
    lease_duration,
    lease_name,
    lease_namespace,
    log_format,
    log_level,
    namespaces,
    netns,
    no_blind_guard,
    probe_workers,
    transition_history,
)
from vpplb.cli.service_runner import run_service
from vpplb.telemetry.logs import LogFormat, configure_logs

if TYPE_CHECKING:
    from vpplb.resources.allowances import AddressAllowances


@click.command(short_help="Reconcile Frontends, Backends and HealthChecks; probe; write status.")
@namespaces
@netns
@transition_history
@probe_workers
@no_blind_guard
@allowance_flags
@lease_namespace
@election_namespace
@lease_name
@lease_duration
@identity
@http_address
@http_hosts
@log_level
@log_format
def operator_command(
    namespace: tuple[str, ...],
    netns: str,
    transition_history: int,
    probe_workers: int,
    no_blind_guard: bool,
    allowed: "AddressAllowances",
    lease_namespace: str,
    election_namespace: str,
    lease_name: str,
    lease_duration: timedelta,
    identity: str,
    http_address: str,
    http_hosts: tuple[str, ...],
    log_level: str,
    log_format: LogFormat | None,
) -> None:
    """Reconcile Frontends, Backends and HealthChecks; probe the backends; write status.

    Uses the pod's service account in a cluster, else $KUBECONFIG or ~/.kube/config. A cluster
    that cannot be reached is tried again; /readyz says what is missing. Of several operators that
    serve the same namespaces one leads and the others stand by; one that is no longer the leader
    exits with 1. One whose namespaces overlap with another's is not ready and says so.
    """
    from vpplb.controller.app import OperatorOptions
    from vpplb.controller.app import run as run_operator

    configure_logs(log_level, log_format)
    options = OperatorOptions(
        namespaces=namespace,
        lease_namespace=lease_namespace,
        election_namespace=election_namespace,
        lease_name=lease_name,
        lease_duration=lease_duration.total_seconds(),
        identity=identity,
        http_address=http_address,
        http_hosts=http_hosts,
        netns=netns,
        transition_history=transition_history,
        probe_workers=probe_workers,
        blind_guard=not no_blind_guard,
        allowed=allowed,
    )
    run_service(lambda stop: run_operator(options, stop))
