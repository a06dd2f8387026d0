"""What the configuration of another load balancer comes to in manifests, and what it cannot.

Each reader knows one configuration's language and what it means; `drafts` knows ours. Nothing
here looks at a network, a VPP or a cluster, and no name is resolved.
"""
