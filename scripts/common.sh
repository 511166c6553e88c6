# SPDX-License-Identifier: Apache-2.0
# What the scripts share: they stand at the root of the tree, and show each command before it runs.
cd "$(dirname "${BASH_SOURCE[0]}")/.."

run() {
  printf '+ %s\n' "$*"
  "$@"
}

# The same for commands that say much and mean little: their output is shown only when they fail.
run_quietly() {
  local log
  log=$(mktemp)
  printf '+ %s\n' "$*"
  if ! "$@" >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    return 1
  fi
  rm -f "$log"
}

# Our C, C++ and CUDA sources, one a line. minimax.h is set by hand, as a manual, and is left out, as are
# copies of what was released.
sources() {
  { git ls-files --cached --others --exclude-standard 2>/dev/null ||
    find . -path ./build -prune -o -type f -printf '%P\n'; } |
    grep -E '\.(h|cc|c|cu|cuh)$' | grep -vE '^(include/minimax\.h$|tests/abi/baseline/)' | sort -u |
    while read -r file; do if [[ -f $file ]]; then echo "$file"; fi; done
}

# Layouts differ between versions of clang-format; ours is that of version 14.
clang_format() {
  if command -v clang-format-14 >/dev/null; then clang-format-14 "$@"; else clang-format "$@"; fi
}
