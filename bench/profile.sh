#!/usr/bin/env bash
# Counts the instructions of a message's send, receive and delete with callgrind, and prints where they go: Markdown tables by group and by function.
#
#   bench/profile.sh [--durability memory,fsync] [--body BYTES] [--batch N] [--messages N] [--build DIR]
#
# One thread, in batches; the same work is run with N and with 4 N messages (default 5,000), and the difference counted. Instructions repeat to
# about a per cent on any machine, busy or not; they are not time: a sync costs few of them. Takes about a minute. Installs nothing.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

durabilities=memory,fsync body=1024 batch=10 messages=5000 build=''
while (($# > 0)); do
  case $1 in
    --durability) durabilities=${2:?--durability wants memory, os or fsync}; shift ;;
    --body) body=${2:?--body wants a number}; shift ;;
    --batch) batch=${2:?--batch wants a number}; shift ;;
    --messages) messages=${2:?--messages wants a number}; shift ;;
    --build) build=${2:?--build wants a directory}; shift ;;
    *) echo "bench/profile.sh: unknown argument '$1'" >&2; exit 2 ;;
  esac
  shift
done
for tool in valgrind callgrind_annotate; do
  if ! command -v "$tool" >/dev/null; then
    echo "bench/profile.sh: $tool is missing; it comes with the Debian package valgrind" >&2
    exit 1
  fi
done
if [[ -z $build ]]; then
  build=$root/build/release
  cmake --preset release -S "$root" >&2
  cmake --build "$build" --target cycle_profile >&2
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export BARISTA_BENCH_DIR=$scratch
# Without this the dynamic linker's look-ups would count, at the first call of each function.
export LD_BIND_NOW=1
for durability in ${durabilities//,/ }; do
  for n in "$messages" $((4 * messages)); do
    if ! valgrind --tool=callgrind --callgrind-out-file="$scratch/$durability.$n" "$build/bin/cycle_profile" \
      --durability "$durability" --body "$body" --batch "$batch" --messages "$n" >"$scratch/log" 2>&1; then
      cat "$scratch/log" >&2
      exit 1
    fi
  done
  python3 "$root/bench/profile_table.py" "$durability, $body B, batches of $batch" \
    "$messages" "$scratch/$durability.$messages" $((4 * messages)) "$scratch/$durability.$((4 * messages))"
done
