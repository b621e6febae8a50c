"""Reading what somebody else hands over, in bounded memory and time: plain files only, and none longer than is said."""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MIB = 2**20


class Oversized(ValueError):
    """There is more of it than there can be in earnest, or it is no plain file."""


def contents(path: Path, most: int, *, follow: bool = False) -> bytes:
    """The octets of a plain file of at most `most`; raises Oversized, and OSError as opening it does.

    A pipe or a device is not waited for, and a link is not followed unless `follow` says so.
    """
    how = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    handle = os.open(path, how)
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError
        if not stat.S_ISREG(mode):
            raise Oversized("is a pipe or a device, not a plain file")
        with open(handle, "rb", closefd=False) as stream:
            # Read first, measured after: what lies below /proc says that it is empty, and others grow meanwhile.
            found = stream.read(most + 1)
    finally:
        os.close(handle)
    if len(found) > most:
        raise Oversized(f"is longer than {most // MIB} MiB")
    return found


def check_size(path: Path, most: int) -> None:
    """Raises Oversized where a file is longer than that, without reading it; OSError where it is not there."""
    if path.stat().st_size > most:
        raise Oversized(f"is longer than {most // MIB} MiB")


@contextmanager
def bounded_memory(more: int) -> Iterator[None]:
    """While inside, this process may map that many octets beyond what it has: past it, MemoryError and no more.

    Where the system does not tell what is mapped, there is no limit.
    """
    try:
        mapped = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = mapped + more
    resource.setrlimit(resource.RLIMIT_AS, (wanted if soft == resource.RLIM_INFINITY else min(wanted, soft), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
