"""Where a host is, as whom to log in, and how it proves to be itself."""

from __future__ import annotations

import binascii
from base64 import b64decode
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import paramiko

from harness.connection import Connection
from harness.errors import DefinitionError


@dataclass(frozen=True, slots=True)
class SshTarget:
    """Where to, as whom, and how the host proves itself: a pinned `host_key` or a `known_hosts` file."""

    device: str
    host: str
    port: int
    user: str
    password: str | None = field(repr=False)
    key_file: str | None
    host_key: str | None
    known_hosts: str | None
    timeout: float

    @classmethod
    def of(cls, connection: Connection) -> SshTarget:
        """The target a connection describes; raises DefinitionError.

        Options: `host_key` ("ssh-ed25519 AAAA…") or `known_hosts` (a file), `key_file`, `timeout` (wall seconds, 10).
        """
        where = urlsplit(connection.address)
        device, options = connection.device, connection.options
        try:
            port = where.port or 22
        except ValueError as error:
            raise DefinitionError(f"{device}: {connection.address!r} has no valid port") from error
        if where.scheme != "ssh" or not where.hostname or where.path not in ("", "/") or where.username:
            raise DefinitionError(f"{device}: a host's address is ssh://host[:port], not {where.geturl()!r}")
        password = connection.secrets.get("password")
        key_file, host_key, known = (options.get(name) for name in ("key_file", "host_key", "known_hosts"))
        if not connection.user or (password is None) == (key_file is None):
            raise DefinitionError(f"{device}: give a user, and either the secret 'password' or the option key_file")
        if host_key is None and known is None:
            raise DefinitionError(f"{device}: give the option host_key, or known_hosts: a host is never trusted unseen")
        timeout = options.get("timeout", 10.0)
        if isinstance(timeout, str | bool) or not 0 < timeout < 3600:
            raise DefinitionError(f"{device}: option timeout must be a number of seconds, not {timeout!r}")
        target = cls(
            device=device,
            host=where.hostname,
            port=port,
            user=connection.user,
            password=password.reveal() if password else None,
            key_file=None if key_file is None else str(key_file),
            host_key=None if host_key is None else str(host_key),
            known_hosts=None if known is None else str(known),
            timeout=float(timeout),
        )
        target.host_keys()
        return target

    def host_keys(self) -> paramiko.HostKeys:
        """The keys that this host may show; raises DefinitionError where they cannot be read."""
        keys = paramiko.HostKeys()
        try:
            if self.host_key is None:
                keys.load(str(Path(str(self.known_hosts)).expanduser()))
            else:
                kind, blob = self.host_key.split()[:2]
                name = self.host if self.port == 22 else f"[{self.host}]:{self.port}"
                keys.add(name, kind, paramiko.PKey.from_type_string(kind, b64decode(blob, validate=True)))
        except (OSError, ValueError, binascii.Error, paramiko.SSHException) as error:
            raise DefinitionError(f"{self.device}: the host key cannot be read: {error}") from error
        return keys
