import pytest

from in_memory.transition_cost import lines_of_transition, loaded

pytestmark = [pytest.mark.looptime, pytest.mark.slow]


async def test_a_transition_costs_the_same_however_many_objects_there_are() -> None:
    async with loaded(10) as few:
        alone = await lines_of_transition(few)
    async with loaded(100) as many:
        among_many = await lines_of_transition(many)
    assert alone > 100
    assert among_many <= alone * 1.02
