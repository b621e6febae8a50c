"""The shell of a switch, by which its links are read below the packets: options of the bay, checked."""

from __future__ import annotations

from dataclasses import replace

from drivers.physical_links import DIALECTS, LinkReader
from drivers.transports.address import word_option, wrong
from drivers.transports.ssh import SshTarget, SshWire
from harness.connection import Connection
from harness.errors import DefinitionError

OPTIONS = (
    "dialect",
    "shell",
    "shell_user",
    "shell_host_key",
    "shell_known_hosts",
    "shell_key_file",
    "shell_timeout",
    "shell_mst",
)
PASSWORD = "shell_password"


def connect_shell(connection: Connection) -> LinkReader | None:
    """A reader by the options of a switch, or None where it has no `shell`; touches no network.

    Raises DefinitionError, also on an option of a shell that is not there.
    """
    options = {name: value for name, value in connection.options.items() if name in OPTIONS}
    if "shell" not in options:
        for name in options:
            raise wrong(connection, f"options.{name}", "says how a shell is asked, and `shell` (ssh://host) is missing")
        return None
    if "dialect" not in options:
        raise wrong(connection, "options.dialect", f"is missing: what the shell is asked, one of {', '.join(DIALECTS)}")
    dialect = word_option(connection, "dialect", "", DIALECTS)
    mst = str(options.get("shell_mst", ""))
    if (dialect == "mlxlink") != bool(mst):
        raise wrong(connection, "options.shell_mst", "belongs to the dialect mlxlink, which needs it: see `mst status`")
    own = {name.removeprefix("shell_"): value for name, value in options.items() if name.startswith("shell_")}
    login = replace(
        connection,
        address=str(options["shell"]),
        user=str(own.pop("user", "")),
        secrets={"password": connection.secrets[PASSWORD]} if PASSWORD in connection.secrets else {},
        options={name: value for name, value in own.items() if name != "mst"},
    )
    try:
        target = SshTarget.of(login)
    except DefinitionError as error:
        said = "; ".join(problem.text for problem in error.problems)
        raise wrong(connection, "options.shell", f"{said} (options of a shell begin with shell_)") from error
    return LinkReader(connection.device, SshWire(target), dialect, connection.now, mst=mst)
