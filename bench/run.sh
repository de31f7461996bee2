#!/usr/bin/env bash
# Builds the release preset and measures every promise of bench/README.md beside its floor, on this machine; prints one Markdown table.
#
#   bench/run.sh [--quick] [--rounds N] [--seconds S] [--messages N] [--deep-rounds N] [--build DIR] [--dir DIR]
#
#   --quick       3 rounds of 1 s and 200,000 waiting messages, to see that it works (default: 5 rounds of 3 s, 1,000,000)
#   --rounds …    interleaved rounds, measured time of a run, messages of the deep queue and its rounds, one by one
#   --build DIR   use this build directory as it is; do not build
#   --dir DIR     where data directories are made: the disk that is measured (default: /var/tmp)
#
# Exits 0 if every promise is reached, 3 if one is missed, 1 if something failed. Takes about ten minutes on 2 idle cores (--quick: two), and
# more on a busy machine, where it measures the neighbours too: it warns.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

rounds=5 seconds=3 messages=1000000 deep_rounds=5 build='' dir=/var/tmp
while (($# > 0)); do
  case $1 in
    --quick) rounds=3 seconds=1 messages=200000 deep_rounds=1 ;;
    --rounds) rounds=${2:?--rounds wants a number}; shift ;;
    --seconds) seconds=${2:?--seconds wants a number}; shift ;;
    --messages) messages=${2:?--messages wants a number}; shift ;;
    --deep-rounds) deep_rounds=${2:?--deep-rounds wants a number}; shift ;;
    --build) build=${2:?--build wants a directory}; shift ;;
    --dir) dir=${2:?--dir wants a directory}; shift ;;
    *) echo "bench/run.sh: unknown argument '$1'" >&2; exit 2 ;;
  esac
  shift
done

if [[ -z $build ]]; then
  build=$root/build/release
  cmake --preset release -S "$root" >&2
  cmake --build "$build" --target \
    barista cycle_bench open_bench backlog_bench send_bench api_style_bench floor_bench lane_bench structures_bench timer_bench memory_cycle_bench \
    idle_bench drain_bench metrics_bench stream_bench parked_bench >&2
fi
bin=$build/bin
if awk -v limit="$(nproc)" '{ exit !($1 > limit / 2) }' /proc/loadavg; then
  echo "bench/run.sh: the machine is busy (load average $(cut -d' ' -f1 /proc/loadavg)); the figures will not repeat" >&2
fi
export BARISTA_BENCH_DIR=$dir

echo "Machine: $(nproc) x $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(uname -sr), $(df --output=fstype "$dir" | tail -1) on $dir."
echo "Load average before: $(cut -d' ' -f1-3 /proc/loadavg). Medians of $rounds interleaved rounds of $seconds s, (least-greatest)."
echo
echo '| What | Measured | Floor | Ratio (spread) | Reach | |'
echo '|---|---|---|---|---|---|'

missed=0
# A benchmark exits 3 when its promise is missed.
measure() {
  local code=0
  "$@" || code=$?
  case $code in
    0) ;;
    3) missed=1 ;;
    *) echo "bench/run.sh: '$*' failed with exit code $code" >&2; exit 1 ;;
  esac
}

measure "$bin/lane_bench" --rounds "$rounds"
measure "$bin/structures_bench" --rounds "$rounds"
measure "$bin/timer_bench" --rounds "$rounds"
measure "$bin/memory_cycle_bench" --rounds "$rounds"
measure "$bin/idle_bench" --rounds "$deep_rounds"
measure "$bin/metrics_bench" --rounds "$rounds" --seconds "$seconds"
measure "$bin/cycle_bench" --rounds "$rounds" --seconds "$seconds"
measure "$bin/cycle_bench" --rounds "$rounds" --seconds "$seconds" --send-batch 10
measure "$bin/send_bench" --rounds "$rounds" --seconds "$seconds" --barista "$bin/barista"
measure "$bin/stream_bench" --rounds "$rounds" --seconds "$seconds" --barista "$bin/barista"
measure "$bin/parked_bench" --rounds "$deep_rounds" --barista "$bin/barista"
measure "$bin/open_bench" --rounds 11
measure "$bin/drain_bench" --rounds "$deep_rounds" --messages "$messages"
measure "$bin/backlog_bench" --rounds "$deep_rounds" --messages "$messages"
measure "$bin/backlog_bench" --rounds "$deep_rounds" --messages "$messages" --barista "$bin/barista"
for kind in group delayed in-flight stuck; do
  measure "$bin/backlog_bench" --kind "$kind" --rounds "$deep_rounds" --messages "$messages"
  measure "$bin/backlog_bench" --kind "$kind" --rounds 1 --messages "$messages" --barista "$bin/barista"
done

echo
if ((missed)); then
  echo 'At least one promise was MISSED.'
  exit 3
fi
echo 'Every promise was reached.'
