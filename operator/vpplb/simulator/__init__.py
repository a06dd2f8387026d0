"""A VPP for tests and demonstrations: speaks the binary API's socket protocol for the lb plugin.

Knows nothing of the rest but `plan.maglev_table` (the table) and `model`.
"""
