"""Decisions about traffic: which references resolve, which pool is active, what each VIP should be,
and the ordered calls that make a VPP so.

Sans-I/O: values in, values out. Knows `model` only; imported by `engine` and what lies above.
"""
