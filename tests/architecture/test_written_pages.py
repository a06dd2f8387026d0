"""The pages of the documentation that are made from the code say what the code does."""

import ast
from pathlib import Path
from typing import get_args

import pytest

from data.product_code import PACKAGE, product_nodes, product_trees
from vpplb.model.names import ObjectKind
from vpplb.model.problem import ProblemReason
from vpplb.resources.condition_reasons import CONDITION_REASONS, REFUSALS
from vpplb.resources.event_reasons import BROKEN_REFERENCES, EVENT_REASONS
from writers.pages import PAGES

DOCS = Path(__file__).parents[2] / "docs"
CATALOGUES = ("condition_reasons", "event_reasons")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_as_it_is_written_from_the_code(page: str) -> None:
    assert (DOCS / page).read_text() == PAGES[page](), "run `make docs`"


def test_each_reason_of_a_problem_is_explained_or_a_warning() -> None:
    warnings = {"NatDropsTcp", "NatSwapsPort", "ServersInVip"}
    assert {one.reason for one in REFUSALS} == set(get_args(ProblemReason)) - warnings


def test_an_event_of_a_broken_reference_has_the_reason_of_a_refusal() -> None:
    refused = {(kind, one.reason) for one in REFUSALS for kind in one.kinds}
    assert {(one.kind, one.reason) for one in BROKEN_REFERENCES} <= refused


def test_nothing_is_explained_twice() -> None:
    for kind in ObjectKind:
        conditions = [
            (one.condition, one.status, one.reason)
            for one in CONDITION_REASONS
            if kind in one.kinds
        ]
        events = [one.reason for one in EVENT_REASONS if one.kind == kind]
        assert len(set(conditions)) == len(conditions)
        assert len(set(events)) == len(events)


@pytest.mark.parametrize("catalogue", CATALOGUES)
def test_what_is_explained_is_said_somewhere(catalogue: str) -> None:
    module = PACKAGE / "resources" / f"{catalogue}.py"
    declared = {
        target.id
        for node in product_trees()[module].body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and isinstance(target := node.targets[0], ast.Name)
    }
    read = {node.attr for path, node in product_nodes(ast.Attribute) if path != module}
    read |= {node.id for path, node in product_nodes(ast.Name) if path != module}
    assert len(declared) > 10
    assert declared - read == set()


def _called_name(call: ast.Call) -> str:
    """Return the last name of what is called, of `module.EventNote(…)` too."""
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


@pytest.mark.parametrize(
    ("made", "catalogue"),
    [("StatusCondition", "condition_reasons"), ("EventNote", "event_reasons")],
)
def test_a_reason_in_words_stands_in_its_catalogue_alone(made: str, catalogue: str) -> None:
    """Nobody else builds a condition or an event from words of its own."""
    elsewhere = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path, node in product_nodes(ast.Call)
        if _called_name(node) == made and path.stem != catalogue
        for reason in (
            *node.args[1:2],
            *(one.value for one in node.keywords if one.arg == "reason"),
        )
        if isinstance(reason, ast.Constant)
    ]
    assert elsewhere == []


def test_an_event_that_is_sent_is_in_the_catalogue() -> None:
    """The adapter that sends events is given its type and reason, not words."""
    wrong = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path, node in product_nodes(ast.Call)
        if _called_name(node) == "ObjectEvent"
        for one in node.keywords
        if one.arg == "reason" and isinstance(one.value, ast.Constant)
    ]
    assert wrong == []
