#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages of the named groups (build, test, lint); does nothing when all are there.
set -euo pipefail
source "$(dirname "$0")/common.sh"

groups=("${@:-build}")
wanted=$(awk -v groups=" ${groups[*]} " '$1 != "#" && index(groups, " " $1 " ") { print $2 }' \
  scripts/packages.txt)

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "this is not Debian: please see to it that the equivalents of these are installed:" $wanted
  exit 0
fi

missing=()
for package in $wanted; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  if [[ $status != installed ]]; then missing+=("$package"); fi
done
if [[ ${#missing[@]} -eq 0 ]]; then exit 0; fi

as_root=()
if [[ $(id -u) -ne 0 ]]; then
  if ! command -v sudo >/dev/null; then
    echo "these packages are missing, and only root can install them: ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120)
echo "installing ${missing[*]}"
run_quietly "${apt[@]}" update
run_quietly "${apt[@]}" install -y --no-install-recommends "${missing[@]}"
