"""What programs one VPP: wants and observations in, calls and reports out. Asyncio, no sockets.

Knows `model` and `plan`; speaks to VPP and to whoever listens through the Protocols of `ports`.
It must not know how what is wanted was decided (`reconcile`).
"""
