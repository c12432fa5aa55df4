# Runs jobs in a guest, one after the other, for the service at the other end of an SSH channel.
#
# Sent over the channel's own standard input when a connection is made, so nothing is installed in the
# guest. A new process costs much under emulation (4 ms a fork, 30 to 45 ms an exec), so that a job in the
# usual case costs two forks and one exec: the watchdog, and the command's own bash.
#
# Answers on standard output, one frame a request. Requests (see launcher.py):
#   run ID TIMEOUT_S LIMIT HEAD TAIL AGE_S STDIN_BYTES LENGTH...  then command, cwd, user, stdin, env ... by length
#   end ID VERDICT        kill all of a job (VERDICT is cancelled or timeout)
#   discard ID            remove what is kept of a job that has ended, but for the marks that it was
#
# What is kept of a job: jobs/ID.owner.N (who runs it), .stdin, .stdout, .stderr, .started, .group, .ended;
# files rather than a folder of its own, since making one would be a process more.
# Two of them are made with O_EXCL and so decide races: owner.N, who starts the job; ended, how it ended.
# A job without .started was never started: its owner died before, and the next one takes over.
#
# Where there are cgroups (v2), a job runs in one, so that nothing of it escapes. A launcher uses its cgroup
# again for the next job if that one ended by itself and left nothing running: a job that ended by itself is
# never killed, so that no late request can hit the wrong one. Any other cgroup is not used again.
#
# All of it lies in memory, on a file system of our own, so that a command runs whatever the disk is like: full,
# out of inodes, read-only. It has a bound, and beneath it a reserve, given up for the next job once it is full:
# whoever filled it can so remove what he filled it with. It ends with the guest's boot. A job of which nothing
# is known, and that was asked for before the guest was booted, may have run: it is lost, never started.

place=/run/litevps
jobs=$place/jobs
jobs_before=/var/lib/litevps/jobs  # Where a service of before kept jobs, some of which may still run.
place_options=mode=700,size=25%,nr_inodes=8192,nosuid,nodev,noexec
probe_bytes=32768
reserve_bytes=131072
reserve_files=48
cgroup_root=/sys/fs/cgroup
output_bytes_max=$1      # A stream that grows past it ends the job as `ulimit -f` would ...
memory_part=16           # ... or past this part of the guest's memory, of which four fit into our place.
small_bytes=65536        # Up to this size a stream is brought back without starting a process.
small_pieces=256         # ... and up to so many NULs, since each is a read of its own.
kept_s=86400             # What is kept of ended jobs that nobody discarded is removed after this time.
marks_kept_s=600         # That a discarded one was started and has ended stays known for this time,
marks_kept_full_s=60     # ... or for this where there is no more room.
sweep_s=600
tidy_s=2
discarded_max=100

set -m                   # Each job gets a process group of its own.
trap : PIPE              # The connection may go; the job goes on.
exec 2> /dev/null
had_locale=${LC_ALL+yes} locale=$LC_ALL
unset LC_ALL SSH_CLIENT SSH_CONNECTION SSH_TTY
LC_ALL=C                 # Lengths are bytes.

nap() {  # SECONDS
  read -r -t "$1" -u "$never"
  (( $? > 128 )) || sleep 1
}

# --- room -------------------------------------------------------------------------------------------

have_place() {  # mounted once a boot, by the guest's own start-up or by the first launcher
  local lock point mounted=
  [[ -p $jobs/.never ]] && return
  mkdir -p -m 755 "$place"
  exec {lock}> "$place.lock" && flock "$lock"
  while read -r _ _ _ _ point _; do [[ $point != "$place" ]] || mounted=yes; done < /proc/self/mountinfo
  [[ -n $mounted ]] || mount -t tmpfs -o "$place_options" litevps "$place"
  [[ -d $jobs ]] || mkdir -m 700 "$jobs"
  # A pipe that is never readable: to wait on it for a time costs no process.
  [[ -p $jobs/.never ]] || mkfifo "$jobs/.never"
  [[ -e $jobs/.full ]] || echo 0 > "$jobs/.full"
  exec {lock}>&-
}

