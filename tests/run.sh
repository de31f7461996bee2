#!/usr/bin/env bash
# Builds and runs every test.
#
#   tests/run.sh [PRESET] [--label L] [--no-install]
#
#   release         every C++ test, the arrows, the embedders, the end-to-end and crash tests (default)
#   asan            every C++ test under address and undefined-behaviour sanitizer
#   tsan            every engine test under thread sanitizer
#   thread-safety   builds everything with clang's thread-safety analysis as errors
#   fuzz            the fuzzers (clang) from their inputs on, for a bounded number of runs
#   all             these five
#
#   --label L       only the C++ tests with the ctest label L
#   --no-install    does not look for missing packages
#
# JOBS sets how many compile and run at once (default: the cores). Ends with one line per preset, "release: N passed, M failed, K not run",
# and exits 0 only if all passed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

presets=() label="" install=true
while [ $# -gt 0 ]; do
  case $1 in
    release | asan | tsan | thread-safety | fuzz) presets+=("$1") ;;
    all) presets+=(release asan tsan thread-safety fuzz) ;;
    --label) label=${2:?--label wants a ctest label}; shift ;;
    --no-install) install=false ;;
    -h | --help) sed -n '2,19s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "error: unknown argument '$1'; allowed: release asan tsan thread-safety fuzz all --label L --no-install" >&2; exit 2 ;;
  esac
  shift
done
[ ${#presets[@]} -gt 0 ] || presets=(release)
jobs=${JOBS:-$(nproc)}
export PYTHONDONTWRITEBYTECODE=1

if $install; then
  deploy/install-packages.sh || exit 1
fi

step() {  # step NAME COMMAND…: runs it and notes a failure in the results of the preset
  local name=$1
  shift
  echo "--- $preset: $name"
  "$@" && return
  echo "FAILED: $preset: $name"
  echo "$name" >>"$results/failed_steps.txt"
  return 1
}

build() {
  local launcher=()
  command -v ccache >/dev/null && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  cmake --preset "$preset" "${launcher[@]}" >"$results/configure.log" 2>&1 || { cat "$results/configure.log"; return 1; }
  cmake --build --preset "$preset" --parallel "$jobs"
}

run_ctest() {
  local options=() TMPDIR=${TMPDIR:-}
  # Tests wait for thousands of syncs; none of them needs a real disk to find what it looks for (the power-cut tests bring a file system of their own).
  if [ -z "$TMPDIR" ] && [ "$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1)" -gt 4000000 ] 2>/dev/null; then TMPDIR=/dev/shm; fi
  [ -z "$TMPDIR" ] || export TMPDIR
  [ -z "$label" ] || options=(-L "^$label\$")
  # Outcomes of single tests are read from the result files.
  GTEST_OUTPUT="xml:$results/gtest/" ctest --test-dir "build/$preset" --parallel "$jobs" --output-on-failure \
    --no-tests=error --output-junit "$results/ctest.xml" "${options[@]}"
  [ -s "$results/ctest.xml" ]
}

venv() {
  local requirements=tests/e2e/requirements.txt stamp=build/venv/requirements.txt
  cmp -s "$requirements" "$stamp" && return
  rm -rf build/venv
  python3 -m venv build/venv && build/venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$requirements" &&
    cp "$requirements" "$stamp"
}

promtool() {  # Prometheus's checker, unpacked only: the package would install a server and start it
  local folder=build/promtool
  [ -x "$folder/usr/bin/promtool" ] && return
  rm -rf "$folder" && mkdir -p "$folder" &&
    (cd "$folder" && apt-get -q download prometheus && dpkg -x prometheus_*.deb . && rm prometheus_*.deb)
}

run_pytest() {  # run_pytest FOLDER
  BARISTA_BIN=$PWD/build/$preset/bin/barista build/venv/bin/python -B -m pytest -q -p no:cacheprovider --junitxml "$results/pytest-$1.xml" "tests/$1"
  [ -s "$results/pytest-$1.xml" ]
}

run_preset() {
  results=$PWD/build/results/$preset
  rm -rf "$results"
  mkdir -p "$results/gtest"
  step build build || return
  case $preset in
    thread-safety | fuzz) label=${label:-$preset} step ctest run_ctest ;;
    *) step ctest run_ctest ;;
  esac
  if [ "$preset" = release ] && [ -z "$label" ]; then
    step headers cmake --build --preset release --parallel "$jobs" --target all_verify_interface_header_sets
    step venv venv || return
    step promtool promtool
    step e2e run_pytest e2e
    step crash run_pytest crash
  fi
}

summaries=() failed=0
for preset in "${presets[@]}"; do
  run_preset
  summaries+=("$(python3 tests/summary.py "$preset" "$results")") || failed=1
done
printf '\n%s\n' "${summaries[@]}"
exit $failed
