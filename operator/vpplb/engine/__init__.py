"""What decides, as asyncio without sockets: ports, the store, the task set, the reconciler.

Knows `model`, `health`, `plan`; speaks to the world only through the Protocols of `ports`.
"""
