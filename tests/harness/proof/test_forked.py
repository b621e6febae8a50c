"""A run that is forked off is a process of its own: its own session, output, signals and exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

BEGIN = """
import json, os, signal, sys
from pathlib import Path
from harness.proof.forked import RACK, RUN, Forked
def stop(number, frame): raise KeyboardInterrupt
signal.signal(signal.SIGTERM, stop)
said = Path(sys.argv[1])
"""


def told(tmp_path: Path, code: str) -> Any:
    """What a small program tells as JSON; it is a process of its own, since this one may have threads."""
    command = [sys.executable, "-c", BEGIN + code, str(tmp_path / "said")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_says_into_its_own_file_and_ends_with_its_own_code(tmp_path: Path) -> None:
    code = "one = Forked(RUN, ['verify', '/no/such/run'], said); code = one.wait(60)\n"
    code += "print(json.dumps([code, one.returncode, one.poll(), said.read_text()]))"
    ended, again, polled, text = told(tmp_path, code)
    assert ended == again == polled == 2
    assert "rackproof verify: " in text


def test_a_wrong_command_line_is_a_usage_error(tmp_path: Path) -> None:
    code = "one = Forked(RUN, ['run', '--no-such-option'], said); print(json.dumps([one.wait(60), said.read_text()]))"
    ended, text = told(tmp_path, code)
    assert ended == 2
    assert "--no-such-option" in text or "required" in text


def test_it_leads_a_session_and_takes_signals_as_a_new_process_does(tmp_path: Path) -> None:
    code = "import harness.proof.forked as forked, time\n"
    code += "class Cli:\n  @staticmethod\n  def run(words):\n    print('up', flush=True); time.sleep(600)\n"
    code += "forked.import_module = lambda name: Cli\n"
    code += "one = Forked(RUN, [], said)\n"
    code += "while not said.is_file() or 'up' not in said.read_text(): pass\n"
    code += "running = one.poll() is None and os.getsid(one.pid) == one.pid != os.getsid(0)\n"
    code += "waited = one.wait(0.01); one.send_signal(signal.SIGTERM); ended = one.wait(60)\n"
    code += "one.send_signal(signal.SIGTERM); print(json.dumps([running, waited, ended]))"
    assert told(tmp_path, code) == [True, None, -15]


def test_what_is_imported_beforehand_is_what_a_run_needs(tmp_path: Path) -> None:
    code = "from harness.proof.forked import preloaded; import threading; preloaded().__enter__()\n"
    code += "names = ['pytest', 'harness.session', 'drivers.bmc', 'drivers.host', 'fixtures.rack']\n"
    code += "print(json.dumps([[name in sys.modules for name in names], threading.active_count()]))"
    assert told(tmp_path, code) == [[True, True, True, True, True], 1]


def test_a_rack_that_is_forked_is_the_one_that_is_started(tmp_path: Path) -> None:
    code = "from harness.proof.forked import is_preloaded, preloaded\n"
    code += "before = is_preloaded()\n"
    code += (
        "with preloaded():\n  one = Forked(RACK, ['bench4', '--list-faults', '--json'], said); code = one.wait(60)\n"
    )
    code += "  within = is_preloaded()\n"
    code += "print(json.dumps([before, within, is_preloaded(), code, said.read_text()]))"
    before, within, after, ended, text = told(tmp_path, code)
    assert (before, within, after, ended) == (False, True, False, 0)
    started = [sys.executable, "-m", "fixtures", "bench4", "--list-faults", "--json"]
    assert text == subprocess.run(started, capture_output=True, text=True, check=True).stdout


def test_a_rack_that_is_forked_goes_when_the_run_does(tmp_path: Path) -> None:
    code = "from harness.simulation import Simulation, simulated_rack\n"
    code += "from harness.proof.forked import is_preloaded, preloaded\n"
    code += "from harness.rack.load import model_path\n"
    code += "rack = simulated_rack(Simulation(model_path('bench4')), said.parent, sys.stderr)\n"
    code += "with preloaded(), rack as bay:\n"
    code += "  ours = Path(f'/proc/{os.getpid()}/task/{os.getpid()}/children').read_text().split()\n"
    code += "  lines = [Path(f'/proc/{each}/cmdline').read_text() for each in ours]\n"
    code += "  stood = bay.is_file()\n"
    code += "left = [each for each in ours if Path(f'/proc/{each}').exists()]\n"
    code += "print(json.dumps([stood, len(ours), any('fixtures\\0' in line for line in lines), left]))"
    assert told(tmp_path, code) == [True, 1, False, []]
