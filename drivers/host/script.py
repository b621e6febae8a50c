"""The job script: POSIX sh that keeps a load on a host without the station, and kills it when the station is gone.

A job is a directory, put aside as NAME.1, NAME.2 … when its name is started anew: `spec boot lease started out rc
stopped ended`. Its processes carry RACKPROOF_JOB in their environment (proc(5), /proc/PID/environ; a zombie has none),
so that they are found whatever they do with process groups and sessions. `rc` is written aside and moved into place.
The lease is the age of the file `lease` by the host's clock. Verified against dash; no bashism, no GNU option beyond
`stat -c`, with `date -r` where that is missing.
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
seconds() { command -p date +%s; }
say() { printf '%s=%s\n' "$1" "$2"; }
content() { if [ -e "$1" ]; then head -n 1 "$1"; fi; }

# Process ids that belong to the jobs below the directory $1.
members() {
    grep -lsF "RACKPROOF_JOB=$1/" /proc/[0-9]*/environ 2>/dev/null | while IFS=/ read -r _ _ pid _; do echo "$pid"; done
}

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

# Seconds since the lease of job $1 was renewed, always positive; a lease that cannot be read is as old as can be.
lease_age() {
    now=$(seconds)
    then=$(command -p stat -c %Y "$1/lease" 2>/dev/null || command -p date -r "$1/lease" +%s 2>/dev/null || echo 0)
    age=$((now - then))
    echo "${age#-}"
}

is_running() { [ ! -e "$1/rc" ] && [ ! -e "$1/stopped" ] && [ -n "$(members "$1")" ]; }

# What is known of job $1.
facts() {
    job=$root/$1
    say name "$1"
    if [ ! -d "$job" ]; then say known no; return; fi
    say known yes
    [ "$(content "$job/boot")" = "$(boot)" ] && say boot same || say boot changed
    [ -e "$job/stopped" ] && say stopped yes || say stopped no
    say ended "$(content "$job/ended")"
    [ -e "$job/started" ] && say started yes || say started no
    say alive "$(members "$job" | wc -l | tr -d ' ')"
    # Last, since a job writes its result before it goes: none alive and no result is then the truth.
    say rc "$(content "$job/rc")"
    say spec "$(content "$job/spec")"
}

known() {
    for job in "$root"/*/; do
        [ -d "$job" ] && basename "$job"
    done
}

case $verb in
start) # NAME LEASE LIMIT DIRECTORY SPEC COMMAND...
    name=$1
    job=$root/$name
    mkdir -p "$root" || exit 73
    # One start at a time; who waits longer than a start can take goes on all the same.
    tries=0
    while ! mkdir "$root/.starting" 2>/dev/null && [ "$tries" -lt 80 ]; do
        tries=$((tries + 1))
        nap 0.1
    done
    # A record of the past is put aside: its result must never be taken for that of a new load.
    if [ -d "$job" ] && ! is_running "$job"; then
        finish "$job"
        number=1
        while [ -e "$job.$number" ]; do number=$((number + 1)); done
        mv "$job" "$job.$number"
    fi
    if mkdir "$job" 2>/dev/null; then
        printf '%s\n' "$5" >"$job/spec"
        boot >"$job/boot"
        : >"$job/out"
        : >"$job/lease"
        RACKPROOF_JOB="$job/" setsid /bin/sh "$0" "$root" run "$@" </dev/null >"$job/wrapper" 2>&1 &
    fi
    tries=0
    while [ ! -e "$job/started" ] && [ "$tries" -lt 50 ]; do
        tries=$((tries + 1))
        nap 0.1
    done
    rmdir "$root/.starting" 2>/dev/null
    facts "$name"
    ;;
run) # as start; this is the process that stays
    name=$1 lease=$2 limit=$3 directory=$4
    shift 5
    job=$root/$name
    seconds >"$job/started"
    [ -e "$job/stopped" ] && exit 0
    /bin/sh "$0" "$root" watch "$name" "$lease" "$limit" $$ </dev/null >/dev/null 2>&1 &
    watch=$!
    CUDA_DEVICE_ORDER=PCI_BUS_ID
    export CUDA_DEVICE_ORDER
    (cd "$directory" && exec timeout "$limit" "$@") >"$job/out" 2>&1 </dev/null
    code=$?
    kill "$watch" 2>/dev/null
    (unset RACKPROOF_JOB; exec /bin/sh "$0" "$root" end "$name" $$)
    printf '%s\n' "$code" >"$job/rc.part" && mv "$job/rc.part" "$job/rc"
    ;;
watch) # NAME LEASE LIMIT MAIN: kills the job when its lease or its time is over, or its main process is gone
    name=$1 lease=$2 main=$4
    job=$root/$name
    # The limit is kept by timeout; this is for what timeout cannot end.
    last=$(($(seconds) + ${3%%.*} + 60))
    while nap 1; do
        why=
        if [ "$(lease_age "$job")" -gt "$lease" ]; then why=lease; fi
        if [ "$(seconds)" -gt "$last" ]; then why=limit; fi
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
    ;;
show) # NAME OCTETS: what is known, then the end of the output
    facts "$1"
    echo "output="
    [ -e "$root/$1/out" ] && tail -c "$2" "$root/$1/out"
    exit 0
    ;;
read) # NAME OFFSET OCTETS: a piece of the output, in a form that no terminal or character set can change
    [ -e "$root/$1/out" ] && tail -c "+$(($2 + 1))" "$root/$1/out" | head -c "$3" | base64
    exit 0
    ;;
stop) # NAME
    job=$root/$1
    if [ -d "$job" ]; then
        [ -e "$job/rc" ] || : >"$job/stopped"
        finish "$job"
    fi
    facts "$1"
    ;;
stop_all)
    [ -d "$root" ] || exit 0
    for name in $(known); do
        [ -e "$root/$name/rc" ] || : >"$root/$name/stopped"
    done
    finish "$root"
    for name in $(known); do facts "$name"; done
    ;;
clean) # Remove all records; what is left is said. Nothing is removed while something of it runs.
    [ -d "$root" ] || exit 0
    finish "$root" || { echo "processes of ours"; exit 0; }
    base=$(dirname "$root")
    rm -rf "$base"
    find "$base" 2>/dev/null
    exit 0
    ;;
renew)
    [ -d "$root" ] || exit 0
    for name in $(known); do
        [ -e "$root/$name/rc" ] || touch "$root/$name/lease"
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
