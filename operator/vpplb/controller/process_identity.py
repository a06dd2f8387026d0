"""The name of a process among all operators: nobody else may have it, not even by mistake.

Who finds its own name in the lease takes it for what an earlier run of itself has left. A pod's
name may be copied, and so may a host's; so the name given gets a suffix of this very process. It
lasts over a restart of the container (the folder for temporary files is the pod's), where waiting
for the lease to run out would serve nobody.
"""

import fcntl
import hashlib
import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

from vpplb.files.machine import boot_id


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A name, and the lock that keeps it this process's for as long as it lives."""

    name: str
    lock: int | None = None


def claim_identity(given: str, folder: Path | None = None) -> ProcessIdentity:
    """Make a name of `given` that is this process's alone.

    The suffix is that of a file in `folder` (by default that for temporary files) which no other
    process has locked, and of the machine since its start. Where none can be had it is random.
    """
    digest = hashlib.sha256(given.encode()).hexdigest()[:16]
    path = (folder or Path(tempfile.gettempdir())) / f"vpplb-operator-{digest}.lock"
    try:
        lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        return ProcessIdentity(f"{given}_{secrets.token_hex(4)}")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found = os.fstat(lock)
        of_this = f"{boot_id()}{found.st_dev}:{found.st_ino}:{found.st_ctime_ns}"
    except OSError:
        os.close(lock)
        return ProcessIdentity(f"{given}_{secrets.token_hex(4)}")
    return ProcessIdentity(f"{given}_{hashlib.sha256(of_this.encode()).hexdigest()[:8]}", lock)
