#!/usr/bin/env bash
# Builds barista and lets it do its main job once, on real input: every line of FILE is sent as a message to a broker on disk, two
# competing workers receive and delete them, and what came out is compared with what went in.
#
#   deploy/quickstart.sh [FILE] [--keep]
#
#   FILE     a text file; default: a log of this machine
#   --keep   leave the broker serving at the end
#
# Debian 12, root or a user who may use sudo (nothing is installed if nothing is missing). Everything but the build goes into a
# fresh folder under ${TMPDIR:-/tmp}, which is removed at the end. May run several times at once.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
barista=$root/build/release/bin/barista
queue=quickstart
receive_batch=100
unset BARISTA_SERVER

usage() { sed -n '2,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }
say() { printf '\n== %s\n' "$*"; }
fail() {
  printf 'quickstart: error: %s\n' "$*" >&2
  exit 1
}

file=
keep=false
for argument in "$@"; do
  case $argument in
    --keep) keep=true ;;
    -h | --help) usage; exit 0 ;;
    -*) printf 'quickstart: error: unknown option %s\n\n' "$argument" >&2; usage >&2; exit 2 ;;
    *)
      [ -z "$file" ] || { printf 'quickstart: error: one FILE only\n\n' >&2; usage >&2; exit 2; }
      file=$argument
      ;;
  esac
done

# ---- Input ----

