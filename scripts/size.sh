#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Lines of each room, comments included, and their change since a commit.
#   ./scripts/size.sh [COMMIT, default main]
set -euo pipefail
source "$(dirname "$0")/common.sh"

since=${1:-main}
rooms=(include base tokenizer engine/tensor engine/ops engine/kernels engine/weights engine/state
  engine/model 'engine/*' vision sdk samples bindings tests scripts)

printf '%-16s %8s %8s\n' room lines change
for room in "${rooms[@]}"; do
  files=()
  for ending in h c cc cu cuh inc py rs go sh; do
    if [[ $room == *'*' ]]; then files+=(":(glob)$room.$ending"); else files+=(":(glob)$room/**/*.$ending"); fi
  done
  lines=$(git ls-files -z -- "${files[@]}" | xargs -0 -r cat -- | wc -l)
  change=$(git diff --numstat "$since" -- "${files[@]}" | awk '{ sum += $1 - $2 } END { print sum + 0 }')
  printf '%-16s %8d %+8d\n' "$room" "$lines" "$change"
done
