"""`vpplb operator`: reconcile, probe, write status."""

from datetime import timedelta
from typing import Any

import click

from vpplb.cli import options
from vpplb.cli.http_flags import cluster_http_flags
from vpplb.cli.service_runner import run_service


@click.command(short_help="Reconcile Frontends, Backends and HealthChecks; probe; write status.")
@options.namespaces
@options.netns
@options.transition_history
@options.probe_workers
@options.status_writes_per_second
@options.no_blind_guard
@options.allowance_flags
@options.probe_flags
@options.lease_namespace
@options.release
@options.election_namespace
@options.lease_name
@options.lease_duration
@options.identity
@options.direct_flags
@options.http_address
@options.http_hosts
@cluster_http_flags
@options.log_flags
@options.traces_flag("operator")
def operator_command(
    namespace: tuple[str, ...], no_blind_guard: bool, lease_duration: timedelta, **given: Any
) -> None:
    """Reconcile Frontends, Backends and HealthChecks; probe the backends; write status.

    Uses the pod's service account in a cluster, else $KUBECONFIG or ~/.kube/config. A cluster
    that cannot be reached is tried again; /readyz says what is missing. Of several operators that
    serve the same namespaces one leads and the others stand by; one that is no longer the leader
    exits with 1. One whose namespaces overlap with another's is not ready and says so.
    """
    from vpplb.controller.app import OperatorOptions, run

    asked = OperatorOptions(
        namespaces=namespace,
        blind_guard=not no_blind_guard,
        lease_duration=lease_duration.total_seconds(),
        **given,
    )
    options.warn_of_gap(asked.allowed.reach)
    run_service(lambda stop: run(asked, stop))
