"""The kubectl plugin, `kubectl vpplb`: one file a command, what they share beside them.

Knows the API server and what stands in statuses; asks agents for what no status has. Changes
nothing but the spec of what it is told to.
"""
