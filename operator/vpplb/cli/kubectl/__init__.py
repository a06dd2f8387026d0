"""The kubectl plugin, `kubectl vpplb`: the verbs of `cli.verbs` on a cluster, and its completion.

What it adds to them is how a cluster is reached, with kubectl's own flags.
"""
