import pytest

from vpplb.kube.errors import ApiUnreachable, KubeError, api_error
from vpplb.kube.result import result_of


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (ApiUnreachable("refused"), "unreachable"),
        (api_error(404), "gone"),
        (api_error(409), "conflict"),
        (api_error(429), "throttled"),
        (api_error(503), "throttled"),
        (api_error(403), "refused"),
        (api_error(422), "refused"),
        (api_error(500), "refused"),
    ],
    ids=str,
)
def test_a_failed_write_is_counted_by_what_failed(error: KubeError, result: str) -> None:
    assert result_of(error) == result
