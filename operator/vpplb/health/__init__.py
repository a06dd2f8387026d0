"""Decisions about one backend's health: the counter, the cadence, what a change does to it.

Sans-I/O: time and randomness are arguments. Knows `model` only; imported by what
lies above.
"""
