"""Decisions about traffic: which pool is active, what each VIP should be, the calls to get there.

Sans-I/O: values in, values out. Knows `model` only; imported by what lies above.
"""
