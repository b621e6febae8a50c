"""Entry point of the `rackproof` command; `python -m harness` is the same."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line and return its exit code; 4 where it was stopped."""
    try:
        from harness.cli import run

        return run(sys.argv[1:])
    except KeyboardInterrupt:  # while the command itself was still being loaded
        sys.stderr.write("rackproof: stopped\n")
        return 4


if __name__ == "__main__":
    sys.exit(main())
