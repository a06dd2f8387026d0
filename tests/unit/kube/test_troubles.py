from vpplb.kube.errors import NotFound, api_error
from vpplb.kube.troubles import Troubles


def test_a_status_that_cannot_be_written_is_told_once_that_has_lasted() -> None:
    now = [0.0]
    troubles = Troubles(clock=lambda: now[0])
    troubles.note("Frontend default/web", api_error(403, "Forbidden", "no"))
    assert troubles.text == ""
    now[0] = 4
    troubles.note("Frontend default/web", api_error(403, "Forbidden", "not so"))
    assert troubles.text == (
        "the status of Frontend default/web cannot be written for 4 s: 403 Forbidden: not so"
    )
    troubles.note("Backend default/a", api_error(403, "Forbidden", "no"))
    assert "(nor 1 others)" in troubles.text
    troubles.note("Frontend default/web", None)
    assert troubles.text == "", "the other has only just begun"
    troubles.note("Backend default/a", NotFound(404))
    now[0] = 99
    assert troubles.text == ""
