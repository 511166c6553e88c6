// SPDX-License-Identifier: Apache-2.0
// Saved sessions in memory, for tests.
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "sdk/session_file.h"

namespace minimax::testing {

class ByteVector final : public ByteSink {
 public:
  void write(std::span<const std::byte> more) override {
    bytes.insert(bytes.end(), more.begin(), more.end());
  }
  std::vector<std::byte> bytes;
};

enum class SizeKnown { no, yes };

// Of known size it can be read from anywhere, as a file; else only from front to back, as callbacks.
class ByteView final : public ByteSource {
 public:
  explicit ByteView(std::span<const std::byte> bytes, SizeKnown known = SizeKnown::yes)
      : bytes_(bytes), left_(bytes), known_(known) {}
  void read(std::span<std::byte> to) override {
    require_file(to.size() <= left_.size(), "memory: ends early");
    if (!to.empty()) std::memcpy(to.data(), left_.data(), to.size());
    left_ = left_.subspan(to.size());
  }
  std::optional<uint64_t> size_bytes() const override {
    return known_ == SizeKnown::yes ? std::optional<uint64_t>(bytes_.size()) : std::nullopt;
  }
  std::unique_ptr<ByteSource> part(uint64_t offset) const override {
    if (known_ == SizeKnown::no) return nullptr;
    return std::make_unique<ByteView>(bytes_.subspan(static_cast<size_t>(offset)));
  }
  const std::string& name() const override { return name_; }
  size_t left_bytes() const { return left_.size(); }

 private:
  const std::span<const std::byte> bytes_;
  std::span<const std::byte> left_;
  const SizeKnown known_;
  const std::string name_ = "memory";
};

inline std::vector<std::byte> saved(const Session& session, const Sampler* sampler = nullptr) {
  ByteVector sink;
  save_session(session, sampler, sink);
  return std::move(sink.bytes);
}

inline Session loaded(const std::shared_ptr<Model>& model, std::span<const std::byte> bytes) {
  ByteView source(bytes);
  return Session(load_session(model, source, SavedSamplerWanted::no).session);
}

}  // namespace minimax::testing
