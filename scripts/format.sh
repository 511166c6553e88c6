#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# clang-format in place on the files that differ from the last commit.
#   ./scripts/format.sh [--all | --check]     --all: on every file; --check: only tell, of every file
set -euo pipefail
source "$(dirname "$0")/common.sh"

mode=${1:-changed}
case $mode in
  changed) files=$(comm -12 <(sources) <({ git diff --name-only HEAD; git ls-files -o; } | sort -u)) ;;
  --all | --check) files=$(sources) ;;
  *) echo "usage: $0 [--all | --check]" >&2; exit 2 ;;
esac
if [[ -z $files ]]; then exit 0; fi
if [[ $mode != --check ]]; then
  printf '%s\n' "$files"
  clang_format -i $files
  exit 0
fi

wrong=()
for file in $files; do
  if ! clang_format "$file" | cmp -s - "$file"; then wrong+=("$file"); fi
done
if [[ ${#wrong[@]} -gt 0 ]]; then
  printf '%s: not laid out as .clang-format says\n' "${wrong[@]}" >&2
  echo "scripts/format.sh --all mends this" >&2
  exit 1
fi
