"""The operator: kopf handlers that parse, store and trigger, the reporter, the wiring."""
