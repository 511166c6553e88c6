// SPDX-License-Identifier: Apache-2.0
// Functions that can be left in the middle and entered again: one thread of the emulated device each.
#pragma once

#include <cstddef>

namespace simt {

// One thread of the host at a time works with all of them.
class Fiber {
 public:
  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Forgets what ran here before. body must not return: it suspends, and is never resumed.
  void prepare(void (*body)(void*), void* argument);
  // Runs until suspend(). Not from within a fiber.
  void resume();
  // Back to who resumed the running fiber; last: it will not be resumed.
  static void suspend(bool last = false);

 private:
  static void begin();

  std::byte* stack_;
  size_t offset_;  // of the stack's first frame
  void* place_ = nullptr;
  void (*body_)(void*) = nullptr;
  void* argument_ = nullptr;
  void* fake_stack_ = nullptr;
};

}  // namespace simt
