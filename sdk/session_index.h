// SPDX-License-Identifier: Apache-2.0
// The beginning of a saved session: header and index, which say everything but the numbers themselves.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/byte_stream.h"
#include "engine/model/fingerprint.h"
#include "engine/sampler.h"
#include "engine/state/timeline_chunks.h"
#include "sdk/session.h"

namespace minimax {

inline constexpr uint32_t session_file_version = 1;

// As in session_file.fbs.
enum class ChunkKind : uint16_t {
  tokens = 1,
  logits = 2,
  accepted_tokens = 3,
  lightning_state = 4,
  lightning_log = 5,
  kv_page = 6
};

struct ChunkPlace {
  ChunkKind kind;
  uint32_t number;
  uint64_t size_bytes;
  bool operator==(const ChunkPlace&) const = default;
};

struct SavedSampler {
  SamplerState state;  // without the accepted tokens, which are chunks
  uint64_t accepted_count = 0;
};

struct SessionIndex {
  uint32_t version = session_file_version;
  uint64_t total_bytes = 0;  // of the file; filled in when it is read
  std::string library_version;
  std::string model_name;
  ModelFingerprint model{};
  TimelineExtent extent{};
  int64_t rewind_tokens = 0;
  bool has_logits = false;
  std::vector<PictureSpan> pictures;
  std::optional<SavedSampler> sampler;
  std::vector<ChunkPlace> chunks;
};

void write_session_index(const SessionIndex& index, ByteSink& sink);

// Believes nothing: what it returns has been checked as far as that goes without a model, and asks for
// no more memory than the bytes that were there. MINIMAX_BAD_FILE; MINIMAX_UNSUPPORTED for a later
// version of the format.
SessionIndex read_session_index(ByteSource& source);

}  // namespace minimax
