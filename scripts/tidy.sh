#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# clang-tidy on the sources that differ from the last commit, as preset cpu compiles them.
#   ./scripts/tidy.sh [--all | FILE...]
set -euo pipefail
source "$(dirname "$0")/common.sh"

if [[ ${1:-} == --all ]]; then
  files=$(sources)
elif [[ $# -gt 0 ]]; then
  files=$(printf '%s\n' "$@")
else
  files=$(comm -12 <(sources) <({ git diff --name-only HEAD; git ls-files -o; } | sort -u))
fi
files=$(grep -E '\.(cc|c)$' <<<"$files" || true)
if [[ -z $files ]]; then
  echo "no source to look at"
  exit 0
fi

scripts/install_packages.sh lint
if [[ ! -f build/cpu/compile_commands.json ]]; then run_quietly cmake --preset cpu; fi
printf '%s\n' "$files"
xargs -P "$(nproc)" -n 1 clang-tidy-14 --quiet -p build/cpu <<<"$files" 2> >(grep -v "warnings generated" >&2)
