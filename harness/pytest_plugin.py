"""pytest's own way in: `pytest --rack MODEL --bay FILE --serial SERIAL PLAN` is an acceptance run.

Without `--rack` the plugin is inert: two markers, four options, nothing else.
"""

from __future__ import annotations

from pathlib import Path

import pytest

MARKERS = (
    "stage(name): the stage of an acceptance plan that a step belongs to",
    "measures(*keys, per=None, optional=False): limit keys a step must measure, once for each device of a role or "
    "part of a kind; optional ones where the model limits them",
    "where(load): a step that is only for models with this load",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("rackproof", "acceptance of a rack")
    group.addoption("--rack", metavar="MODEL", help="accept a rack of this model (a name or a file)")
    group.addoption("--bay", metavar="FILE", help="where the rack is docked")
    group.addoption("--serial", metavar="SERIAL", help="the rack's serial as scanned")
    group.addoption("--runs", metavar="DIR", default="runs", help="where run directories are made")


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and with `--rack` the whole plugin."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    if not config.getoption("--rack", None):
        return
    from harness.errors import DefinitionError
    from harness.running import Order, plugins_for

    bay, serial = config.getoption("--bay"), config.getoption("--serial")
    if not bay or not serial:
        raise pytest.UsageError("--rack needs --bay FILE and --serial SERIAL")
    plans = [Path(argument).resolve() for argument in config.args]
    if len(plans) != 1:
        raise pytest.UsageError("--rack needs exactly one plan: a folder or a file")
    order = Order(config.getoption("--rack"), Path(bay), serial, Path(config.getoption("--runs")), plans[0])
    try:
        for name, plugin in plugins_for(order).items():
            config.pluginmanager.register(plugin, name)
    except DefinitionError as error:
        raise pytest.UsageError(str(error)) from error
    refuse_shuffling(config)


def refuse_shuffling(config: pytest.Config) -> None:
    """A rack is one machine: its steps run once, in the order of the work instruction."""
    if getattr(config.option, "numprocesses", None) or getattr(config.option, "dist", "no") != "no":
        raise pytest.UsageError("an acceptance run cannot be spread over processes: leave out -n and --dist")
    for plugin in ("randomly", "random_order", "pytest_randomly", "random-order"):
        if config.pluginmanager.hasplugin(plugin):
            raise pytest.UsageError(f"an acceptance run keeps the order of its plan: add -p no:{plugin}")
