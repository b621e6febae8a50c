"""Looks on while a simulated rack is being accepted: what its secrets are, and whether any process shows one."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

EVERY = 1.0
"""Wall seconds between two looks at all processes of the machine."""


@dataclass
class Watch:
    """What was seen so far."""

    secrets: dict[str, str] = field(default_factory=dict)
    exposed: set[str] = field(default_factory=set)

    def look(self, folder: Path) -> None:
        """Take up the secrets that lie below a folder, and look for them in every process."""
        for file in folder.glob("*/*.secret"):
            with contextlib.suppress(OSError):
                value = file.read_text("utf-8").strip()
                if value:
                    self.secrets[file.name] = value
        for process in Path("/proc").glob("[0-9]*") if self.secrets else ():
            for name in ("cmdline", "environ"):
                with contextlib.suppress(OSError):
                    shown = (process / name).read_bytes()
                    held = [secret for secret, value in self.secrets.items() if value.encode() in shown]
                    self.exposed |= {f"{secret} in {name} of {shown[:80]!r}" for secret in held}


@contextlib.contextmanager
def watched(folder: Path) -> Iterator[Watch]:
    """Looks at whatever uses this temporary folder while inside."""
    watch, ending = Watch(), threading.Event()

    def look() -> None:
        while not ending.wait(EVERY):
            watch.look(folder)

    thread = threading.Thread(target=look, name="watch", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        ending.set()
        thread.join()
