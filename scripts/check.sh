#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What to run before a commit: layout, layers, and the build and tests of preset cpu.
#   ./scripts/check.sh [--all]     --all adds asan and tsan, and cuda where there is a CUDA compiler
set -euo pipefail
source "$(dirname "$0")/common.sh"

presets=(cpu)
case "${1:-}" in
  "") ;;
  --all) presets+=(asan tsan) ;;
  *) echo "usage: $0 [--all]" >&2; exit 2 ;;
esac

run scripts/format.sh --check
run python3 scripts/check_layers.py
for preset in "${presets[@]}"; do
  run cmake --preset "$preset"
  run cmake --build --preset "$preset"
  run ctest --preset "$preset" --parallel "$(nproc)"
done
if [[ ${1:-} == --all ]] && command -v nvcc >/dev/null; then
  run cmake --preset cuda
  run cmake --build --preset cuda
  if nvidia-smi >/dev/null 2>&1; then run ctest --preset cuda; fi
fi
