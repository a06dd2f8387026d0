"""What programs use: memory of a process with its children, CPU, requests to the API server."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from cluster.kubectl import Kubectl
from lab.probe_peers import children, cpu_seconds

_REQUESTS = re.compile(r"apiserver_request_total\{(.*)\} (\S+)")
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_WRITES = {"POST", "PUT", "PATCH", "DELETE", "APPLY"}
_GROUPS = {"vpplb.dev", "events.k8s.io"}


def family(pid: int) -> Iterator[int]:
    """Give a process and all that descend from it."""
    yield pid
    for child in children(pid):
        yield from family(child)


def memory(pid: int) -> tuple[int, int]:
    """Return the memory of a process and its descendants, in bytes: resident, and its true share.

    The share (PSS) counts a page that several processes have in parts; resident (RSS) in full.
    """
    resident = shared = 0
    for each in family(pid):
        lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()[1:]
        kib = {name: int(value.split()[0]) for name, value in (one.split(":") for one in lines)}
        resident += 1024 * kib["Rss"]
        shared += 1024 * kib["Pss"]
    return resident, shared


def cpu(pid: int) -> float:
    """Return the CPU seconds of a process and its descendants so far."""
    return sum(cpu_seconds(each) for each in family(pid))


def writes(kubectl: Kubectl) -> Counter[str]:
    """Return how many writing requests the API server has answered so far, by resource.

    Of the project's resources and of events; those that changed nothing count as well.
    """
    counts: Counter[str] = Counter()
    for found in _REQUESTS.finditer(kubectl("get", "--raw", "/metrics")):
        labels = dict(_LABEL.findall(found[1]))
        if labels["verb"] in _WRITES and labels["group"] in _GROUPS:
            counts[labels["resource"]] += int(float(found[2]))
    return counts
