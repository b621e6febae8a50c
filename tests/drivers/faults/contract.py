"""The fault contract: what every transport has to bear, by name."""

from __future__ import annotations

CONTRACT = frozenset(
    {
        "refused-connection",
        "silence",
        "slow",
        "half-an-answer",
        "garbage",
        "wrong-secret",
        "expired-session",
        "reboot-in-mid-call",
        "duplicate-reply",
        "late-reply",
        "unit-swapped",
        "certificate-changed",
    }
)
