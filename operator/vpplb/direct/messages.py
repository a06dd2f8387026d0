"""The messages of the direct road, as JSON.

From the operator: `OperatorRole` (on connect, and when any of it changes), then of a leader
`DecisionBatch`es: on connect the whole state of the node, ended by a batch that is `whole`, then
changes. From the agent: `AgentHello` first, then `ProgrammedReport`s to whoever leads: a whole one
once that is known, then changes. Any operator may ask what VPP has (`VipsRequest`), and is answered
by `VipsAnswer`; an agent of a version that knows no such question passes over it.

Whoever reads refuses what is not as described (`MessageError`), and passes over fields that it does
not know, so that versions may differ by one.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vpplb.model.decision_order import LATEST, DecisionOrder
from vpplb.model.names import ObjectKey

PROTOCOL = "vpplb.direct.v1"
"""Subprotocol of the websocket."""
AUDIENCE = "vpplb-direct"
"""Audience of the agents' tokens."""
PATH = "/direct/v1/nodes/{node}"
"""Path that an agent of this node connects to, with its token as `Authorization: Bearer`."""
BATCH_SIZE = 16 * 1024
"""Bytes of entries after which a batch is full: a whole state may be megabytes."""
MOST_BYTES = 4 * 1024 * 1024
"""Longest message that is read."""
MOST_TOKEN_CHARS = 8 * 1024
"""Longest token; the kubelet's have one or two thousand characters."""
MOST_TRACEPARENT_CHARS = 55
"""Length of a `traceparent` of the version that is sent."""
MOST_OPERATORS = 16
"""Operators of a release that are known at a time."""


class MessageError(ValueError):
    """A message is not as described; the text says in what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorAddress:
    """How an operator is reached; `identity` names its process, as in the Lease.

    `address` is host:port, `fingerprint` the SHA-256 of its certificate (DER) in hexadecimal.
    """

    identity: str
    address: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorRole:
    """What an operator says of itself: whether it `leads`, and in which term (0: never yet).

    `why` says what it waits for where it does not lead. `operators` are all that it knows, itself
    among them.
    """

    identity: str
    leads: bool
    term: int = 0
    why: str = ""
    operators: tuple[OperatorAddress, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionEntry:
    """What is decided on one frontend, for one node.

    `dataplane` is what `Frontend.status.dataplane` says, as JSON; None where the VIP must not exist
    (`gone`: the frontend itself does not). `holding` is `status.nodes.holding`. `uid` is the
    frontend's. `traceparent` (W3C) is that of its trace, empty where it has none.
    """

    frontend: ObjectKey
    uid: str
    order: DecisionOrder
    dataplane: Mapping[str, object] | None = None
    holding: bool = False
    gone: bool = False
    traceparent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionBatch:
    """Decisions of one tick. `whole`: with this, the whole state has been sent once."""

    term: int
    entries: tuple[DecisionEntry, ...]
    whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentHello:
    """Who an agent is: its version, and the latest term that it has heard of by any road."""

    version: str
    newest_term: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgrammedReport:
    """What the node's VPP has: the revision by frontend; and what failed, and why.

    `whole`: what is not named has neither. Else: of a frontend that is named in either, exactly
    that is so now; and `removed` has neither any more. `connected`: whether VPP is.
    """

    whole: bool = False
    connected: bool = True
    programmed: Mapping[ObjectKey, str] = field(default_factory=dict)
    errors: Mapping[ObjectKey, str] = field(default_factory=dict)
    removed: tuple[ObjectKey, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VipsRequest:
    """An operator wants to know what VPP has: of one frontend, or of all. `number` is its own."""

    number: int
    frontend: ObjectKey | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VipsAnswer:
    """What VPP has, as the agent's HTTP API shows it; or `trouble` says why that is not known."""

    number: int
    page: Mapping[str, object] = field(default_factory=dict)
    trouble: str = ""


Message = OperatorRole | DecisionBatch | AgentHello | ProgrammedReport | VipsRequest | VipsAnswer


# --- writing ---------------------------------------------------------------------------------


def dump_role(role: OperatorRole) -> str:
    return _dump(
        "role",
        identity=role.identity,
        leads=role.leads,
        term=role.term,
        why=role.why,
        operators=[
            {"identity": one.identity, "address": one.address, "fingerprint": one.fingerprint}
            for one in role.operators
        ],
    )


def dump_entry(entry: DecisionEntry) -> str:
    """Write one entry: the same text for all agents that are sent it."""
    content: dict[str, object] = {
        "frontend": str(entry.frontend),
        "uid": entry.uid,
        "term": entry.order.term,
        "sequence": entry.order.sequence,
    }
    if entry.dataplane is not None:
        content["dataplane"] = entry.dataplane
    if entry.holding:
        content["holding"] = True
    if entry.gone:
        content["gone"] = True
    if entry.traceparent:
        content["traceparent"] = entry.traceparent
    return json.dumps(content, separators=(",", ":"))


