"""A folder of manifests as the source of resources, and a state file as the sink of status.
"""
