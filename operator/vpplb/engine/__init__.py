"""The running parts, as asyncio without sockets: ports, the store, the task set, the syncer.

Knows `model`, `health`, `plan`; speaks to the world only through the Protocols of `ports`.
"""
