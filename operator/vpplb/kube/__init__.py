"""The API server: client, status writer, events, lease. The only package that imports an HTTP client.
"""
