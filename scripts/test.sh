#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is needed, then checks layout and layers, builds, and runs the tests. CI runs this.
set -euo pipefail
source "$(dirname "$0")/common.sh"

scripts/install_packages.sh build test
if command -v nvcc >/dev/null; then
  # Here to learn early that the sources no longer fit together; nothing is compiled yet.
  run cmake --preset cuda -DMINIMAX_NCCL=OFF
fi
exec scripts/check.sh
