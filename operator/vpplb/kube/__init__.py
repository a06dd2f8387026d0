"""The API server: client, cache and watch, status writer, events, leases, and people's requests.

The only package that imports an HTTP client for it.
Knows Kubernetes and nothing of VPP, probes or weights: what is written comes in as a function
that renders it. Only the programs (controller, agent) and the command line may import it.
"""
