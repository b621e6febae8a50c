"""Hosts that outlive every station: `python -m tests.acceptance.hosts FOLDER COUNT`, until its standard input closes.

Each is the simulated rack's SSH server before a real /bin/sh in a home of its own, with a gpu_burn that writes down
every start of it. It prints, as one line of JSON, where each host is.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from fixtures.servers.ssh import HostAccess, environment, serve_ssh
from fixtures.shims.reaper import reap

USER, PASSWORD = "bench", "correct horse"
# Its name is that of its record. One that is called endless goes on until somebody ends it.
BURN = r"""#!/bin/sh
name=$(basename "$RACKPROOF_JOB")
echo "$name" >>"$HOME/starts"
for seconds; do :; done
[ "${name%-endless}" = "$name" ] || seconds=600
at=0
while [ "$at" -lt "$((seconds * 10))" ]; do
    at=$((at + 1))
    printf '\r%s.0%%  proc'"'"'d: %s (900 Gflop/s)   errors: 0   temps: 60 C ' "$at" "$at"
    sleep 0.1
done
printf '\n\nTested 1 GPUs:\n\tGPU 0: OK\n'
"""


async def serve(folder: Path, count: int) -> None:
    """Serve until standard input is closed; nothing of the hosts is left running."""
    servers, told = [], []
    for number in range(1, count + 1):
        home = folder / f"host-{number}"
        tools = home / "bin"
        tools.mkdir(parents=True)
        for name, text in (("gpu_burn", BURN), ("systemctl", "#!/bin/sh\necho offline\nexit 1\n")):
            (tools / name).write_text(text)
            (tools / name).chmod(0o755)
        access = HostAccess(USER, PASSWORD, home, environment(home, tools, USER))
        server = await serve_ssh(access, lambda: False)
        servers.append(server)
        told.append({"port": server.port, "host_key": server.host_key, "home": str(home)})
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    for server in servers:
        await server.close()
    reap(str(folder))


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
