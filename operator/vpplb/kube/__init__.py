"""The API server: client, status writer, events, leases.

The only package that imports an HTTP client for it, and the only one to import `kubernetes`.
Knows Kubernetes and nothing of VPP, probes or weights: what is written comes in as a function
that renders it. Only the programs (controller, agent) and the command line may import it.
"""