is_full() {  # status 0 if there is no room for what a small job needs
  local status
  printf '%*s' "$probe_bytes" '' >| "$jobs/.probe"
  status=$?
  : >| "$jobs/.probe"
  (( status != 0 ))
}

note_full() {  # before anything is removed: whoever could not write meanwhile must learn it
  is_full || return
  stamp
  printf '%s\n' "${stamp#* }" 1<> "$jobs/.full"  # In place, which needs no room.
}

was_full() {  # status 0 if at some time since the job was started there was no room for what it wrote
  local from_cs full_cs
  is_full && return
  read -r _ from_cs < "$job.started" && read -r full_cs < "$jobs/.full" && (( 10#$full_cs >= 10#$from_cs ))
}

have_reserve() {
  local number
  [[ -s $jobs/.reserve ]] || printf '%*s' "$reserve_bytes" '' >| "$jobs/.reserve" || : >| "$jobs/.reserve"
  for (( number = 1; number <= reserve_files; number++ )); do [[ -e $jobs/.spare.$number ]] || : > "$jobs/.spare.$number"; done
}

give_up_reserve() {
  note_full
  : >| "$jobs/.reserve"
  rm -f "$jobs"/.spare.*
  sweep "$marks_kept_full_s"
  return 0
}

# --- deciding who and how ---------------------------------------------------------------------------

first_to_write() {  # FILE TEXT: make the file if nobody has before; where all is full it may stay empty
  made_with "$@" && return
  [[ ! -e $1 ]] && give_up_reserve && made_with "$@"
}

made_with() {  # FILE TEXT
  local status
  set -C
  { printf '%s\n' "$2" || { give_up_reserve && printf '%s\n' "$2"; } || :; } > "$1"
  status=$?
  set +C
  return "$status"
}

start_time_of() {  # PID: set `start_time`, which with the pid names a process within one boot
  local stat
  start_time=
  read -r stat < "/proc/$1/stat" || return 1
  stat=(${stat##*) })
  start_time=${stat[19]}
  [[ ${stat[0]} != Z ]]
}

newest_owner() {  # set `owner` to the number of the last owner, 0 if none
  owner=0
  while [[ -e $job.owner.$((owner + 1)) ]]; do owner=$((owner + 1)); done
}

read_owner() {  # set `its_boot`, `its_pid`, `its_start`, `its_cgroup`
  local tries=0
  # The file is there a moment before its line is.
  until read -r its_boot its_pid its_start its_cgroup < "$job.owner.$owner" || (( ++tries > 100 )); do nap 0.01; done
}

owner_lives() {
  read_owner
  [[ $its_boot == "$boot" ]] && start_time_of "$its_pid" && [[ $start_time == "$its_start" ]]
}

claim() {  # CGROUP: status 0 if this launcher is to start the job, 1 if it was started, 2 if there is no room
  local tries=0
  while (( ++tries < 5 )); do
    newest_owner
    [[ -s $job.started || -e $job.ended ]] && return 1
    (( owner == 0 )) || ! owner_lives || return 1
    if first_to_write "$job.owner.$((owner + 1))" "$boot $BASHPID $own_start $1"; then
      [[ -s $job.owner.$((owner + 1)) ]] && return 0
    fi
  done
  return 2
}

have_cgroup() {  # set `cgroup` to an empty one of this launcher's own, "" where there are none
  [[ -n $cgroups ]] || return
  [[ -n $cgroup && -d $cgroup ]] && return
  cgroup=$cgroups/$BASHPID-$own_start-$((++cgroups_made))
  mkdir "$cgroup" || cgroup=
}

free_cgroup() {  # VERDICT: keep the cgroup for the next job, or leave it to `sweep`
  [[ ($1 == exit || $1 == crowded) && -n $cgroup ]] && is_empty "$cgroup" || cgroup=
}

is_empty() {  # CGROUP
  local word value
  while read -r word value; do
    [[ $word == populated && $value == 0 ]] && return 0
  done < "$1/cgroup.events"
  return 1
}

stamp() {  # set `stamp` to wall clock (microseconds) and uptime (hundredths of a second)
  local uptime
  read -r uptime _ < /proc/uptime
  stamp="${EPOCHREALTIME/./} ${uptime/./}"
}

elapsed() {  # set `elapsed_ms` since the job was started
  local from_us from_cs coarse_ms
  elapsed_ms=0
  read -r from_us from_cs < "$job.started" || return
  stamp
  elapsed_ms=$(( (${stamp% *} - from_us) / 1000 ))
  # The wall clock is the finer one, unless it was set meanwhile.
  coarse_ms=$(( (10#${stamp#* } - 10#$from_cs) * 10 ))
  (( elapsed_ms - coarse_ms < 1000 && coarse_ms - elapsed_ms < 1000 )) || elapsed_ms=$coarse_ms
  (( elapsed_ms >= 0 )) || elapsed_ms=0
}

decide() {  # VERDICT STATUS: the first one counts
  elapsed
  first_to_write "$job.ended" "$1 $2 $elapsed_ms $EPOCHSECONDS"
}

# --- ending a job -----------------------------------------------------------------------------------

kill_all() {  # kill all of a job that is decided to end; status 0 once nothing of it runs
  local tries=0 its_boot its_pid its_start its_cgroup
  newest_owner
  read_owner
  # After a restart of the guest nothing of it runs, and its numbers belong to others.
  [[ $its_boot == "$boot" ]] || return 0
  while (( ++tries < 3000 )); do
    if [[ -n $its_cgroup ]]; then kill_cgroup && return 0; else kill_group && return 0; fi
    nap 0.01
  done
  return 1
}

kill_cgroup() {
  local pid
  [[ -d $its_cgroup ]] || return 0
  ! is_empty "$its_cgroup" || return 0
  if [[ -e $its_cgroup/cgroup.kill ]]; then
    echo 1 > "$its_cgroup/cgroup.kill"
  else
    while read -r pid; do kill -KILL "$pid"; done < "$its_cgroup/cgroup.procs"
  fi
  return 1
}

kill_group() {  # without cgroups: the process group, and whoever still carries the job's mark
  local group= stat line pid found=1
  read -r group < "$job.group"
  for pid in /proc/[0-9]*; do
    read -r stat < "$pid/stat" || continue
    stat=(${stat##*) })
    [[ ${stat[0]} == [ZX] ]] && continue
    pid=${pid#/proc/}
    if [[ -n $group && ${stat[2]} == "$group" ]]; then
      kill -KILL "$pid" && found=0
      continue
    fi
    while IFS= read -r -d '' line; do
      [[ $line == "LITEVPS_JOB_ID=$id" ]] && kill -KILL "$pid" && found=0 && break
    done < "/proc/$pid/environ"
  done
  (( found ))
}

# --- running a job ----------------------------------------------------------------------------------

watchdog() {  # fires although the service, the connection or the launcher are gone
  local deadline left uptime key position span pause=10
  read -r uptime _ < /proc/uptime
  deadline=$(( 10#${uptime/./} + timeout_s * 100 ))
  while :; do
    read -r uptime _ < /proc/uptime
    left=$(( deadline - 10#${uptime/./} ))
    (( left > 0 )) || break
    (( left < pause )) || left=$pause
    (( (pause *= 2) <= 50 )) || pause=50
    printf -v span '0.%02d' "$left"
    nap "$span"
    # bash may miss that a child has ended while it begins to wait for it, and then waits for the next one to
    # end (seen with 5.2): this process is the next one.
    start_time_of "$command_pid" || return
    for stream in "$out" "$err"; do
      while read -r key position; do
        [[ $key == pos: ]] && (( position > output_bytes_max )) && decide output 153 && kill_all && return
      done < "/proc/self/fdinfo/$stream"
    done
  done
  decide timeout 0 && kill_all
}

command_process() {  # becomes the command
  local name home uid gid shell setpriv
  [[ -z $cgroup ]] || echo 0 > "$cgroup/cgroup.procs"
  echo "$BASHPID" > "$job.group"
  # Whoever decided before this found nothing to kill.
  [[ ! -e $job.ended ]] || exit 1
  export LITEVPS_JOB_ID=$id
  hash env setpriv  # Found now, before the job's own PATH is set.
  set -- "$BASH" -c "$command" bash
  # The job's variables go by execve past this bash, which would take some of them for its own.
  (( ${#environment[@]} == 0 )) || set -- "${BASH_CMDS[env]}" "${environment[@]}" "LITEVPS_JOB_ID=$id" "$@"
  if [[ -n $user && $user != root ]]; then
    uid=
    while IFS=: read -r name _ uid gid _ home shell; do [[ $name == "$user" ]] && break; done < /etc/passwd
    if [[ $name != "$user" ]]; then
      printf 'litevps: no user %s\n' "$user" >&2
      exit 126
    fi
    export HOME=$home USER=$user LOGNAME=$user SHELL=$shell
    cd "$home" 2> /dev/null || cd /
    set -- "${BASH_CMDS[setpriv]}" --reuid "$uid" --regid "$gid" --init-groups -- "$@"
  fi
  if [[ -n $cwd ]] && ! cd -- "$cwd" 2> /dev/null; then
    printf 'litevps: cannot go to %s\n' "$cwd" >&2
    exit 126
  fi
  unset LC_ALL
  [[ -z $had_locale ]] || export LC_ALL=$locale
  [[ $1 != "$BASH" ]] || exec -a bash "$@"
  exec "$@"
}

wait_for_command() {  # set `status`
  # Not by `wait -f`: to learn whether the process still lives, that one looks into memory that bash has freed
  # (5.2), where glibc keeps a number drawn by each process; with one in 256 of them it spins for ever.
  local lives
  wait "$command_pid"
  status=$?
  # 128 + SIGSTOP to SIGTTOU are also told of a command that is stopped, and may go on.
  while (( status >= 147 && status <= 150 )); do
    start_time_of "$command_pid" && lives=yes || lives=
    [[ -z $lives ]] || nap 0.05
    wait "$command_pid"
    status=$?
    [[ -n $lives ]] || return  # What is told of one that has ended is how it ended.
  done
}

start_and_wait() {
  local out= err= watchdog_pid input=/dev/null end=exit
  if (( staged_bytes >= 0 )); then
    input=$staged
  elif [[ -n $has_stdin ]]; then
    printf '%s' "$stdin" > "$job.stdin" || return 1
    input=$job.stdin
  fi
  umask 0  # So that whoever the command becomes can open /dev/stdout anew; nobody else gets into the folder.
  exec {out}>> "$job.stdout" {err}>> "$job.stderr"
  umask "$mask"
  [[ -n $err ]] || { [[ -z $out ]] || exec {out}>&-; return 1; }
  stamp
  printf '%s\n' "$stamp" > "$job.started"
  [[ -s $job.started ]] || { exec {out}>&- {err}>&-; return 1; }
  started_here=yes
  ( command_process ) < "$input" >&"$out" 2>&"$err" {out}>&- {err}>&- {never}>&- &
  local command_pid=$!
  ( watchdog ) < /dev/null > /dev/null &
  watchdog_pid=$!
  wait_for_command
  # Known here even where a full disk keeps it from being written down.
  ! was_full || end=crowded
  decide "$end" "$status" && verdict=$end ms=$elapsed_ms
  kill -KILL "$watchdog_pid"
  wait "$watchdog_pid"
  exec {out}>&- {err}>&-
  return 0
}

await_other() {  # another launcher, of this connection or one before, runs the job
  local tries=0
  until [[ -e $job.ended ]]; do
    nap 0.05
    newest_owner
    (( tries++ % 10 )) || owner_lives || decide lost 0
    elapsed
    (( elapsed_ms < (timeout_s + 5) * 1000 )) || decide timeout 0
  done
}

unseen_since_boot() {  # status 0 if nothing is known of the job, which was asked for before the guest was booted
  local uptime
  [[ ! -e $job.owner.1 && ! -e $job.started && ! -e $job.ended ]] || return
  read -r uptime _ < /proc/uptime
  (( age_s > ${uptime%.*} ))
}

run_job() {  # TIMEOUT_S LIMIT HEAD TAIL AGE_S STDIN_BYTES LENGTH...
  local timeout_s=$1 limit=$2 head=$3 tail=$4 age_s=$5 staged_bytes=$6 staged=$job.stdin.$BASHPID
  local started_here= verdict= status ms=0 late= has_stdin= command cwd user stdin environment=() field
  shift 6
  has_stdin=${4#-}
  for field in command cwd user stdin; do read_field "$1" "$field" || exit 1; shift; done
  while (( $# )); do read_field "$1" "environment[${#environment[@]}]" || exit 1; shift; done
  unseen_since_boot && { staged=/dev/null; late=yes; }
  ! is_full || give_up_reserve
  if (( staged_bytes >= 0 )); then
    # By tee, which goes on reading where there is no room: the next request must not begin within this one.
    head -c "$staged_bytes" | tee "$staged" > /dev/null
    (( PIPESTATUS[1] == 0 )) || { rm -f "$staged"; printf 'failed\n'; return; }
  fi
  [[ -z $late ]] || { printf 'outcome lost 0 0 0 - 0 0 0 - 0 0\n'; return; }
  have_cgroup
  claim "$cgroup"
  case $? in
    0) start_and_wait || { give_up_reserve && start_and_wait; } || { printf 'failed\n'; return; } ;;
    1) (( staged_bytes < 0 )) || rm -f "$staged"; await_other ;;
    2) printf 'failed\n'; return ;;
  esac
  send_outcome
}

read_field() {  # LENGTH NAME
  [[ $1 == 0 || $1 == - ]] && { printf -v "$2" ''; return 0; }
  IFS= read -r -N "$1" "$2"
}

# --- telling the outcome ----------------------------------------------------------------------------

send_outcome() {
  local tries=0
  until [[ -n $verdict ]] || read -r verdict status ms _ < "$job.ended" || (( ++tries > 100 )); do nap 0.01; done
  # Decided by one who died before he could write it down: only a verdict that kills is left so.
  [[ -n $verdict ]] || verdict=lost status=0 ms=0
  if [[ $verdict != exit && $verdict != crowded ]] && ! kill_all; then
    printf 'stuck\n'
    return
  fi
  [[ -z $started_here ]] || free_cgroup "$verdict"
  local out_size out_sha out_head out_tail out_pieces err_size err_sha err_head err_tail err_pieces
  measure stdout out
  measure stderr err
  printf 'outcome %s %s %s %s %s %s %s %s %s %s %s\n' "$verdict" "$status" "$ms" \
    "$out_size" "$out_sha" "$out_head" "$out_tail" "$err_size" "$err_sha" "$err_head" "$err_tail"
  send_stream stdout "$out_size" "$out_head" "$out_tail" "${out_pieces[@]}"
  send_stream stderr "$err_size" "$err_head" "$err_tail" "${err_pieces[@]}"
}

measure() {  # FILE PREFIX: set PREFIX_size, _sha (- if whole), _head, _tail (bytes to send), _pieces
  local -n size=$2_size sha=$2_sha first=$2_head last=$2_tail pieces=$2_pieces
  local file=$job.$1 piece
  pieces=() size=0 sha=- last=0
  [[ -s $file ]] || { first=0; return; }
  while IFS= read -r -d '' -n "$((small_bytes + 1))" piece; do
    (( ${#piece} > small_bytes )) && break
    pieces+=("$piece")
    (( (size += ${#piece} + 1) > small_bytes || ${#pieces[@]} > small_pieces )) && break
    piece=
  done < "$file"
  if (( size <= small_bytes && ${#piece} <= small_bytes && ${#pieces[@]} <= small_pieces )); then
    pieces+=("$piece")
    (( (first = size += ${#piece}) <= limit )) && return
  fi
  pieces=()
  size=$(stat -c %s "$file") first=$size
  (( size > limit )) || return
  sha=$(head -c "$size" "$file" | sha256sum)
  sha=${sha%% *} first=$head last=$tail
}

send_stream() {  # FILE SIZE HEAD TAIL PIECE...
  local file=$job.$1 size=$2 head=$3 tail=$4
  shift 4
  if (( $# > 1 )); then printf '%s\0' "${@:1:$#-1}"; fi
  if (( $# )); then printf '%s' "${!#}"; return; fi
  (( head == 0 )) || head -c "$head" "$file"
  (( tail == 0 )) || tail -c "+$(( size - tail + 1 ))" "$file" | head -c "$tail"
}

# --- the other requests -----------------------------------------------------------------------------

end_job() {  # VERDICT
  local verdict status tries=0
  # A job that was never started is taken, so that it never will be; without a cgroup, which others will use.
  claim ''
  decide "$1" 0
  until read -r verdict status _ < "$job.ended" || (( ++tries > 100 )); do nap 0.01; done
  if [[ $verdict == exit || $verdict == crowded ]] || kill_all; then printf 'done\n'; else printf 'stuck\n'; fi
}

discard_job() {
  # Removing costs a process: it waits until nobody asks for anything.
  [[ ! -e $job.ended ]] || discarded+=("$id")
  printf 'done\n'
}

tidy() {
  local id files=()
  # That it was started and has ended stays known for a while, lest somebody who asks late starts it again.
  for id in "${discarded[@]}"; do files+=("$jobs/$id".{group,stdout,stderr,stdin*,owner.*}); done
  discarded=()
  remove "${files[@]}"
  (( EPOCHSECONDS < swept_at + sweep_s )) || sweep "$marks_kept_s"
  is_full || have_reserve
}

remove() {  # FILE...
  (( $# == 0 )) || note_full
  while (( $# )); do
    rm -f -- "${@:1:1000}"
    shift "$(( $# < 1000 ? $# : 1000 ))"
  done
}

sweep() {  # MARKS_KEPT_S: remove what nobody asked about for long, and what launchers left behind
  local job ended_at files=() folder name
  swept_at=$EPOCHSECONDS
  for job in "$jobs"/*.ended; do
    [[ -e $job ]] || continue
    job=${job%.ended}
    read -r _ _ _ ended_at < "$job.ended" || { read -r ended_at _ < "$job.started" && (( ended_at /= 1000000 )); }
    # What was discarded has no owner any more.
    if [[ -e $job.owner.1 ]]; then (( ended_at += kept_s )); else (( ended_at += $1 )); fi
    (( ended_at > EPOCHSECONDS )) || files+=("$job".*)
  done
  remove "${files[@]}"
  [[ -n $cgroups ]] || return
  for folder in "$cgroups"/*/; do
    name=${folder%/}
    name=${name##*/}
    # PID-START-N: of this launcher only the present one is in use, of others that live any may be.
    if [[ $name == "$BASHPID-$own_start-"* ]]; then
      [[ ${folder%/} == "$cgroup" ]] || rmdir "$folder"
    elif ! start_time_of "${name%%-*}" || [[ $name != *"-$start_time-"* ]]; then
      rmdir "$folder"
    fi
  done
}

# --- from the start ---------------------------------------------------------------------------------

read -r boot < /proc/sys/kernel/random/boot_id
start_time_of "$BASHPID"
own_start=$start_time
swept_at=$EPOCHSECONDS
discarded=()
mask=$(umask)
while read -r key kilobytes _; do
  [[ $key != MemTotal: ]] || (( kilobytes * 1024 / memory_part > output_bytes_max )) \
    || output_bytes_max=$(( kilobytes * 1024 / memory_part ))
done < /proc/meminfo
have_place
exec {never}<> "$jobs/.never"
is_full || have_reserve
cgroups= cgroup= cgroups_made=0
if [[ -e $cgroup_root/cgroup.controllers ]]; then
  [[ -d $cgroup_root/litevps ]] || mkdir -p "$cgroup_root/litevps"
  [[ -w $cgroup_root/litevps/cgroup.procs ]] && cgroups=$cgroup_root/litevps
fi
printf 'litevps-ready %s\n' "$2"
request=
while :; do
  pause=$sweep_s
  (( ${#discarded[@]} == 0 )) || pause=$tidy_s
  IFS= read -r -t "$pause" part
  status=$?
  request+=$part
  (( status > 128 || ${#discarded[@]} >= discarded_max )) && tidy
  (( status <= 128 )) || continue
  (( status == 0 )) || break
  verb=${request%% *} id=${request#* }
  words=${id#"${id%% *}"} id=${id%% *}
  request= job=$jobs/$id
  [[ ! -e $jobs_before/$id.owner.1 ]] || job=$jobs_before/$id
  case $verb in
    run) run_job $words ;;
    end) end_job $words ;;
    discard) discard_job ;;
    *) break ;;
  esac
done
tidy
[[ -z $cgroup ]] || rmdir "$cgroup"
