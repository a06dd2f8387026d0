"""Metrics, logs, the HTTP endpoints and the stream of events. The only package that imports prometheus_client.
"""
