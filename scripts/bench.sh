#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the benches as shipped code (no asserts), keeps what they print, and shows the last run's below.
#   ./scripts/bench.sh [options of minimax-bench, such as -p 512 -n 128 -d 0,4096]
set -euo pipefail
source "$(dirname "$0")/common.sh"

build=build/bench
tables=$build/tables
commit=$(git rev-parse --short HEAD)
if ! git diff --quiet HEAD; then commit+=-changed; fi
run_quietly cmake --preset release -B "$build" -DMINIMAX_TESTS=ON
mkdir -p "$tables"

# bench NAME PROGRAM OPTIONS...
bench() {
  local name=$1 last
  shift
  last=$(ls -t "$tables/$name"-*.txt 2>/dev/null | head -1 || true)
  if [[ -n $last ]]; then cp -p "$last" "$tables/last.txt"; fi
  run "$@" | tee "$tables/$name-$commit.txt"
  if [[ -n $last ]]; then
    echo "before that, $(basename "$last" .txt):"
    cat "$tables/last.txt"
  fi
}

for source in tests/bench/*_bench.cc; do
  name=$(basename "$source" .cc)
  if [[ ! -f $source ]]; then continue; fi
  run cmake --build "$build" --target "$name"
  bench "$name" "$build/tests/bench/$name"
done
run cmake --build "$build" --target minimax-bench
bench minimax-bench "$build/samples/minimax-bench" --model models/demo "$@"
