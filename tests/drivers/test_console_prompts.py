"""Prompts as real consoles print them, and text that looks like one and is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.console.prompts import PATTERNS, Kind, Prompt, standing_prompt, without_echo

SAID = {
    Kind.LOGIN: (
        "tray-01 login: ",
        "login: ",
        "Ubuntu 24.04.2 LTS tray-01 ttyAMA0\n\ntray-01 login: ",
        "evb-ast2600 login: ",
        "User Name : ",
        "Username: ",
    ),
    Kind.PASSWORD: (
        "Password: ",
        "tray-01 login: root\nPassword: ",
        "[sudo] password for bench: ",
        "Enter passphrase for /dev/nvme0n1p3: ",
        "Please enter passphrase for disk rack-key: ",
        "Give root password for maintenance\n(or press Control-D to continue): ",
    ),
    Kind.SHELL: (
        "root@tray-01:~# ",
        "bench@tray-01:/var/log$ ",
        "[root@tray-01 ~]# ",
        "(venv) bench@tray-01:~$ ",
        "cumulus@leaf-1:mgmt:~$ ",
        "admin@qfx5130> ",
        "bash-5.2# ",
        "sh-5.1$ ",
        "(initramfs) ",
        "~ # ",
        "dracut:/# ",
        ":/# ",
        "# ",
        "$ ",
        "switch# ",
        "switch(config-if-Et1/1)# ",
        "localhost>",
        "apc>",
        "[My PX]# ",
        "Switched CDU: ",
    ),
    Kind.FIRMWARE: ("Shell> ", "FS0:\\> ", "FS0:\\EFI\\BOOT> ", "HD0b:\\> "),
    Kind.BOOT_LOADER: ("grub> ", "grub rescue> ", "=> ", "U-Boot> ", "ast# "),
    Kind.CONTROLLER: ("racadm>>", "/admin1-> ", "-> ", "</>hpiLO-> "),
    Kind.KEY: (
        "Hit any key to stop autoboot:  3 ",
        "Press ESC in 4 seconds to skip startup.nsh or any other key to continue.",
        "Press [F2] to enter System Setup",
        "   The highlighted entry will be executed automatically in 5s.",
        "--More--",
        " --More-- (12%)",
        "(END)",
        ":",
        "> ",
        "quote> ",
        "Proceed? [y/n]: ",
    ),
}


@pytest.mark.parametrize(("kind", "said"), [(kind, said) for kind, all_of_it in SAID.items() for said in all_of_it])
def test_a_prompt_is_known_for_what_it_wants(kind: Kind, said: str) -> None:
    found = standing_prompt(said)
    assert found == Prompt(kind, said.rpartition("\n")[2].strip())


def test_every_pattern_has_a_source_and_a_prompt_that_shows_it() -> None:
    """A pattern that never comes first is dead, or hides behind another one."""
    import re

    lines = [said.rpartition("\n")[2].strip() for all_of_it in SAID.values() for said in all_of_it]
    first = {next(each.pattern for each in PATTERNS if re.fullmatch(each.pattern, line)) for line in lines}
    assert first == {each.pattern for each in PATTERNS}
    assert all(len(each.source) > 10 for each in PATTERNS)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "\n",
        "root@tray-01:~# \n",
        "Last login: Sun Nov 22 10:00:00 2026 from 10.0.0.1",
        "Booting Linux on physical CPU 0x0",
        "[    0.000000] Booting Linux",
        "Loading initial ramdisk ...",
        "100%",
        "Temperature: 41",
        "a" * 5000 + "#",
        "[Enter `^Ec?' for help]",
        "[SOL Session operational.  Use ~? for help]",
        "Connected to Serial Device 2. To end type: ^\\",
    ],
)
def test_what_is_no_prompt(said: str) -> None:
    assert standing_prompt(said) is None


def test_kernel_messages_are_not_where_it_stands() -> None:
    noise = "[   12.345678] usb 1-1: new device\n"
    assert standing_prompt(f"root@tray-01:~# {noise}{noise}") == Prompt(Kind.SHELL, "root@tray-01:~#")
    assert standing_prompt(f"tray-01 login: {noise.strip()}") == Prompt(Kind.LOGIN, "tray-01 login:")
    assert standing_prompt(noise) is None


def test_a_prompt_is_known_again_behind_output_that_does_not_end_its_line() -> None:
    before = Prompt(Kind.SHELL, "root@tray-01:~#")
    assert standing_prompt('{"a": 1}root@tray-01:~# ', before) == before
    assert standing_prompt('{"a": 1}root@tray-01:~# ') is None
    assert standing_prompt("done #", Prompt(Kind.SHELL, "#")) is None


def test_the_echo_is_taken_away_however_it_was_wrapped() -> None:
    assert without_echo("ls -l\nfile\n", "ls -l") == "file\n"
    assert without_echo("ls\n -l\nfile\n", "ls -l") == "file\n"
    assert without_echo("file\n", "ls -l") == "file\n"
    assert without_echo("ls -la\n", "ls -l") == "ls -la\n"
    assert without_echo("\nfile\n", "") == "file\n"
    assert without_echo("[   1.000000] noise\nls\nfile\n", "ls") == "[   1.000000] noise\nfile\n"


@given(st.text(max_size=400), st.text(max_size=40))
def test_any_text_has_an_answer(text: str, line: str) -> None:
    found = standing_prompt(text)
    assert found is None or text.rstrip().endswith(found.text.rstrip()) or "[" in text
    assert len(without_echo(text, line)) <= len(text)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60), st.text(max_size=100))
def test_an_echo_never_takes_the_output_with_it(line: str, output: str) -> None:
    assert without_echo(f"{line}\n{output}", line) == output
