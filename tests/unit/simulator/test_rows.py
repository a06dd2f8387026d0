from vpplb.simulator.rows import VppPool


def pool(size: int) -> VppPool[list[int]]:
    made: VppPool[list[int]] = VppPool(list)
    for _ in range(size):
        made.take_index()
    return made


def test_indexes_in_use_are_ascending() -> None:
    elements = pool(4)
    elements.free_index(1)
    assert (list(elements), len(elements)) == ([0, 2, 3], 3)


def test_the_last_freed_is_taken_first() -> None:
    elements = pool(4)
    elements.free_index(1)
    elements.free_index(3)
    elements.free_index(0)
    assert [elements.take_index() for _ in range(4)] == [0, 3, 1, 4]


def test_what_an_element_held_is_still_in_it_when_it_is_taken_again() -> None:
    elements = pool(1)
    elements[0].append(7)
    elements.free_index(0)
    assert elements[elements.take_index()] == [7]


def test_elements_may_be_freed_while_iterating() -> None:
    elements = pool(3)
    for index in elements:
        elements.free_index(index)
    assert len(elements) == 0
