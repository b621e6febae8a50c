"""The command on a station whose wall clock is set while it runs: by as many seconds as the first argument's file says.

All that the harness reads of the wall clock goes through `datetime.now`; the monotonic clock stays as it is.
"""

from __future__ import annotations

import datetime as real
import sys
from pathlib import Path

import harness.clock
import harness.journal.writer
import harness.running

OFFSET = Path(sys.argv.pop(1))


class Shifted(real.datetime):
    """The wall clock as it was set."""

    @classmethod
    def now(cls, tz: real.tzinfo | None = None) -> Shifted:
        at = real.datetime.now(tz) + real.timedelta(seconds=float(OFFSET.read_text() or 0))
        return cls.combine(at.date(), at.timetz())


if __name__ == "__main__":
    for module in (harness.clock, harness.journal.writer, harness.running):
        vars(module)["datetime"] = Shifted
    from harness.__main__ import main

    sys.exit(main())
