"""Logging in to a host within one deadline, every failure in our words. All of it blocks: for worker threads.

paramiko has a time-out for each of its steps and none for all of them, takes a host that dies in the middle of a login
for one that refuses it, and does not notice by itself that the peer is gone.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from typing import Any

import paramiko

from drivers.transports.ssh_target import SshTarget
from harness.errors import DeviceError, Misbehaved, Refused, Unreachable, Unsupported

# Without a handler Python prints paramiko's complaints into the technician's screen; all of them reach us as errors.
logging.getLogger("paramiko").addHandler(logging.NullHandler())

ATTEMPT = "log in"
KEEP_ALIVE = 15
UNANSWERED = 30_000
"""Milliseconds for which sent octets may stay unacknowledged before the kernel gives the connection up."""
TRIES = 3
"""sshd turns callers away at random while many of them log in (sshd_config, MaxStartups 10:30:100)."""
PAUSE = 0.3
WORDLESS = 0.8
"""Of the time that is left: how long a host may say nothing at all, so that it can be told from a slow login."""
BANNER = "Error reading SSH protocol banner"
SHORTEST = 0.1


def left(end: float) -> float:
    """Wall seconds until `end` on the monotonic clock, never quite none: libraries take 0 for something else."""
    return max(SHORTEST, end - time.monotonic())


def connect(target: SshTarget, end: float) -> paramiko.SSHClient:
    """A client that is logged in, by `end` on the monotonic clock; raises DeviceError."""
    for tried in range(TRIES):
        try:
            return _connect(target, end)
        except paramiko.SSHException as error:
            # Turned away before a word was said, so before any login.
            turned_away = str(error).startswith(BANNER) and isinstance(error.__context__, EOFError | ConnectionError)
            if tried == TRIES - 1 or not turned_away or left(end) < 2 * PAUSE * 2**tried:
                raise explain(target, error) from error
        except (OSError, EOFError) as error:
            raise explain(target, error) from error
        time.sleep(PAUSE * 2**tried)
    raise AssertionError("unreachable: the last try raises")


def _connect(target: SshTarget, end: float) -> paramiko.SSHClient:
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    for name, kinds in target.host_keys().items():
        for kind, key in kinds.items():
            client.get_host_keys().add(name, kind, key)
    try:
        plug = socket.create_connection((target.host, target.port), timeout=left(end))
    except ConnectionError as error:
        where = (target.host, target.port)
        raise paramiko.ssh_exception.NoValidConnectionsError({where: error}) from error
    _watch(plug)
    overdue = threading.Event()

    def cut() -> None:
        overdue.set()
        client.close()
        plug.close()

    def dial(plug: Any, **given: Any) -> paramiko.Transport:
        made = paramiko.Transport(plug, **given)
        made.handshake_timeout = left(end)  # 15 s by default, whatever else was asked for
        return made

    watchdog = threading.Timer(left(end), cut)
    watchdog.daemon = True
    watchdog.start()
    try:
        client.connect(
            target.host,
            target.port,
            target.user,
            sock=plug,
            password=target.password,
            key_filename=target.key_file,
            timeout=left(end),
            banner_timeout=left(end) * WORDLESS,
            auth_timeout=left(end),
            channel_timeout=target.timeout,
            allow_agent=False,
            look_for_keys=False,
            transport_factory=dial,
        )
        transport = client.get_transport()
        if transport is None or overdue.is_set():
            raise TimeoutError
        transport.set_keepalive(KEEP_ALIVE)
        transport.handshake_timeout = target.timeout
    except (paramiko.SSHException, OSError, EOFError) as error:
        client.close()
        plug.close()
        # What was cut off says nothing, least of all that a password is wrong.
        if overdue.is_set() or time.monotonic() >= end:
            raise TimeoutError from error
        raise
    finally:
        watchdog.cancel()
    return client


def _watch(plug: socket.socket) -> None:
    """Have the kernel notice a peer that is gone: paramiko's keep-alive sends, and never looks whether one answers."""
    plug.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_USER_TIMEOUT", UNANSWERED), ("TCP_KEEPIDLE", KEEP_ALIVE), ("TCP_KEEPINTVL", KEEP_ALIVE)):
        if hasattr(socket, name):  # Linux has all of them
            plug.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def answers(transport: paramiko.Transport, within: float) -> bool:
    """Whether the peer still opens a session in that many wall seconds, or says that it will not."""
    try:
        transport.open_session(timeout=within).close()
    except paramiko.ChannelException:
        return True
    except (paramiko.SSHException, OSError, EOFError):
        return False
    return True


def kill(channel: paramiko.Channel) -> None:
    """Ask the host to kill what a channel runs (RFC 4254, 6.9): closing it alone would leave it running for ever."""
    if channel.closed:
        return  # the host has forgotten its number, and would end the whole connection over it
    request = paramiko.Message()
    request.add_byte(bytes([98]))  # SSH_MSG_CHANNEL_REQUEST
    request.add_int(channel.remote_chanid)
    request.add_string("signal")
    request.add_boolean(False)
    request.add_string("KILL")
    with contextlib.suppress(paramiko.SSHException, OSError, EOFError):  # where the link is gone, nothing reaches it
        # paramiko has no call for it.
        channel.get_transport()._send_user_message(request)  # type: ignore[attr-defined]  # noqa: SLF001


def explain(target: SshTarget, error: BaseException) -> DeviceError:
    """Our word for why there is no session."""
    device, where = target.device, f"{target.host}:{target.port}"
    if isinstance(error, paramiko.BadHostKeyException):
        return Misbehaved(
            device,
            ATTEMPT,
            f"it shows the host key {error.key.get_base64()}, not the pinned one",
            "Make sure that this is the right host; if it was reinstalled, pin the new key in the bay file.",
        )
    if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
        advice = "Update its SSH server; one that knows SHA-1 and DSA only is not spoken to."
        return Unsupported(device, ATTEMPT, f"it offers only algorithms of the past ({error})", advice)
    if isinstance(error, paramiko.AuthenticationException):
        said = str(error).lower()
        if "timeout" in said or "shut down" in said:
            return Unreachable(device, ATTEMPT, "it broke the login off", "Check the host's load and its console.")
        advice = "Check user, password or key in the bay file; no second login is tried, accounts lock."
        return Refused(device, ATTEMPT, f"it refuses {target.user!r}", advice)
    if isinstance(error, paramiko.SSHException) and "not found in known_hosts" in str(error):
        seen = "it shows a host key that is not known"
        return Misbehaved(device, ATTEMPT, seen, "Pin its key in the bay file.")
    if isinstance(error, TimeoutError):
        seen = f"no answer from {where} within {target.timeout:g} s"
    elif isinstance(error, paramiko.ssh_exception.NoValidConnectionsError):
        reasons = {str(getattr(inner, "strerror", None) or inner) for inner in error.errors.values()}
        seen = f"no connection to {where}: {', '.join(sorted(reasons))}"
    else:
        seen = f"no SSH session with {where}: {error or type(error).__name__}"
    return Unreachable(device, ATTEMPT, seen, "Check that the host has booted and its address: its console shows it.")
