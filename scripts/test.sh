#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is needed, checks layout and layers, builds, runs the tests, and tries the Debian packages. CI
# runs this.
set -euo pipefail
source "$(dirname "$0")/common.sh"

scripts/install_packages.sh build test
if command -v nvcc >/dev/null; then
  # Compiled for every architecture; kernels are run on an emulated GPU by the tests of preset cpu.
  run cmake --preset cuda -B build/cuda-library -DMINIMAX_NCCL=OFF -DMINIMAX_TESTS=OFF \
    -DMINIMAX_SAMPLES=OFF
  run cmake --build build/cuda-library --target minimax
fi
run scripts/check.sh
run scripts/package.sh
