"""The version before this one, as it was released: what an upgrade begins with.

Its wheel and its chart are files here (`python -m build --wheel` and `helm package` at the commit
before the chart got templates for its definitions), since a checkout need not have its history. At
each release the released ones take their place.
"""

from pathlib import Path

_FILES = Path(__file__).parents[1] / "data" / "earlier"
EARLIER_WHEEL = _FILES / "vpplb-0.1.0-py3-none-any.whl"
EARLIER_CHART = _FILES / "vpplb-0.1.0.tgz"
