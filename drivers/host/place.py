"""Where the job script is on a host: only a start puts it there, and what looks or stops finds that nothing is there.

A host is asked by sh that is sent with every question and leaves nothing behind. Records and script lie in
`~/.rackproof`, or in `/var/lib/rackproof` where there is no home that can be written.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from drivers.host.script import NAME, SCRIPT

ABSENT = 65
"""Exit status of a question that needs the script where it is not."""
_BASES = '${HOME:+"$HOME/.rackproof"} /var/lib/rackproof'
_ASK = r"""
script=$1 at= holder= some= name=
shift
case $1 in start | show | read | stop) name=$2 ;; esac
for base in BASES; do
    if [ -z "$at" ] && [ -f "$base/$script" ]; then at=$base/$script; fi
    if [ -n "$name" ]; then
        if [ -z "$holder" ] && [ -d "$base/jobs/$name" ]; then holder=$base; fi
    elif [ -n "$some" ] || [ -d "$base/jobs" ] || grep -qsF "RACKPROOF_JOB=$base/" /proc/[0-9]*/environ; then
        some=yes # a load goes on for a while even where somebody has removed its record
    fi
done
case $1 in
start)
    [ -n "$at" ] || exit ABSENT
    [ -n "$holder" ] || holder=${at%/*}
    ;;
show | read | stop)
    [ -n "$holder" ] || { printf 'name=%s\nknown=no\n' "$name"; exit 0; }
    ;;
clean)
    remove() { for base in BASES; do rm -rf "$base/jobs" "$base"/job-*.sh "$base"/part.*; rmdir "$base"; done; }
    [ -n "$some" ] || { remove 2>/dev/null; exit 0; }
    ;;
*)
    [ -n "$some" ] || exit 0
    ;;
esac
[ -n "$at" ] || exit ABSENT
if [ -n "$holder" ]; then exec /bin/sh "$at" "$holder/jobs" "$@"; fi
said=$(for base in BASES; do /bin/sh "$at" "$base/jobs" "$@" || exit; done) || exit
if [ -n "$said" ]; then printf '%s\n' "$said"; fi
if [ "$1" != clean ] || [ -n "$said" ]; then exit 0; fi
remove 2>/dev/null
for base in BASES; do if [ -e "$base/jobs" ]; then sleep 0.2; remove 2>/dev/null; fi; done # a renewal was under way
for base in BASES; do find "$base/jobs" "$base"/job-*.sh "$base"/part.* 2>/dev/null; done
exit 0
"""
_INSTALL = """
umask 077
for base in BASES; do
    if mkdir -p "$base/jobs" 2>/dev/null && [ -w "$base/jobs" ]; then
        cat >"$base/part.$$" <<'RACKPROOF' && mv "$base/part.$$" "$base/NAME" && echo "$base" && exit 0
SCRIPT
RACKPROOF
    fi
done
echo "neither the home directory nor /var/lib can be written" >&2
exit 73
"""


def question(words: Sequence[str]) -> str:
    """The command that asks the script a verb with its arguments; its exit status is ABSENT where that needs it put."""
    text = _ASK.replace("BASES", _BASES).replace("ABSENT", str(ABSENT)).strip()
    return shlex.join(("/bin/sh", "-c", text, "rackproof", NAME, *words))


def installation() -> str:
    """The command that puts the script on the host and says where."""
    text = _INSTALL.replace("BASES", _BASES).replace("NAME", NAME).replace("SCRIPT", SCRIPT.strip())
    return shlex.join(("/bin/sh", "-c", text))
