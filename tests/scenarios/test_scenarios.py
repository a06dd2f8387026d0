"""What happens when …: the cases of `health.yaml`, `weights.yaml` and `blind_prober.yaml`."""

import pytest

from scenarios.player import Scenario, ScenarioStage, scenarios

NOTHING: dict[str, object] = {
    "flushed": [],
    "transitions": [],
    "alarms": [],
    "removed": [],
    "refused": {},
}


@pytest.mark.parametrize("case", scenarios(), ids=str)
async def test_scenario(case: Scenario) -> None:
    stage = ScenarioStage(case.given)
    for event in case.when:
        stage.happens(event)
    expected = NOTHING | dict(case.then)
    assert {what: stage.found(what) for what in expected} == expected
