#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the Debian packages into build/deb, with Debian's own flags, and tries them (lintian included).
#   ./scripts/package.sh [options of cmake, such as -DMINIMAX_MAINTAINER="Your Name <you@your.org>"]
set -euo pipefail
source "$(dirname "$0")/common.sh"

scripts/install_packages.sh build package
export DEB_BUILD_MAINT_OPTIONS=hardening=+all DEB_CFLAGS_MAINT_STRIP=-g DEB_CXXFLAGS_MAINT_STRIP=-g
eval "$(dpkg-buildflags --export=sh)"
export CFLAGS="$CFLAGS $CPPFLAGS" CXXFLAGS="$CXXFLAGS $CPPFLAGS"
if [[ -z ${SOURCE_DATE_EPOCH:-} ]] && git rev-parse -q --verify HEAD >/dev/null 2>&1; then
  SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
fi
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(date +%s)}

run_quietly cmake --preset deb --fresh "$@"
run cmake --build --preset deb
rm -f build/deb/*.deb
run_quietly cmake --build build/deb --target package
run python3 tests/install/deb_test.py build/deb models/demo
ls -l build/deb/*.deb
