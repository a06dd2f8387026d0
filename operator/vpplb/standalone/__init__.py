"""Operator and agent in one process, with a folder of manifests in place of the API server."""
