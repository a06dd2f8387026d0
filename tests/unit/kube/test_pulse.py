from vpplb.kube.pulse import Pulse


def test_a_failure_is_told_once_it_has_lasted_and_until_an_answer() -> None:
    now = [100.0]
    pulse = Pulse(clock=lambda: now[0])
    assert pulse.trouble == ""
    pulse.failed("connection refused")
    assert pulse.trouble == ""
    now[0] += 2
    pulse.failed("401 Unauthorized")
    now[0] += 2
    assert pulse.trouble == "requests fail for 4 s: 401 Unauthorized"
    assert pulse.age() == 4
    pulse.answered()
    assert pulse.trouble == ""
    assert pulse.age() == 0
