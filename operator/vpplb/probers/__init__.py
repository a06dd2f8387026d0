"""Sockets of the health checks: each probe a small state machine, and the process that drives them.

Knows `reconcile` and below; must not know Kubernetes or VPP.
"""