choose_input() {
  local candidate
  for candidate in /var/log/dpkg.log /var/log/syslog /var/log/messages /var/log/*.log /usr/share/dict/words \
    /usr/share/common-licenses/GPL-3 /etc/services; do
    if [ -f "$candidate" ] && [ -r "$candidate" ] && [ "$(wc -c <"$candidate")" -ge 4096 ]; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  fail "found no log to send; name a text file: deploy/quickstart.sh FILE"
}
[ -n "$file" ] || file=$(choose_input)
[ -f "$file" ] && [ -r "$file" ] || fail "'$file' is not a readable file"

# ---- Clean-up ----

work=
broker_pid=
worker_pids=()
stop_process() {  # PID: ends it in order and waits, by force after ten seconds
  kill -TERM "$1" 2>/dev/null || return 0
  local i
  for ((i = 0; i < 100; ++i)); do
    kill -0 "$1" 2>/dev/null || break
    sleep 0.1
  done
  kill -KILL "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}
clean_up() {
  local status=$? pid
  trap - EXIT INT TERM HUP
  for pid in ${worker_pids[@]+"${worker_pids[@]}"}; do stop_process "$pid"; done
  [ -z "$broker_pid" ] || stop_process "$broker_pid"
  [ -z "$work" ] || rm -rf "$work"
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# ---- Packages and build, one quickstart at a time ----

mkdir -p "$root/build"
exec 9>"$root/build/.quickstart.lock"
if ! flock -n 9; then
  say "Waiting for another quickstart that builds"
  flock 9
fi
say "Packages"
"$root/deploy/install-packages.sh" --build-only
say "Build (build/release)"
if [ ! -f "$root/build/release/CMakeCache.txt" ]; then
  # The packages that tests and benchmarks need may be missing here; tests/run.sh turns both on.
  (cd "$root" && cmake --preset release -DBARISTA_BUILD_TESTS=OFF -DBARISTA_BUILD_BENCH=OFF)
fi
cmake --build "$root/build/release" --target barista
exec 9>&-

# ---- Broker ----

work=$(mktemp -d "${TMPDIR:-/tmp}/barista-quickstart.XXXXXX")
say "Broker on an embedded RocksDB in $work/data"
# With a process group of its own the broker does not see the Ctrl-C meant for this script, and lives on with --keep.
setsid "$barista" serve --data-dir "$work/data" --ready-file "$work/ready.json" --http-listen 127.0.0.1:0 \
  --grpc-listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 >"$work/broker.log" 2>&1 </dev/null &
broker_pid=$!
for ((i = 0; i < 300; ++i)); do
  [ ! -f "$work/ready.json" ] || break
  kill -0 "$broker_pid" 2>/dev/null || { cat "$work/broker.log" >&2; fail "the broker did not start"; }
  sleep 0.1
done
[ -f "$work/ready.json" ] || { cat "$work/broker.log" >&2; fail "the broker was not ready after 30 s"; }
address() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$work/ready.json"; }
server=$(address grpc)
export BARISTA_SERVER=$server
echo "gRPC $server, HTTP $(address http), admin $(address admin), process $broker_pid"

# ---- The main job ----

# Bodies are bytes, so that any file will do; a minute to work on each message before it is handed out again.
"$barista" queue create "$queue" --durability fsync --body-charset binary --visibility-timeout 60s
# Messages of a queue: visible, in flight, delayed.
counts() {
  "$barista" --output json queue describe "$queue" |
    grep -o '"ApproximateNumberOfMessages[A-Za-z]*":"[0-9]*"' | grep -o '[0-9]*"$' | tr -d '"' | paste -sd+ -
}
seconds() { date +%s.%N; }
rate() { awk -v n="$1" -v from="$2" -v to="$3" 'BEGIN { s = to - from; printf "%.2f s, %.0f messages/s", s, (s > 0 ? n / s : 0) }'; }

say "Two workers receive and delete while every line of $file is sent"
cp -- "$file" "$work/input" # a log may grow meanwhile
started=$(seconds)
for worker in 1 2; do
  "$barista" receive "$queue" --follow --delete --max "$receive_batch" >"$work/received.$worker" &
  worker_pids+=("$!")
done
"$barista" --output json send "$queue" --lines <"$work/input" >"$work/sent.json" || fail "not every line was accepted"
sent_at=$(seconds)
sent=$(sed -n 's/.*"sent":\([0-9]*\).*/\1/p' "$work/sent.json")
skipped=$(sed -n 's/.*"skipped_empty":\([0-9]*\).*/\1/p' "$work/sent.json")
echo "sent      $sent lines ($skipped empty ones skipped): $(rate "$sent" "$started" "$sent_at")"

# In flight counts too: zero means that every delete is done.
deadline=$((SECONDS + 120))
while [ "$(($(counts)))" -ne 0 ]; do
  for pid in "${worker_pids[@]}"; do kill -0 "$pid" 2>/dev/null || fail "a worker ended early"; done
  [ "$SECONDS" -lt "$deadline" ] || fail "after 120 s $(($(counts))) messages are still in the queue"
  sleep 0.05
done
done_at=$(seconds)
for pid in "${worker_pids[@]}"; do
  kill -TERM "$pid"
  wait "$pid" || fail "a worker ended with exit code $?"
done
worker_pids=()
by_1=$(wc -l <"$work/received.1")
by_2=$(wc -l <"$work/received.2")
echo "consumed  $((by_1 + by_2)) lines, $by_1 and $by_2 by the two workers: $(rate "$sent" "$started" "$done_at") from first send to last delete"

say "Counting what came out against what went in"
export LC_ALL=C
sed '/^$/d' "$work/input" | sort >"$work/expected"
sort "$work/received.1" "$work/received.2" >"$work/received"
if ! cmp -s "$work/expected" "$work/received"; then
  lost=$(comm -23 "$work/expected" "$work/received" | wc -l)
  added=$(comm -13 "$work/expected" "$work/received" | wc -l)
  fail "$lost lines are missing and $added are too many"
fi
echo "every one of the $sent lines arrived once, unchanged; the queue is empty"

# ---- How to go on ----

if $keep; then
  rm -f "$work"/received* "$work/input" "$work/expected" "$work/sent.json"
  say "The broker goes on serving"
  cat <<END
  export BARISTA_SERVER=$server
  alias barista=$barista
  barista send $queue 'two espressos'
  barista receive $queue --delete
  barista queue describe $queue
  curl http://$(address admin)/metrics

Stop it:   kill $broker_pid
Its data:  $work (remove the folder when you are done)
END
  broker_pid=
  work=
else
  say "How to go on"
  cat <<END
  alias barista=$barista
  barista serve --data-dir ./barista-data &
  barista queue create orders --visibility-timeout 30s
  barista send orders 'two espressos'
  barista receive orders --wait 20s --delete
  barista --help

README.md says how to link the broker into a program and how to use it over gRPC; tests/run.sh runs the tests.
END
fi
