"""Secrets: looked up where the bay file says, and never shown.

Sources in this order: environment variable, file, system keyring; the first that is given must hold it.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import resource
import stat
from collections.abc import Mapping
from pathlib import Path

from harness.connection import Secret
from harness.errors import DefinitionError, Problem
from harness.rack.bay import Bay, SecretSource
from harness.rack.document import Document, read_document

OTHERS = stat.S_IRWXG | stat.S_IRWXO
LONGEST = 64 * 1024
PR_SET_DUMPABLE = 4
"""linux/prctl.h."""


class _Missing(Exception):
    """Why a secret is not to be had, and what to do; holds no secret."""


def resolve(bay: Bay, bay_file: Path) -> Mapping[str, Secret]:
    """Every secret that an endpoint of the bay names, by its name.

    Files are relative to the bay file. Raises DefinitionError naming all that are missing, and none of those found.
    From then on this process leaves no core file, and no other process of the same user may look into its memory.
    """
    _close_memory()
    wanted = dict.fromkeys(name for endpoint in bay.devices.values() for name in endpoint.secrets.values())
    found: dict[str, Secret] = {}
    problems: list[Problem] = []
    document = _document(bay_file)
    for name in wanted:
        try:
            if name not in bay.secrets:
                raise _Missing("it is not declared under 'secrets'")
            found[name] = Secret(name, _look_up(bay.secrets[name], bay_file.parent))
        except _Missing as missing:
            where = document.where(("secrets", name)) if document else bay_file.name
            # A name that is not declared may be the secret itself, written in the wrong place.
            problems.append(Problem(where, f"secrets.{name}" if name in bay.secrets else "secrets", str(missing)))
    if problems:
        raise DefinitionError(problems)
    return found


def _close_memory() -> None:
    """No core, neither as a file (setrlimit(2)) nor handed to a program (prctl(2), PR_SET_DUMPABLE; core(5))."""
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))
    with contextlib.suppress(OSError, AttributeError):  # where it is no Linux, the limit is all there is
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def _document(bay_file: Path) -> Document | None:
    """The bay file, for its line numbers only."""
    try:
        return read_document(bay_file)
    except DefinitionError:
        return None


def _look_up(source: SecretSource, folder: Path) -> str:
    if source.env is not None:
        return _from_environment(source.env)
    if source.file is not None:
        return _from_file(folder / source.file)
    if source.keyring is not None:
        return _from_keyring(source.keyring)
    raise _Missing("the bay file does not say where it is: give env, file or keyring")


def _from_environment(variable: str) -> str:
    value = os.environ.get(variable, "")
    if not value:
        raise _Missing(f"the environment variable {variable} is not set or empty: export it before the run")
    return value


def _from_file(path: Path) -> str:
    try:
        # The mode is read from the open file, so that what was checked is what is read; a pipe must not block.
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise _Missing(f"the file {path} cannot be read: {error.strerror}") from None
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise _Missing(f"{path} is no regular file")
        if status.st_mode & OTHERS:
            mode = stat.S_IMODE(status.st_mode)
            raise _Missing(
                f"the file {path} is open to others (mode {mode:04o}): chmod 600 {path}, then change the secret"
            )
        data = os.read(file, LONGEST)
    finally:
        os.close(file)
    try:
        value = data.decode("utf-8").partition("\n")[0].rstrip("\r")
    except UnicodeDecodeError:
        raise _Missing(f"the file {path} is not UTF-8 text") from None
    if not value:
        raise _Missing(f"the first line of {path} is empty: it must hold the secret")
    return value


def _from_keyring(name: str) -> str:
    try:
        keyring = importlib.import_module("keyring")
    except ImportError:
        raise _Missing("the package keyring is not installed: install it, or use env or file") from None
    service, _, user = name.partition("/")
    try:
        value = keyring.get_password(service, user)
    except keyring.errors.KeyringError:
        raise _Missing(f"the system keyring does not answer for {name}: unlock it") from None
    if not isinstance(value, str) or not value:
        raise _Missing(f"the system keyring holds nothing for {name}: keyring set {service} {user}")
    return value
