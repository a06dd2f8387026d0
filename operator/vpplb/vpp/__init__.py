"""VPP's binary API: the connection, the codec between ops and messages, the stats segment.

The only package that imports vpp_papi. Must not know Kubernetes.
"""
