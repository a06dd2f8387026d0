"""What decides: from the users' objects and verdicts of checks to decisions, without sockets.

Knows `model`, `health`, `plan`; speaks to the world only through the Protocols of `ports`. What
programs a VPP (`sync`) it does not know.
"""
