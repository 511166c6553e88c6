// SPDX-License-Identifier: Apache-2.0
// Handles of the C interface that free themselves, and the exception of a test that has found something.
#pragma once

#include <memory>
#include <sstream>
#include <stdexcept>

#include "minimax.h"

namespace minimax::testing {

// The library did not do what its header says.
class Mismatch : public std::runtime_error {
 public:
  using runtime_error::runtime_error;
};

template <typename... Parts>
void check(bool is_right, const Parts&... parts) {
  if (is_right) return;
  std::ostringstream sentence;
  (sentence << ... << parts);
  throw Mismatch(sentence.str());
}

// Of a call that has just returned.
inline void expect(minimax_status status, minimax_status wanted, const char* call) {
  check(status == wanted, call, " returned ", minimax_status_name(status), ", expected ",
        minimax_status_name(wanted), ": ", minimax_last_error());
}

template <auto free>
struct Freed {
  template <typename Handle>
  void operator()(Handle* handle) const {
    free(handle);
  }
};

using EngineHandle = std::unique_ptr<minimax_engine, Freed<minimax_engine_free>>;
using SessionHandle = std::unique_ptr<minimax_session, Freed<minimax_session_free>>;
using SamplerHandle = std::unique_ptr<minimax_sampler, Freed<minimax_sampler_free>>;
using BatchHandle = std::unique_ptr<minimax_batch, Freed<minimax_batch_free>>;
using SnapshotHandle = std::unique_ptr<minimax_snapshot, Freed<minimax_snapshot_free>>;

}  // namespace minimax::testing