def join_batch(term: int, entries: Iterable[str], *, whole: bool = False) -> str:
    """Write a batch of entries that are written already."""
    end = ',"whole":true}' if whole else "}"
    return f'{{"type":"decisions","term":{term},"entries":[{",".join(entries)}]{end}'


def dump_hello(hello: AgentHello) -> str:
    return _dump("hello", version=hello.version, newestTerm=hello.newest_term)


def dump_report(report: ProgrammedReport) -> str:
    return _dump(
        "report",
        whole=report.whole,
        connected=report.connected,
        programmed={str(key): revision for key, revision in report.programmed.items()},
        errors={str(key): message for key, message in report.errors.items()},
        removed=[str(key) for key in report.removed],
    )


def dump_request(request: VipsRequest) -> str:
    asked = {} if request.frontend is None else {"frontend": str(request.frontend)}
    return _dump("askVips", number=request.number, **asked)


def dump_answer(answer: VipsAnswer) -> str:
    return _dump("vips", number=answer.number, page=answer.page, trouble=answer.trouble)


def _dump(kind: str, **content: object) -> str:
    return json.dumps({"type": kind, **content}, separators=(",", ":"))


# --- reading ---------------------------------------------------------------------------------


def load_message(text: str) -> Message | None:
    """Read a message of either side; None for one of a type that this version does not know.

    MessageError where it is not as described.
    """
    try:
        content = json.loads(text)
        match content["type"]:
            case "role":
                return _load_role(content)
            case "decisions":
                return _load_batch(content)
            case "hello":
                return AgentHello(
                    version=str(content["version"]), newest_term=_load_count(content["newestTerm"])
                )
            case "report":
                return _load_report(content)
            case "askVips":
                return _load_request(content)
            case "vips":
                return _load_answer(content)
            case str():
                return None
            case other:
                raise MessageError(f"type is {other!r:.100}")
    except MessageError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MessageError(f"not a message: {error!r:.200}") from error


def _load_role(content: Mapping[str, object]) -> OperatorRole:
    return OperatorRole(
        identity=str(content["identity"]),
        leads=content["leads"] is True,
        term=_load_count(content["term"]),
        why=str(content.get("why", "")),
        operators=tuple(
            OperatorAddress(
                identity=str(one["identity"]),
                address=str(one["address"]),
                fingerprint=str(one["fingerprint"]),
            )
            for one in _load_list(content.get("operators", []))
        ),
    )


def _load_batch(content: Mapping[str, object]) -> DecisionBatch:
    return DecisionBatch(
        term=_load_count(content["term"]),
        entries=tuple(_load_entry(one) for one in _load_list(content["entries"])),
        whole=content.get("whole") is True,
    )


def _load_entry(content: Mapping[str, object]) -> DecisionEntry:
    dataplane = content.get("dataplane")
    if dataplane is not None and not isinstance(dataplane, Mapping):
        raise MessageError(f"dataplane is {dataplane!r:.100}")
    return DecisionEntry(
        frontend=ObjectKey.parse_text(str(content["frontend"])),
        uid=str(content["uid"]),
        order=DecisionOrder(_load_count(content["term"]), _load_count(content["sequence"])),
        dataplane=dataplane,
        holding=content.get("holding") is True,
        gone=content.get("gone") is True,
        traceparent=str(content.get("traceparent", ""))[:MOST_TRACEPARENT_CHARS],
    )


def _load_report(content: Mapping[str, object]) -> ProgrammedReport:
    return ProgrammedReport(
        whole=content.get("whole") is True,
        connected=content["connected"] is True,
        programmed=_load_texts(content.get("programmed", {})),
        errors=_load_texts(content.get("errors", {})),
        removed=tuple(
            ObjectKey.parse_text(str(one)) for one in _load_list(content.get("removed", []))
        ),
    )


def _load_request(content: Mapping[str, object]) -> VipsRequest:
    asked = content.get("frontend")
    return VipsRequest(
        number=_load_count(content["number"]),
        frontend=None if asked is None else ObjectKey.parse_text(str(asked)),
    )


def _load_answer(content: Mapping[str, object]) -> VipsAnswer:
    page = content["page"]
    if not isinstance(page, Mapping):
        raise MessageError(f"page is {page!r:.100}")
    return VipsAnswer(
        number=_load_count(content["number"]), page=page, trouble=str(content["trouble"])
    )


def _load_count(found: object) -> int:
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found <= LATEST:
        raise MessageError(f"not a count: {found!r:.100}")
    return found


def _load_list(found: object) -> list[Any]:
    if not isinstance(found, list):
        raise MessageError(f"not a list: {found!r:.100}")
    return found


def _load_texts(found: object) -> dict[ObjectKey, str]:
    if not isinstance(found, Mapping):
        raise MessageError(f"not an object: {found!r:.100}")
    return {ObjectKey.parse_text(key): str(text) for key, text in found.items()}
