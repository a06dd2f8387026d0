"""The custom resources: pydantic models, their conversion to `model`, conditions, and the CRDs.

Knows `model` and `plan`; must not know who stores or transports a resource.
"""
