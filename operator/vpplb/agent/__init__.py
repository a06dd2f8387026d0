"""The agent of a node: makes its VPP what Frontends' `status.dataplane` says, and reports."""
