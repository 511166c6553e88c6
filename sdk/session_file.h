// SPDX-License-Identifier: Apache-2.0
// Sessions saved as bytes, and made from them again: in another process, on another device, later.
#pragma once

#include <memory>
#include <optional>

#include "base/byte_stream.h"
#include "engine/sampler.h"
#include "sdk/session.h"
#include "sdk/session_index.h"

namespace minimax {

enum class SavedSamplerWanted { no, yes };

struct LoadedSession {
  SessionParts session;
  std::optional<Sampler> sampler;  // if it was wanted
};

// sampler nullptr: none is saved. Errors of the sink pass through.
void save_session(const Session& session, const Sampler* sampler, ByteSink& sink);

// All of it has been checked when this returns. MINIMAX_BAD_FILE, MINIMAX_UNSUPPORTED, MINIMAX_WRONG_MODEL;
// MINIMAX_NOT_AVAILABLE when there is no sampler, MINIMAX_CONTEXT_FULL, MINIMAX_OUT_OF_MEMORY.
LoadedSession load_session(std::shared_ptr<Model> model, ByteSource& source,
                           SavedSamplerWanted wanted);

// Reads all of a saved session, and believes nothing of it: whether any engine could load it. Errors as
// load_session, which may find more.
void check_session(ByteSource& source);

}  // namespace minimax
