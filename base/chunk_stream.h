// SPDX-License-Identifier: Apache-2.0
// Bytes in chunks, each with its checksum behind it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/byte_stream.h"
#include "base/checksum.h"

namespace minimax {

inline constexpr size_t chunk_checksum_bytes = sizeof(uint64_t);

// One thread at a time; the sink must outlive it.
class ChunkWriter {
 public:
  explicit ChunkWriter(ByteSink& sink) : sink_(sink) {}
  // More of the chunk, in as many calls as it takes.
  void write(std::span<const std::byte> bytes);
  // The chunk is whole.
  void end();

 private:
  ByteSink& sink_;
  Checksum checksum_;
};

// One thread at a time; the source must outlive it. What was read of a chunk may be believed only once
// end() has returned.
class ChunkReader {
 public:
  explicit ChunkReader(ByteSource& source) : source_(source) {}
  void read(std::span<std::byte> to);
  // MINIMAX_BAD_FILE when the chunk is not what was written; `what` names it.
  void end(std::string_view what);

  const std::string& name() const { return source_.name(); }

 private:
  ByteSource& source_;
  Checksum checksum_;
};

}  // namespace minimax
