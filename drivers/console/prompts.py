"""Prompts: the lines at which a console waits, as data, and where each was learned.

A prompt is the last line that was heard and has no end. Kernel messages printed over it are taken out before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a prompt wants."""

    LOGIN = "login"
    PASSWORD = "password"
    SHELL = "shell"
    FIRMWARE = "firmware"
    BOOT_LOADER = "boot loader"
    CONTROLLER = "controller"
    """The command line of a management controller or of a console server, before the device itself is reached."""
    KEY = "key"
    """One key, and any key does something: a boot that counts down, a pager, a menu. Nothing is ever sent there."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """How one family of prompts looks, from the beginning of the line (or `.*`) to its end."""

    kind: Kind
    pattern: str
    source: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt as it stands, without the blank behind it."""

    kind: Kind
    text: str


PATTERNS = (
    Pattern(
        Kind.KEY,
        r".*--\s?More\s?--.*",
        "more(1), Cisco NX-OS and Arista EOS terminal length; util-linux text-utils/more.c",
    ),
    Pattern(Kind.KEY, r"(?:.*\(END\)|:)", "less(1): its prompt is `:` within a file, `(END)` at its end"),
    Pattern(
        Kind.KEY,
        r".*(?:Hit|Press) any key to .*",
        "U-Boot common/autoboot.c, `Hit any key to stop autoboot`; UEFI boot prompts",
    ),
    Pattern(
        Kind.KEY,
        r".*\b[Pp]ress \[?<?(?:ESC|Esc|F\d{1,2}|DEL|Del|Ctrl-?\S|ENTER|Enter|Return|`\S+)\b.*",
        "UEFI Shell 2.2 section 3.2 (startup.nsh), PC firmware (keys for its setup and menus), iPXE (Ctrl-B), GRUB",
    ),
    Pattern(
        Kind.KEY,
        r".*(?:will be executed automatically in \d+s|automatic boot in \d+ second).*",
        "GRUB manual 2.12, boot menu with a time-out; the menu shows no prompt",
    ),
    Pattern(
        Kind.KEY,
        r"(?:dquote|quote|bquote|heredoc|cmdsubst)?>",
        "POSIX.1-2017 XCU 2.5.3, PS2: the line is not complete; zsh names why",
    ),
    Pattern(Kind.KEY, r".*\[(?:y/n|Y/n|y/N|yes/no)\]\s?[?:]?", "a confirmation: Debian apt, Cisco NX-OS, Junos"),
    Pattern(
        Kind.LOGIN,
        r"(?:.*\s)?(?:login|LOGIN|[Uu]ser ?[Nn]ame)\s?:",
        "agetty(8) `HOST login:`; Server Technology and Raritan `Username:`; APC `User Name :`",
    ),
    Pattern(
        Kind.PASSWORD,
        r".*(?:[Pp]assword|[Pp]assphrase|PIN)(?: for [^:]{1,80})?\s?:",
        "login(1), sudo(8) `[sudo] password for USER:`, cryptsetup(8) `Enter passphrase for`",
    ),
    Pattern(
        Kind.PASSWORD,
        r".*(?:press|type) Control-D to (?:continue|proceed).*:",
        "sulogin(8) in emergency mode: Return alone goes on booting, anything else is taken for root's password",
    ),
    Pattern(Kind.BOOT_LOADER, r"grub(?: rescue)?>", "GRUB manual 2.12, command-line interface and rescue mode"),
    Pattern(
        Kind.BOOT_LOADER,
        r"(?:=>|U-Boot>|boot#|ast#)",
        "U-Boot CONFIG_SYS_PROMPT: `=> ` by default, Aspeed boards `ast# ` and `boot# `",
    ),
    Pattern(
        Kind.FIRMWARE,
        r"(?:Shell|[A-Za-z][A-Za-z0-9]{1,9}:\\[^<>|]{0,200})>",
        "UEFI Shell 2.2 section 3: `Shell> `, or the current directory, `FS0:\\EFI> `",
    ),
    Pattern(Kind.CONTROLLER, r"racadm>>", "iDRAC firmware RACADM, interactive mode; ^\\ leaves `console com2` for it"),
    Pattern(Kind.CONTROLLER, r"\S{0,80}->", "SM-CLP (DMTF DSP0214), `->` and `/admin1->`; HPE iLO `</>hpiLO->`"),
    Pattern(
        Kind.SHELL,
        r"(?:\([\w.-]{1,40}\) ?)?\[?[\w.-]{1,64}@[\w.-]{1,64}[^$#%>]{0,200}[$#%>]",
        "bash as Debian (/etc/skel/.bashrc) and Fedora (/etc/bashrc) set it up; OpenBMC, Cumulus, SONiC, Junos",
    ),
    Pattern(Kind.SHELL, r"-?(?:[abdkz]|ba|da|c|tc)?sh(?:-\d[\d.]{0,7})?[$#%]", "bash(1) PS1 by default, `\\s-\\v\\$ `"),
    Pattern(Kind.SHELL, r"\(initramfs\)", "initramfs-tools: the shell of a boot that failed"),
    Pattern(
        Kind.SHELL,
        r"(?:(?:dracut|switch_root)?:)?(?:~|/[\w./+-]{0,200}) ?[#$]",
        "BusyBox ash, `\\w \\$ `; dracut emergency shell `dracut:/#`",
    ),
    Pattern(Kind.SHELL, r"[#$]", "POSIX.1-2017 XCU 2.5.3, PS1 by default"),
    Pattern(
        Kind.SHELL,
        r"\[My P[A-Z]{1,2}\] ?[#>]|[Ss]witched CDU:|[Ss]mart PDU:",
        "Raritan PX command line; Server Technology Sentry command line",
    ),
    Pattern(
        Kind.SHELL,
        r"[A-Za-z][\w.-]{0,63}(?:\([\w./-]{1,64}\))?[#>]",
        "Cisco NX-OS, Arista EOS, Dell OS10, APC (`apc>`): HOST#, HOST(config)#, HOST>",
    ),
)
_COMPILED = tuple((each.kind, re.compile(each.pattern)) for each in PATTERNS)
_KERNEL = re.compile(r"\[ *\d{1,7}\.\d{6}\][^\n]*(?:\n|$)")
"""printk's time stamp (kernel/printk/printk.c, print_time) and the message behind it, its end of line included."""
LONGEST = 300
TELLING = 4
"""Characters of a prompt that are enough to know it again at the end of other text."""


