"""What a scrape of a program's metrics reads."""

from vpplb.telemetry.metrics import MetricsRegistry


def scrape_metrics(registry: MetricsRegistry) -> str:
    return b"".join(registry.render_pieces()).decode()
