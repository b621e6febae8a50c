"""The job script: POSIX sh that keeps a load on a host without the station, and kills it when the station is gone.

A job is a directory, put aside as NAME.1, NAME.2 … when its name is started anew: `boot key spec settings files lease
started out wrapper unit rc stopped ended`. That directory is the record, whoever runs the load:

- a transient unit of systemd, where it is running and ours to ask: the system's for root, the user's own where he
  lingers (without, it ends with his login: loginctl(1), enable-linger). Its name comes of the load's, so that a second
  one is refused; KillMode=control-group (systemd.kill(5)) leaves nothing of it, and its own RuntimeMaxSec
  (systemd.service(5)) comes half a minute after the limit that is kept here and recorded. A unit that has ended is
  unloaded (--collect, systemd-run(1)), which is why it cannot be the record;
- else a session of its own (setsid), which outlives the login by logind's default (logind.conf(5), KillUserProcesses).

In both its processes carry RACKPROOF_JOB in their environment (proc(5), /proc/PID/environ; a zombie has none), so that
they are found whatever they do with process groups and sessions; one that clears its environment is seen by its unit
only. `rc` is written aside, synced and moved into place. Lease and limit are kept by the host's uptime, which no clock
that is set can move. Verified against dash; no bashism; beyond POSIX `timeout -k`, `tail -c +N`, `head -c`, `stat -c`,
`base64` and `setsid`, which coreutils, util-linux and busybox have.
"""

from __future__ import annotations

import hashlib

