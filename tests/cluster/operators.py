"""Which of a release's operators leads, and which agents hear it directly."""

from functools import partial

from cluster.kubectl import Kubectl
from cluster.node_vpps import PATIENT
from lab.waiting import wait_for


class Operators:
    """The operators of a release; `kubectl` is an administrator's, in the release's namespace."""

    def __init__(self, kubectl: Kubectl, election: str = "kube-system") -> None:
        self._kubectl, self._election = kubectl, kubectl.within(election)

    def find_leader(self) -> str:
        """Return who the lease says leads: its pod and what tells it from others of that name."""
        return self._election.field("lease", "vpplb-operator", ".spec.holderIdentity")

    def move_lead(self, node: str, away_from: str) -> None:
        """Return when the operator of one node leads, and another is not on `away_from`."""
        self._kubectl("cordon", away_from)
        self._kubectl("delete", "pods", "-l", "app.kubernetes.io/component=operator")
        self._roll_out()
        leads = partial(self._make_lead, node)
        wait_for(leads, f"{node}'s operator leads", timeout=PATIENT, every=10.0)
        self._kubectl("uncordon", away_from)
        self._roll_out()

    def move_lead_to_image(self, image: str) -> None:
        """Return when an operator of this image leads."""
        leads = partial(self._make_image_lead, image)
        wait_for(leads, f"an operator of {image} leads", timeout=PATIENT, every=2.0)

    def wait_another(self, before: str) -> None:
        """Return when another leads than before."""
        wait_for(lambda: self.find_leader() not in ("", before), "another leads", timeout=PATIENT)

    def wait_heard(self, nodes: list[str]) -> None:
        """Return when the agents of these nodes hear the leader directly."""
        for node in nodes:
            hears = partial(self._is_heard, node)
            wait_for(hears, f"the agent of {node} hears the leader", timeout=PATIENT, every=0.5)

    def _make_lead(self, node: str) -> bool:
        """Tell whether a node's operator leads; if not, remove the one that does."""
        return self._wait_leaders_node() == node or self._remove_leader()

    def _make_image_lead(self, image: str) -> bool:
        """Tell whether an operator of this image leads; if not, remove the one that does."""
        found = self._find_of_leader(".spec.containers[0].image")
        return found == image or (found != "" and self._remove_leader())

    def _remove_leader(self) -> bool:
        """Remove the leader's pod where there is one; False: who leads then, is not known yet."""
        if pod := self._find_leaders_pod():
            self._kubectl("delete", "pod", pod, "--ignore-not-found")
        return False

    def _wait_leaders_node(self) -> str:
        """Return the node of the leader's pod; wait while it is gone and nobody else leads yet."""
        find = partial(self._find_of_leader, ".spec.nodeName")
        return wait_for(find, "the leader's pod is there", timeout=PATIENT)

    def _find_of_leader(self, path: str) -> str:
        """Return a field of the pod that the lease names, empty when there is no such pod."""
        named = f"--field-selector=metadata.name={self._find_leaders_pod()}"
        return self._kubectl("get", "pods", named, "-o", f"jsonpath={{.items[*]{path}}}")

    def _find_leaders_pod(self) -> str:
        return self.find_leader().rpartition("_")[0]

    def _is_heard(self, node: str) -> bool:
        heard = self._kubectl.field("vdp", node, ".status.direct.operator")
        return heard == self.find_leader() != ""

    def _roll_out(self) -> None:
        limit = f"--timeout={PATIENT:.0f}s"
        self._kubectl("rollout", "status", "deployment/vpplb-operator", limit, timeout=PATIENT + 10)
