"""Execution: a session around the steps, and each step on the rack loop with its end in the journal.

pytest's own outcome follows what was recorded, for those who look at it; the verdict is never taken from it.
"""

from __future__ import annotations

import concurrent.futures
import functools
import inspect
from collections.abc import Callable, Generator
from typing import Any

import pytest

from harness.errors import DeviceError, PlanError, RackproofError
from harness.plugin.collection import PLANNED, Collection
from harness.plugin.measuring import SESSION
from harness.session import RackSession


class Execution:
    """Opens the session once the plan has proven sound, and runs every step through it."""

    def __init__(self, collection: Collection, open_session: Callable[[], RackSession]) -> None:
        self.session: RackSession | None = None
        self._collection = collection
        self._open = open_session

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, Any, Any]:
        """Nothing is contacted before the whole plan is sound; everything is closed whatever happens."""
        if self._collection.problems:
            raise pytest.UsageError("\n".join(str(problem) for problem in self._collection.problems))
        if session.config.option.collectonly:
            return (yield)
        planned = self._collection.planned()
        self.session = self._open()
        session.config.stash[SESSION] = self.session
        try:
            self.session.start(planned)
            # What an earlier sitting proved stands, and is not run again.
            stands = self.session.standing
            # Stopped before that was decided, nothing is begun a second time.
            undecided = self.session.resumes and self.session.stopped
            left = [item for item in session.items if item.stash[PLANNED].step not in stands]
            session.items[:] = [] if undecided else left
            return (yield)
        finally:
            self.session.close()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """No further step once the session has been stopped."""
        rack = self._rack(item)
        result = yield
        if rack.stopped:
            item.session.shouldstop = rack.stopped
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool:
        """Run one step; every way it can end is an event."""
        rack = self._rack(pyfuncitem)
        arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}  # noqa: SLF001
        rack.begin(pyfuncitem.stash[PLANNED].step)
        try:
            if inspect.iscoroutinefunction(pyfuncitem.obj):
                rack.run_step(pyfuncitem.obj(**arguments))
            else:
                rack.run_blocking(functools.partial(pyfuncitem.obj, **arguments))
        except DeviceError as error:
            rack.evidence.device_failed(error)
            rack.finish("completed", str(error))
            raise pytest.fail.Exception(str(error), pytrace=False) from error
        except concurrent.futures.CancelledError:
            rack.finish("stopped", rack.stopped or "cancelled")
            raise pytest.fail.Exception(rack.stopped or "cancelled", pytrace=False) from None
        except (PlanError, RackproofError) as error:
            rack.finish("error", str(error))
            raise pytest.fail.Exception(str(error), pytrace=False) from error
        except (pytest.skip.Exception, pytest.fail.Exception, pytest.xfail.Exception) as error:
            # pytest's own words decide nothing: what the step declared has not been measured.
            rack.finish("error", f"the step took itself out: {error}")
            raise
        except (Exception, SystemExit) as error:
            rack.finish("error", f"the plan broke: {type(error).__name__}: {error}")
            raise
        rack.finish("stopped" if rack.stopped else "completed", rack.stopped)
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """A step that could not even be set up has an end in the journal too."""
        report = yield
        if call.when == "setup" and report.failed and call.excinfo is not None:
            rack = self._rack(item)
            rack.begin(item.stash[PLANNED].step)
            rack.finish("error", f"the step could not be set up: {call.excinfo.value}")
        return report

    def _rack(self, item: pytest.Item) -> RackSession:
        return item.config.stash[SESSION]