def standing_prompt(text: str, before: Prompt | None = None) -> Prompt | None:
    """The prompt at the end of what was heard (`\\n` ends a line); None where it stands at none that is known.

    One that stood there `before` is known again behind output that does not end its line.
    """
    last = _KERNEL.sub("", text).rpartition("\n")[2].strip()
    if before is not None and len(before.text) >= TELLING and last.endswith(before.text):
        return before
    if not last or len(last) > LONGEST:
        return None
    return next((Prompt(kind, last) for kind, pattern in _COMPILED if pattern.fullmatch(last)), None)


def without_echo(text: str, line: str) -> str:
    """The text without the line that was typed, if it begins with it, however wrapped; else all of it."""
    for start in (0, _first_word(text)):
        end = _end_of_echo(text, start, line)
        if end >= 0:
            head, _, rest = text[end:].partition("\n")
            if not head.strip():
                return text[:start] + rest
    return text


def _first_word(text: str) -> int:
    """Where the text begins behind kernel messages that were printed before the echo."""
    at = 0
    while (found := _KERNEL.match(text, at)) is not None and found.end() > at:
        at = found.end()
    return at


def _end_of_echo(text: str, start: int, line: str) -> int:
    """Where the echo of a line ends that begins at `start`; -1 where it is none. Blanks are not compared."""
    at = start
    for character in line:
        if character.isspace():
            continue
        while at < len(text) and text[at].isspace():
            at += 1
        if at >= len(text) or text[at] != character:
            return -1
        at += 1
    return at
