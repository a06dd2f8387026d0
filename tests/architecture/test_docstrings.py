"""What docstrings and comments name in backticks is there: a rename changes it as well."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator

from data.product_code import PACKAGE, product_trees

NAMED = re.compile(r"`([A-Za-z_][\w.]*)(?:\(\))?`")
FOREIGN = {
    "asyncio": {"_accept_connection", "wait_for"},
    "client-go": {"HasStatusCause"},
    "cookies": {"SameSite"},
    "files of an example": {"x.east", "x.east.lock"},
    "HAProxy": {"set_server_check_status"},
    "Linux": {"net.ipv4.ping_group_range"},
    "VPP": {
        "clib_xxhash",
        "ip46_prefix_normalize",
        "lb_gc_process",
        "lb_vip_add",
        "lb_vip_add_ass",
        "lb_vip_del",
        "lb_vip_del_ass",
        "lb_vip_garbage_collection",
        "lb_vip_set_as_weight",
        "name_crc",
        "vl_socket_read_ready",
    },
}
"""Names of others, by whose they are."""


def _told() -> Iterator[tuple[str, str]]:
    """Yield the docstrings and comments of the product, with the places where they stand."""
    for path, tree in product_trees().items():
        name = path.relative_to(PACKAGE)
        for node in ast.walk(tree):
            match node:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    yield f"{name}:{node.lineno}", text
        for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
            if token.type == tokenize.COMMENT:
                yield f"{name}:{token.start[0]}", token.string


def _names() -> set[str]:
    """Return the product's identifiers, its modules, and the words of its texts for others."""
    names = {part for path in product_trees() for part in path.relative_to(PACKAGE).parts}
    names |= {path.stem for path in product_trees()}
    for tree in product_trees().values():
        told = {
            id(node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        }
        for node in ast.walk(tree):
            match node:
                case ast.Constant(value=str(text)) if id(node) not in told:
                    names |= set(re.findall(r"[A-Za-z_]\w*", text))
                case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                    names.add(name)
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    names.add(name)
                case ast.ClassDef(name=name) | ast.keyword(arg=str(name)):
                    names.add(name)
                case ast.alias(name=name, asname=alias):
                    names |= {*name.split("."), alias or ""}
    return names | {"None", "True", "False", "async", "await", "with", "match", "lambda"}


def test_what_is_named_in_backticks_exists() -> None:
    names, foreign = _names(), set().union(*FOREIGN.values())
    wrong = [
        f"{place}: {name}"
        for place, text in _told()
        for name in NAMED.findall(text)
        if name not in foreign and not names.issuperset(name.split("."))
    ]
    assert wrong == []


def test_what_counts_as_somebody_elses_is_named() -> None:
    named = {name for _, text in _told() for name in NAMED.findall(text)}
    assert named >= set().union(*FOREIGN.values())
