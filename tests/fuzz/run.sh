#!/usr/bin/env bash
# Fuzzes longer than ctest does.
#
#   tests/fuzz/run.sh SECONDS [NAME…]     builds the preset `fuzz`; each fuzzer in turn for so long
#
# Inputs that reach something new are kept in build/fuzz/tests/fuzz/found/NAME and are begun with the next time. One that breaks something is
# written beside it and named; it becomes a file of tests/fuzz/corpus/NAME together with the fix. Exits 0 only if nothing was found.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

seconds=${1:?usage: tests/fuzz/run.sh SECONDS [NAME…]}
shift
names=("$@")
if [ ${#names[@]} -eq 0 ]; then
  names=(message_record_fuzz queue_attributes_fuzz config_fuzz token_file_fuzz service_fuzz)
fi

launcher=()
command -v ccache >/dev/null && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
cmake --preset fuzz "${launcher[@]}" >/dev/null && cmake --build --preset fuzz --parallel "${JOBS:-$(nproc)}" || exit 1

failed=0
for name in "${names[@]}"; do
  found=build/fuzz/tests/fuzz/found/$name corpus=tests/fuzz/corpus/$name options=(-max_len=4096)
  mkdir -p "$found"
  case $name in
    config_fuzz | token_file_fuzz) options+=(-dict=tests/fuzz/yaml.dict) ;;
    service_fuzz) options=(-max_len=16384 -detect_leaks=0) ;;
  esac
  [ -d "$corpus" ] || corpus=
  echo "--- $name for $seconds s"
  "build/fuzz/tests/$name" -max_total_time="$seconds" -timeout=20 -print_final_stats=1 "${options[@]}" -artifact_prefix="$found-" "$found" ${corpus:+"$corpus"} \
    >"$found.log" 2>&1 || { failed=1; tail -n 40 "$found.log"; }
  grep -E '^stat::(number_of_executed_units|average_exec)|cov:' "$found.log" | tail -n 3
done
exit $failed
