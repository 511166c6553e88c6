// SPDX-License-Identifier: Apache-2.0
// Saved sessions in memory, for tests.
#pragma once

#include <cstring>
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

class ByteView final : public ByteSource {
 public:
  explicit ByteView(std::span<const std::byte> bytes, SizeKnown known = SizeKnown::yes)
      : left_(bytes), size_bytes_(bytes.size()), known_(known) {}
  void read(std::span<std::byte> to) override {
    require_file(to.size() <= left_.size(), "memory: ends early");
    if (!to.empty()) std::memcpy(to.data(), left_.data(), to.size());
    left_ = left_.subspan(to.size());
  }
  std::optional<uint64_t> size_bytes() const override {
    return known_ == SizeKnown::yes ? std::optional<uint64_t>(size_bytes_) : std::nullopt;
  }
  const std::string& name() const override { return name_; }
  size_t left_bytes() const { return left_.size(); }

 private:
  std::span<const std::byte> left_;
  const uint64_t size_bytes_;
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
