#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the library and asks the small model in models/demo a question:
#   ./scripts/demo.sh ["question"] [further options of minimax-chat]
set -euo pipefail
source "$(dirname "$0")/common.sh"

question=${1:-What is the capital of France?}
shift || true

scripts/install_packages.sh build
run_quietly cmake --preset release
run cmake --build --preset release --target minimax-chat
run build/release/samples/minimax-chat --model models/demo --prompt "$question" "$@"
