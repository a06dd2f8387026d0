from vpplb.model.decision_order import LATEST, DecisionOrder
from vpplb.plan.decision_counter import DecisionCounter


def counting(term: int) -> DecisionCounter:
    counter = DecisionCounter()
    counter.begin_term(term)
    return counter


def test_each_decision_of_a_term_counts_one_more() -> None:
    counter = counting(700)
    assert [counter.next_order() for _ in range(3)] == [
        DecisionOrder(700, 1),
        DecisionOrder(700, 2),
        DecisionOrder(700, 3),
    ]


def test_a_newer_order_of_somebody_else_is_passed_by_a_later_term() -> None:
    counter = counting(700)
    counter.next_order()
    counter.pass_order(DecisionOrder(700, 1))
    counter.pass_order(DecisionOrder(699, 99))
    counter.pass_order(DecisionOrder(700, 0))
    assert counter.term == 700
    counter.pass_order(DecisionOrder(700, 2))
    assert counter.next_order() == DecisionOrder(701, 1)
    counter.pass_order(DecisionOrder(800, 0))
    assert counter.next_order() == DecisionOrder(801, 1)


def test_no_term_is_later_than_json_can_say() -> None:
    counter = counting(LATEST)
    counter.pass_order(DecisionOrder(LATEST, 5))
    assert counter.term == LATEST
