// SPDX-License-Identifier: Apache-2.0
// Any bytes as the beginning of a saved session, under checksums that are right: what is accepted adds up,
// all else is an Error.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/checksum.h"
#include "base/error.h"
#include "sdk/session_index.h"

namespace {

constexpr size_t header_bytes = 48, index_bytes_at = 16, index_checksum_at = 32,
                 header_checksum_at = 40;

class Bytes final : public minimax::ByteSource {
 public:
  explicit Bytes(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}
  void read(std::span<std::byte> to) override {
    minimax::require_file(to.size() <= bytes_.size() - at_, "ends early");
    if (!to.empty()) std::memcpy(to.data(), bytes_.data() + at_, to.size());
    at_ += to.size();
  }
  std::optional<uint64_t> size_bytes() const override { return std::nullopt; }
  const std::string& name() const override { return name_; }

 private:
  const std::vector<std::byte> bytes_;
  const std::string name_ = "fuzz";
  size_t at_ = 0;
};

void mend(std::vector<std::byte>& bytes) {
  if (bytes.size() < header_bytes) return;
  uint64_t index_bytes = 0;
  std::memcpy(&index_bytes, bytes.data() + index_bytes_at, sizeof index_bytes);
  index_bytes = std::min<uint64_t>(index_bytes, bytes.size() - header_bytes);
  const std::span<const std::byte> all(bytes);
  const uint64_t of_index = minimax::checksum_of(all.subspan(header_bytes, index_bytes));
  std::memcpy(bytes.data() + index_checksum_at, &of_index, sizeof of_index);
  const uint64_t of_header = minimax::checksum_of(all.first(header_checksum_at));
  std::memcpy(bytes.data() + header_checksum_at, &of_header, sizeof of_header);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto* first = reinterpret_cast<const std::byte*>(data);
  std::vector<std::byte> bytes(first, first + size);
  mend(bytes);
  Bytes source(std::move(bytes));
  try {
    const minimax::SessionIndex index = minimax::read_session_index(source);
    uint64_t left = index.total_bytes;
    for (const minimax::ChunkPlace& chunk : index.chunks) {
      if (chunk.size_bytes > left) std::abort();
      left -= chunk.size_bytes;
    }
    if (index.extent.position < index.extent.committed) std::abort();
    for (const minimax::PictureSpan& picture : index.pictures) {
      if (picture.position + picture.token_count > index.extent.position) std::abort();
    }
  } catch (const minimax::Error& error) {
    const bool is_expected =
        error.status() == MINIMAX_BAD_FILE || error.status() == MINIMAX_UNSUPPORTED;
    if (!is_expected || error.message().size() > 2000) std::abort();
  }
  return 0;
}
