// SPDX-License-Identifier: Apache-2.0
// What the thread sanitizer need not tell of: tests that it watches are linked with this.

// OpenCV looks for its decoders once, guarded by itself, before the first picture is decoded. One of them is
// GDAL, which takes two locks of its own in both orders then: on one thread, that nobody can meet there.
extern "C" __attribute__((visibility("default"))) const char* __tsan_default_suppressions();

const char* __tsan_default_suppressions() {
  return "deadlock:libgdal.so\n";
}
