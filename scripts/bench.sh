#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the benches of tests/bench as shipped code (no asserts), and shows each time beside the last run's.
#   ./scripts/bench.sh [options of Google Benchmark, such as --benchmark_filter=rms_norm]
set -euo pipefail
source "$(dirname "$0")/common.sh"

shopt -s nullglob
benches=(tests/bench/*_bench.cc)
if [[ ${#benches[@]} -eq 0 ]]; then
  echo "there is no bench in tests/bench" >&2
  exit 1
fi
benches=("${benches[@]##*/}")
benches=("${benches[@]%.cc}")

build=build/bench
run_quietly cmake --preset release -B "$build" -DMINIMAX_TESTS=ON -DMINIMAX_SAMPLES=OFF
run cmake --build "$build" --target "${benches[@]}"
commit=$(git rev-parse --short HEAD)
if ! git diff --quiet HEAD; then commit+=-changed; fi
for bench in "${benches[@]}"; do
  last=$(ls -t "$build"/"$bench"-*.csv 2>/dev/null | head -1 || true)
  if [[ -n $last ]]; then cp "$last" "$build/last.csv"; else : >"$build/last.csv"; fi
  table=$build/$bench-$commit.csv
  run "$build/tests/bench/$bench" --benchmark_out="$table" --benchmark_out_format=csv "$@"
  awk -F, 'FNR == NR { last[$1] = $3; next }
           /^"/ && last[$1] > 0 { printf "%-60s %12.1f %s, was %.1f: %+.1f %%\n",
                                    $1, $3, $5, last[$1], 100 * ($3 / last[$1] - 1) }' \
    "$build/last.csv" "$table"
done
