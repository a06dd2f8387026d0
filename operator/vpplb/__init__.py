"""vpplb: a Kubernetes operator for VPP as a Maglev load balancer.

The packages, from the bottom up: `model` (values), `health` and `plan` (decisions without
I/O), `resources` (the custom resources), `reconcile` (what decides) and `sync` (what programs a
VPP), then the adapters `probers`, `vpp`, `kube`, `files`, `telemetry` and `simulator`, the programs
`controller`, `agent` and `standalone`, and the command line `cli`. Imports go down only;
docs/architecture.md explains why.
"""

__version__ = "0.1.0"
"""The one place for the version: packages take it from here, `make version` tells the chart."""
