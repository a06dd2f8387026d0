"""A folder of manifests as the source of resources, and a state file as the sink of status.

Knows `resources` and what is below; imported by `standalone` and `cli`. Nothing here knows of
an API server.
"""
