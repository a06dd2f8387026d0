"""Metrics, logs, the HTTP endpoints and the stream of events.

The only package that imports prometheus_client, and a web server. Knows the model, the plan and
the ports; what it shows comes in through callables, so it must not know Kubernetes,
VPP or any program. Only the programs and the command line may import it.
"""
