"""What people do: one file a verb, what they share beside them.

A verb knows objects, as statuses tell of them, through a `UserClient`; not whether a cluster is
behind that (`cli.kubectl`) or a router without one (`cli.ctl`). Changes nothing but the spec of
what it is told to.
"""
