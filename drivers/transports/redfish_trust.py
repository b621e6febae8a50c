"""What a BMC must show before it gets the password: the pinned certificate, or one that an authority signed."""

from __future__ import annotations

import re
from pathlib import Path
from ssl import SSLContext, SSLError, create_default_context

import aiohttp

from harness.connection import Connection
from harness.errors import DefinitionError


def trust_of(connection: Connection) -> SSLContext | aiohttp.Fingerprint:
    """The trust that a connection's options `fingerprint` or `ca` describe, else the system's authorities.

    Raises DefinitionError on an option that cannot be meant. There is no way to trust without looking.
    """
    pinned, authority = connection.options.get("fingerprint"), connection.options.get("ca")
    if pinned is not None:
        digits = re.sub(r"[:\s]", "", str(pinned)).lower()
        if not re.fullmatch(r"[0-9a-f]{64}", digits):
            raise DefinitionError(f"{connection.device}: option fingerprint is no SHA-256 in hexadecimal")
        return aiohttp.Fingerprint(bytes.fromhex(digits))
    try:
        return create_default_context(cafile=None if authority is None else str(Path(str(authority))))
    except (OSError, SSLError) as error:
        raise DefinitionError(f"{connection.device}: option ca: {authority} holds no certificate: {error}") from error
