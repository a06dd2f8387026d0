"""The agent of a node: follows Frontends' `status.dataplane`, programs VPP, reports on its Dataplane.
"""
