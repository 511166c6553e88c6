// SPDX-License-Identifier: Apache-2.0
#include "base/memory_stream.h"

#include <algorithm>

#include "base/error.h"

namespace minimax {

void MemorySource::read(std::span<std::byte> to) {
  const size_t left = bytes_->size() - done_bytes_;
  require_file(to.size() <= left, name_, ": ends after ", bytes_->size(), " bytes, ",
               to.size() - std::min(to.size(), left), " more are expected there");
  std::copy_n(bytes_->begin() + static_cast<std::ptrdiff_t>(done_bytes_), to.size(), to.begin());
  done_bytes_ += to.size();
}

std::unique_ptr<ByteSource> MemorySource::part(uint64_t offset) const {
  auto part = std::make_unique<MemorySource>(*this);
  part->done_bytes_ = std::min(static_cast<size_t>(offset), bytes_->size());
  return part;
}

}  // namespace minimax
