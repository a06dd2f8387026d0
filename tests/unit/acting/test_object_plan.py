"""What a plan reads of statuses; what it decides is tested with its command (`cli/verbs`)."""

from vpplb.acting.object_plan import _ShownHealth
from vpplb.resources.backend import BackendStatus


def test_of_a_backends_status_a_plan_reads_fields_as_they_are_written() -> None:
    """Else a field of another name would be absent in each, and every backend count as up."""
    for name, read in _ShownHealth.model_fields.items():
        written = BackendStatus.model_fields[name]
        assert (read.annotation, read.default) == (written.annotation, written.default)
