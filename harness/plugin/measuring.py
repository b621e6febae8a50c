"""What a plan's arguments are: `rack`, `measure`, a device by its role, all devices of a role by its plural."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.plan import Device, Devices, Measure, Rack
from harness.plugin.collection import PLANNED, PLURALS
from harness.session import RackSession

SESSION = pytest.StashKey[RackSession]()


class Arguments:
    """A plugin whose attributes are the fixtures of a plan."""

    @pytest.fixture
    def rack(self, request: pytest.FixtureRequest) -> Rack:
        """The rack as a plan sees it."""
        return Rack(request.config.stash[SESSION])

    @pytest.fixture
    def measure(self, request: pytest.FixtureRequest) -> Measure:
        """Records measurements of this step."""
        planned = request.node.stash[PLANNED]
        return Measure(request.config.stash[SESSION], planned.measures)


def _one(role: str) -> Callable[..., Any]:
    def device(_self: object, request: pytest.FixtureRequest) -> Device:
        return Rack(request.config.stash[SESSION]).device(request.param)

    return pytest.fixture(name=role)(device)


def _all(role: str, plural: str) -> Callable[..., Any]:
    def devices(_self: object, request: pytest.FixtureRequest) -> Devices:
        return Rack(request.config.stash[SESSION]).devices(role)

    return pytest.fixture(name=plural)(devices)


# pytest looks for fixtures on a plugin's class: one argument a role and one a plural.
for _role, _plural in PLURALS.items():
    setattr(Arguments, _role, _one(_role))
    setattr(Arguments, _plural, _all(_role, _plural))
