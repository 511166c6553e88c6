// SPDX-License-Identifier: Apache-2.0
// Bytes written to memory and read from there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/byte_stream.h"

namespace minimax {

class MemorySink final : public ByteSink {
 public:
  void write(std::span<const std::byte> more) override {
    bytes.insert(bytes.end(), more.begin(), more.end());
  }
  std::vector<std::byte> bytes;
};

// Owns its bytes together with its parts.
class MemorySource final : public ByteSource {
 public:
  MemorySource(std::vector<std::byte> bytes, std::string name)
      : bytes_(std::make_shared<const std::vector<std::byte>>(std::move(bytes))),
        name_(std::move(name)) {}

  void read(std::span<std::byte> to) override;
  std::optional<uint64_t> size_bytes() const override { return bytes_->size(); }
  const std::string& name() const override { return name_; }
  std::unique_ptr<ByteSource> part(uint64_t offset) const override;

 private:
  std::shared_ptr<const std::vector<std::byte>> bytes_;
  std::string name_;
  size_t done_bytes_ = 0;
};

}  // namespace minimax
