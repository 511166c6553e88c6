#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Compares the library with the answers of reference implementations kept in tests/golden.
#   ./scripts/golden.sh [PRESET]
set -euo pipefail
source "$(dirname "$0")/common.sh"

preset=${1:-cpu}
run_quietly cmake --preset "$preset"
run cmake --build --preset "$preset"
run ctest --preset "$preset" --tests-regex golden --no-tests=error --verbose