SCRIPT = r"""#!/bin/sh
# Rackproof: detached jobs. Usage: job.sh ROOT VERB [ARGUMENT...]
set -u
PATH="${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin"
export PATH
umask 077
root=$1 verb=$2
shift 2

boot() { cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo unknown; }
# The lease is the station's wall time, whatever clock the tools on this host's PATH keep.
nap() { command -p sleep "$1" 2>/dev/null || command -p sleep 1; }
uptime() { read -r up _ </proc/uptime && echo "${up%%.*}"; }
say() { printf '%s=%s\n' "$1" "$2"; }
# A host with a hundred jobs is asked for them every second: what is needed then starts as few processes as can be.
first() { line= && if [ -e "$1" ]; then IFS= read -r line <"$1" || :; fi; } # its first line, in $line
content() { if [ -e "$1" ]; then first "$1"; printf '%s\n' "$line"; fi; }
known() { for each in "$root"/*/; do each=${each%/}; [ -d "$each" ] && echo "${each##*/}"; done; }

# Process ids that belong to the jobs below the directory $1.
members() {
    for each in $(grep -lsF "RACKPROOF_JOB=$1/" /proc/[0-9]*/environ 2>/dev/null); do
        each=${each%/environ}
        echo "${each##*/}"
    done
}

# Whether anything of job $1 runs. Its first process answers for all while it has no result: a host has thousands.
lives() {
    [ "${crowd-some}" ] || { in_unit "$1"; return; }
    first "$1/started"
    if [ -n "$line" ] && [ ! -e "$1/rc" ] && grep -qsF "RACKPROOF_JOB=$1/" "/proc/$line/environ"; then return 0; fi
    [ -n "$(members "$1")" ] || in_unit "$1"
}

# The service manager that takes a load here, as an option; 1 if there is none.
manager() {
    command -v systemd-run >/dev/null 2>&1 || return 1
    scope=--system
    if [ "$(id -u)" != 0 ]; then
        [ -e "/var/lib/systemd/linger/$(id -un)" ] || return 1
        scope=--user
    fi
    case $(ask is-system-running) in
    running | degraded | starting | initializing | maintenance) echo "$scope" ;;
    *) return 1 ;;
    esac
}
# Where a user's own service manager listens; a login without PAM is not told.
bus() { : "${XDG_RUNTIME_DIR:=/run/user/$(id -u)}" && export XDG_RUNTIME_DIR; }
ask() { bus && command -p timeout 8 systemctl "$scope" "$@" 2>/dev/null; }
unit() { echo "rackproof-load-${1##*/}.service"; }
# Whether the unit of job $1 still holds anything.
in_unit() {
    [ -e "$1/unit" ] || return 1
    scope=$(content "$1/unit")
    case $(ask is-active "$(unit "$1")") in active | activating | deactivating | reloading) ;; *) return 1 ;; esac
}
leave_unit() { if [ -e "$1/unit" ]; then scope=$(content "$1/unit"); ask stop "$(unit "$1")"; fi; }

# Kill all members of $1 but those listed behind it, and wait until they are gone; 1 if some are left.
# To be called only by a shell that is no member itself: what it forks would be one, too.
finish() {
    where=$1
    shift
    round=0
    while [ "$round" -lt 50 ]; do
        left=
        for pid in $(members "$where"); do
            case " $* " in *" $pid "*) ;; *) left="$left $pid" ;; esac
        done
        [ -z "$left" ] && return 0
        if [ "$round" -eq 0 ]; then kill -s TERM $left 2>/dev/null; fi
        if [ "$round" -ge 10 ]; then kill -s KILL $left 2>/dev/null; fi
        round=$((round + 1))
        nap 0.1
    done
    return 1
}
# Remove the files that the tool of job $1 may have left, and say which stay.
tidy() {
    [ -e "$1/files" ] || return 0
    while IFS= read -r file; do
        rm -f -- "$file" 2>/dev/null
        [ -e "$file" ] && echo "$file"
    done <"$1/files"
}

# Mark all jobs stopped, and kill them; 1 if something is left.
finish_all() {
    settle
    for name in $(known); do
        [ -e "$root/$name/rc" ] || [ -e "$root/$name/stopped" ] || boot >"$root/$name/stopped"
    done
    # By their pattern, since a unit may have lost its record.
    if scope=$(manager); then ask stop 'rackproof-load-*.service'; fi
    finish "$root"
    remaining=$?
    return "$remaining"
}

renew() { uptime >"$1/lease.$$" && mv "$1/lease.$$" "$1/lease"; }
is_running() { [ ! -e "$1/rc" ] && [ ! -e "$1/stopped" ] && lives "$1"; }
# Whether job $1 is what a start with key $2 is about: it runs, that very start has made it, or one is enough for ever.
is_meant() {
    is_running "$1" && return 0
    [ -e "$1/started" ] && { [ "$2" = once ] || [ "$2" = "$(content "$1/key")" ]; }
}

# One start at a time. Who is gone, or takes twenty seconds for it, has been killed at it.
lock() {
    tries=0
    until mkdir "$root/.starting" 2>/dev/null; do
        tries=$((tries + 1))
        starter=$(content "$root/.starting/pid" 2>/dev/null)
        if [ "$tries" -eq 200 ] || { [ -n "$starter" ] && ! [ -d "/proc/$starter" ]; }; then unlock; fi
        if [ "$tries" -gt 220 ]; then return; fi
        nap 0.1
    done
    echo $$ >"$root/.starting/pid"
}
# A start that is under way may not have left anything to be seen yet; who hangs at it is not waited for.
settle() {
    tries=0
    while [ -e "$root/.starting" ] && [ "$tries" -lt 20 ]; do
        starter=$(content "$root/.starting/pid" 2>/dev/null)
        if [ -n "$starter" ] && ! [ -d "/proc/$starter" ]; then return; fi
        tries=$((tries + 1))
        nap 0.1
    done
}
unlock() { command -p rm -rf "$root/.starting"; }
await_start() {
    tries=0
    while [ ! -e "$1/started" ] && [ -e "$root/.starting" ] && [ "$tries" -lt 50 ]; do
        tries=$((tries + 1))
        nap 0.1
    done
}

launch() { # JOB LIMIT
    if scope=$(manager); then
        echo "$scope" >"$1/unit"
        bus
        ask stop "$(unit "$1")" # one that has lost its record; else there is none
        command -p timeout 10 systemd-run "$scope" --quiet --collect --unit="$(unit "$1")" --property=Type=exec \
            --property=RuntimeMaxSec=$(($2 + 30)) --property=TimeoutStopSec=2 --property=KillMode=control-group \
            --property=OOMPolicy=continue --property=LimitMEMLOCK=infinity --setenv=PATH="$PATH" \
            --setenv=HOME="${HOME:-/}" --setenv=RACKPROOF_JOB="$1/" /bin/sh "$0" "$root" run "${1##*/}" \
            </dev/null >"$1/wrapper" 2>&1 && return
        rm -f "$1/unit"
    fi
    ulimit -l unlimited 2>/dev/null
    RACKPROOF_JOB="$1/" setsid /bin/sh "$0" "$root" run "${1##*/}" </dev/null >>"$1/wrapper" 2>&1 &
}

# What is known of job $1.
facts() {
    job=$root/$1
    say name "$1"
    if [ ! -d "$job" ]; then say known no; return; fi
    say known yes
    first "$job/boot"
    then=$line now=$(boot)
    # What is said before it has begun would look like a load that was lost.
    if [ -z "$then" ] || [ "$then" = "$now" ]; then await_start "$job"; first "$job/boot"; then=$line; fi
    # What ended by itself did so in the boot in which it was started, and what was stopped in that of its stop.
    if [ -s "$job/stopped" ]; then first "$job/stopped"; now=$line; fi
    if [ -e "$job/rc" ] || [ "$then" = "$now" ]; then say boot same
    elif [ -n "$then" ] && [ -n "$now" ]; then say boot changed
    else say boot unknown; fi
    [ -e "$job/stopped" ] && say stopped yes || say stopped no
    first "$job/ended"; say ended "$line"
    [ -e "$job/started" ] && say started yes || say started no
    lives "$job" && say alive yes || say alive no
    # Last, since a job writes its result before it goes: none alive and no result is then the truth.
    first "$job/rc"; say rc "$line"
    first "$job/spec"; say spec "$line"
}

case $verb in
start) # NAME KEY LIMIT SPEC SETTINGS FILES
    job=$root/$1
    mkdir -p "$root" || exit 73
    lock
    # A record of the past is put aside: its result must never be taken for that of a new load.
    if [ -d "$job" ] && ! is_meant "$job" "$2"; then
        leave_unit "$job"
        finish "$job"
        tidy "$job" >&2
        number=1
        while [ -e "$job.$number" ]; do number=$((number + 1)); done
        mv "$job" "$job.$number"
    fi
    if mkdir "$job" 2>/dev/null; then
        boot >"$job/boot"
        printf '%s\n' "$2" >"$job/key"
        printf '%s\n' "$4" >"$job/spec"
        printf '%s\n' "$5" >"$job/settings"
        printf '%s' "$6" >"$job/files"
        : >"$job/out"
        renew "$job"
        launch "$job" "$3"
    fi
    await_start "$job"
    unlock
    facts "$1"
    ;;
run) # NAME: this is the process that stays
    name=$1 job=$root/$1
    exec >>"$job/wrapper" 2>&1 </dev/null
    # Only the first: a service manager that was given up may still come.
    (set -C && echo $$ >"$job/started") 2>/dev/null || exit 0
    [ -e "$job/stopped" ] && exit 0
    /bin/sh "$0" "$root" watch "$name" $$ </dev/null >/dev/null 2>&1 &
    watch=$!
    CUDA_DEVICE_ORDER=PCI_BUS_ID
    export CUDA_DEVICE_ORDER
    . "$job/settings" # lease, limit, directory, and the command
    (cd "$directory" && exec timeout -k 5 "$limit" "$@") >"$job/out" 2>&1 </dev/null
    code=$?
    kill "$watch" 2>/dev/null
    (unset RACKPROOF_JOB; exec /bin/sh "$0" "$root" end "$name" $$)
    printf '%s\n' "$code" >"$job/rc.part"
    sync "$job/out" "$job/rc.part" 2>/dev/null
    mv "$job/rc.part" "$job/rc"
    ;;
watch) # NAME MAIN: kills the job when its lease or its time is over, or its main process is gone
    name=$1 main=$2 job=$root/$1
    . "$job/settings"
    # The limit is kept by timeout; this is for what timeout cannot end.
    last=$(($(uptime) + limit + 15))
    while nap 1; do
        # A hundred jobs of a rack look every second: nothing is started for it.
        why= renewed=
        read -r now _ </proc/uptime
        now=${now%%.*}
        # A lease that cannot be read is as old as can be: somebody has removed the record.
        { read -r renewed <"$job/lease"; } 2>/dev/null
        if [ $((now - ${renewed:-0})) -gt "$lease" ]; then why=lease; fi
        if [ "$now" -gt "$last" ]; then why=limit; fi
        kill -0 "$main" 2>/dev/null || why=orphan
        [ -z "$why" ] && continue
        echo "$why" >"$job/ended"
        (unset RACKPROOF_JOB; exec /bin/sh "$0" "$root" end "$name" "$main" $$)
        exit 0
    done
    ;;
end) # NAME PROCESS...: kill all of a job but these
    job=$root/$1
    shift
    finish "$job" "$@"
    tidy "$job" >&2
    ;;
show) # NAME OCTETS: what is known, then the end of the output
    facts "$1"
    echo "output="
    [ -e "$root/$1/out" ] && tail -c "$2" "$root/$1/out"
    exit 0
    ;;
read) # NAME OFFSET OCTETS: a piece of the output, in a form that no terminal or character set can change
    out=$root/$1/out
    say name "$1"
    [ -d "$root/$1" ] && say known yes || say known no
    say size "$(command -p stat -c %s "$out" 2>/dev/null)"
    echo "output="
    [ -e "$out" ] && tail -c "+$(($2 + 1))" "$out" | head -c "$3" | base64
    exit 0
    ;;
stop) # NAME
    job=$root/$1
    if [ -d "$job" ]; then
        [ -e "$job/rc" ] || [ -e "$job/stopped" ] || boot >"$job/stopped"
        leave_unit "$job"
        finish "$job"
        tidy "$job" >&2
    fi
    facts "$1"
    ;;
list)
    crowd=$(members "$root") # none of all of them is none of each
    for name in $(known); do facts "$name"; done
    ;;
stop_all)
    finish_all
    crowd=$(members "$root")
    for name in $(known); do
        tidy "$root/$name" >&2
        facts "$name"
    done
    ;;
clean) # as stop_all; says what is left. Whoever asked removes the records, if nothing is.
    finish_all
    for name in $(known); do tidy "$root/$name"; done
    for pid in $(members "$root"); do echo "process $pid: $(tr '\0' ' ' <"/proc/$pid/cmdline")"; done
    ;;
renew)
    for name in $(known); do
        # One that was stopped needs no lease, and whoever removes its record must not find it come back.
        [ -e "$root/$name/rc" ] || [ -e "$root/$name/stopped" ] || renew "$root/$name"
    done
    ;;
*)
    echo "rackproof: no verb $verb" >&2
    exit 64
    ;;
esac
"""

NAME = f"job-{hashlib.sha256(SCRIPT.encode()).hexdigest()[:12]}.sh"
"""File name on the host: a new version never replaces a script that a running job is made of."""
