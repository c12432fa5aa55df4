#!/bin/sh
# Stops the daemons of a host and, if told, its guests; as root.   sh stop.sh FOLDER GUESTS(yes|no)
set -eu
run=$1/run guests=$2

# A process is ours only if it is what its pid file says: pids are used again.
ours() { # PIDFILE TEXT-IN-COMMAND-LINE
    pid=$(cat "$1" 2>/dev/null) && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF -- "$2"
}

end() { # PIDFILE TEXT SIGNAL
    ours "$1" "$2" || return 0
    kill "-$3" "$pid" 2>/dev/null || return 0
    tries=0
    while ours "$1" "$2"; do
        tries=$((tries + 1))
        [ $tries -ne 100 ] || kill -KILL "$pid" 2>/dev/null || true
        [ $tries -lt 200 ] || return 1
        sleep 0.05
    done
}

# Guests first, so that libvirtd sees them go and keeps nothing of them in its records.
if [ "$guests" = yes ]; then
    for file in "$run"/qemu/*.pid; do
        [ ! -e "$file" ] || { name=${file##*/} && end "$file" "guest=${name%.pid}" TERM; }
    done
fi
end "$run/libvirtd.pid" libvirtd TERM
end "$run/virtlogd.pid" virtlogd TERM
