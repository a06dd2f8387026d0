"""Who leads, and whose agent is alive, as Leases tell it.

An election among operators, and the heartbeat of each node's agent. The rules of the election are
values; around them are requests and timing.
"""
