"""How many examples hypothesis tries: all, or a tenth of them in a hurry."""

from hypothesis import HealthCheck, settings

ALL = 100

# The first text that Hypothesis draws on a machine takes a second: it makes tables of Unicode.
WHOLE = settings(max_examples=ALL, suppress_health_check=[HealthCheck.too_slow], deadline=None)
QUICK = settings(WHOLE, max_examples=ALL // 10)
"""The profile of `make quick`; all other runs, CI's too, try all."""


def examples(whole: int) -> int:
    """Return how many of `whole` examples to try in this run, five at least."""
    return max(min(whole, 5), whole * settings().max_examples // ALL)
