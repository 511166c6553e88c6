// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <atomic>
#include <mutex>

namespace minimax {
namespace {

// The library's only global that changes: the host sets it, any thread may write to it.
struct Sink {
  std::mutex mutex;
  minimax_log_fn function = nullptr;
  void* user = nullptr;
  std::atomic<int32_t> level{-1};
};

Sink& the_sink() {
  static Sink sink;
  return sink;
}

}  // namespace

void set_log(minimax_log_fn function, void* user, int32_t level) {
  Sink& sink = the_sink();
  const std::lock_guard lock(sink.mutex);
  sink.function = function;
  sink.user = user;
  sink.level = function ? level : -1;
}

bool log_enabled(int32_t level) {
  return level <= the_sink().level.load(std::memory_order_relaxed);
}

void log_message(int32_t level, std::string_view message) noexcept {
  Sink& sink = the_sink();
  const std::lock_guard lock(sink.mutex);
  if (sink.function && level <= sink.level) {
    sink.function(sink.user, level, message.data(), message.size());
  }
}

}  // namespace minimax
