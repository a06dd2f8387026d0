"""Events of the agent: what its node's VPP did to a Frontend that people should know."""

from collections.abc import Callable

from vpplb.kube.kubernetes_events import Event, EventRecorder
from vpplb.model.clock import Clock
from vpplb.model.names import ObjectKey, ObjectKind
from vpplb.model.vip import VipSettings
from vpplb.plan.render import settings_text


class Announcer:
    """Says on a Frontend, in an event, that its VIP was made anew on this node.

    `uid` gives that of a Frontend, which its event has to name; empty for one that is gone.
    """

    def __init__(
        self, recorder: EventRecorder, node: str, clock: Clock, uid: Callable[[ObjectKey], str]
    ) -> None:
        self._recorder, self._node, self._clock, self._uid = recorder, node, clock, uid

    def recreated(self, key: ObjectKey, note: str) -> None:
        """Emit `VipRecreated`; `note` is a sentence for people."""
        uid = self._uid(key)
        if uid:
            self._recorder.emit(
                Event(
                    kind=ObjectKind.FRONTEND,
                    key=key,
                    uid=uid,
                    type="Warning",
                    reason="VipRecreated",
                    note=f"on node {self._node}: {note}",
                    at=self._clock.now(),
                    action="Program",
                )
            )


def remade(settings: VipSettings) -> str:
    """Say that a VIP was made anew, and as what."""
    return f"the VIP was removed and made anew as {settings_text(settings)}; its flows are lost"
