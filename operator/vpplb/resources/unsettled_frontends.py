"""Frontends whose nodes are waited for: judged again once they have waited too long."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.resources.frontend_conditions import BEHIND_AFTER, FrontendJudgement


@dataclass(slots=True)
class UnsettledFrontends:
    """Has `judge_again` called for each that was unsettled `BEHIND_AFTER` ago, once."""

    judgements: Mapping[ObjectKey, FrontendJudgement]
    judge_again: Callable[[ObjectKey], None]
    _waiting: set[ObjectKey] = field(default_factory=set)

    def note_rendered(self, kind: ObjectKind, key: ObjectKey) -> None:
        """Take note that an object was rendered: what came of it is in `judgements`."""
        judged = self.judgements.get(key) if kind == ObjectKind.FRONTEND else None
        if judged is None or not judged.is_unsettled or key in self._waiting:
            return
        self._waiting.add(key)
        wait = BEHIND_AFTER.total_seconds()
        asyncio.get_running_loop().call_later(wait, self._judge_again, key)

    def _judge_again(self, key: ObjectKey) -> None:
        self._waiting.discard(key)
        self.judge_again(key)
