#!/usr/bin/env bash
# Installs what barista needs on Debian 12 and is not there yet.
#
#   deploy/install-packages.sh                what building and testing needs
#   deploy/install-packages.sh --build-only   what building and running needs
#   deploy/install-packages.sh --list         only prints the packages that are missing
#
# Root, or a user who may use sudo. Does nothing, and needs neither, when nothing is missing.
set -euo pipefail

build_packages=(
  ca-certificates cmake g++ ninja-build pkg-config ccache
  libabsl-dev librocksdb-dev libssl-dev
  # RocksDBConfig.cmake looks for the libraries behind RocksDB.
  libsnappy-dev zlib1g-dev libbz2-dev liblz4-dev libzstd-dev libgflags-dev
  libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc
  libboost1.81-dev libboost-json1.81-dev libboost-system1.81-dev
  libcli11-dev libyaml-cpp-dev libspdlog-dev libfmt-dev prometheus-cpp-dev libjemalloc-dev
)
test_packages=(
  git libgtest-dev libgmock-dev libbenchmark-dev
  binutils libboost-context1.81-dev python3 python3-venv zsh fish
  # systemd-analyze, which checks deploy/systemd.
  systemd
  clang-14 clang-format-14 clang-tidy-14 libclang-rt-14-dev
)

list_only=false
packages=("${build_packages[@]}" "${test_packages[@]}")
for argument in "$@"; do
  case $argument in
    --build-only) packages=("${build_packages[@]}") ;;
    --list) list_only=true ;;
    -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "error: unknown argument '$argument'; allowed: --build-only --list" >&2; exit 2 ;;
  esac
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "error: this script knows Debian packages only; install the equivalents of: ${packages[*]}" >&2
  exit 1
fi

installed=$(dpkg-query -W -f='${db:Status-Abbrev} ${Package}\n' | awk '$1 == "ii" { print $2 }')
missing=()
for package in "${packages[@]}"; do
  grep -qxF -- "$package" <<<"$installed" || missing+=("$package")
done

if $list_only; then
  [ ${#missing[@]} -eq 0 ] || printf '%s\n' "${missing[@]}"
  exit 0
fi
if [ ${#missing[@]} -eq 0 ]; then
  echo "install-packages: nothing is missing"
  exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "error: root or sudo is needed to install: ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi

echo "install-packages: installing ${missing[*]}"
# Another apt run (unattended upgrades on a fresh machine) is waited for.
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
"${apt[@]}" update
"${apt[@]}" install -y --no-install-recommends "${missing[@]}"
