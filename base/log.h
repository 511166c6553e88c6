// SPDX-License-Identifier: Apache-2.0
// Messages to the host program's callback; silent without one.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/error.h"

namespace minimax {

// Sets the callback for messages of at most this level (MINIMAX_LOG_*); nullptr for silence. Any
// thread. A message that is being delivered by another thread is finished before this returns.
void set_log(minimax_log_fn sink, void* user, int32_t level);

bool log_enabled(int32_t level);
void log_message(int32_t level, std::string_view message) noexcept;

// The parts are joined only when somebody listens.
template <typename... Parts>
void log(int32_t level, const Parts&... parts) {
  if (log_enabled(level)) log_message(level, text(parts...));
}

}  // namespace minimax
