// SPDX-License-Identifier: Apache-2.0
#include "base/chunk_stream.h"

#include <algorithm>

#include "base/error.h"

namespace minimax {
namespace {

// Summed while it lies in the cache.
constexpr size_t piece_bytes = size_t{256} << 10;

// body(piece) for each piece of the bytes in turn.
template <typename Byte, typename Body>
void for_each_piece(std::span<Byte> bytes, const Body& body) {
  for (size_t at = 0; at < bytes.size(); at += piece_bytes) {
    body(bytes.subspan(at, std::min(piece_bytes, bytes.size() - at)));
  }
}

}  // namespace

void ChunkWriter::write(std::span<const std::byte> bytes) {
  for_each_piece(bytes, [&](std::span<const std::byte> piece) {
    checksum_.add(piece);
    sink_.write(piece);
  });
}

void ChunkWriter::end() {
  const uint64_t sum = checksum_.value();
  sink_.write(std::as_bytes(std::span(&sum, 1)));
  checksum_.begin();
}

void ChunkReader::read(std::span<std::byte> to) {
  for_each_piece(to, [&](std::span<std::byte> piece) {
    source_.read(piece);
    checksum_.add(piece);
  });
}

void ChunkReader::end(std::string_view what) {
  const uint64_t found = checksum_.value();
  uint64_t written = 0;
  source_.read(std::as_writable_bytes(std::span(&written, 1)));
  checksum_.begin();
  require_file(found == written, source_.name(), ": ", what,
               " is damaged: its bytes do not have the checksum that was written");
}

}  // namespace minimax
