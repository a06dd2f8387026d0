"""VIPs as customers see them: new connections from outside, what they took, who answered them.

Knows `probers` for the conversations, and manifests' frontends for what to ask; not who looks at
what was measured (`cli.monitor`).
"""
