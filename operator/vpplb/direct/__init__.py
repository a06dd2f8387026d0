"""The direct road: a stream of decisions from each operator to each agent, and what VPP has back.

`messages` says what crosses, `server` is the operator's end and `client` the agent's; who may speak
is in `certificate` (the operator's key) and `tokens` (the agents' ServiceAccount).
"""
