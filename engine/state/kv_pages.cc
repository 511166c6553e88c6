// SPDX-License-Identifier: Apache-2.0
#include "engine/state/kv_pages.h"

#include "base/error.h"

namespace minimax {

PagePool::PagePool(Memory& memory, size_t page_bytes, size_t limit_bytes)
    : memory_(memory), page_bytes_(page_bytes), limit_bytes_(limit_bytes) {
}

PagePool::~PagePool() {
  for (std::byte* page : free_) memory_.release(page, page_bytes_);
}

void PagePool::acquire(size_t count, std::vector<std::byte*>& pages) {
  const std::lock_guard lock(mutex_);
  const size_t used = used_count_ + count;
  if (limit_bytes_ != 0 && used * page_bytes_ > limit_bytes_) {
    fail(MINIMAX_CONTEXT_FULL, "keys and values: ", used * page_bytes_, " bytes needed, limit ",
         limit_bytes_, " (kv_bytes_limit)");
  }
  pages.reserve(pages.size() + count);
  free_.reserve(used);
  const size_t before = pages.size();
  try {
    while (pages.size() < before + count) {
      if (free_.empty()) {
        pages.push_back(static_cast<std::byte*>(memory_.allocate(page_bytes_)));
      } else {
        pages.push_back(free_.back());
        free_.pop_back();
      }
    }
  } catch (...) {
    free_.insert(free_.end(), pages.begin() + static_cast<std::ptrdiff_t>(before), pages.end());
    pages.resize(before);
    throw;
  }
  used_count_ = used;
}

void PagePool::release(std::span<std::byte* const> pages) noexcept {
  const std::lock_guard lock(mutex_);
  free_.insert(free_.end(), pages.begin(), pages.end());
  used_count_ -= pages.size();
}

size_t PagePool::used_bytes() const {
  const std::lock_guard lock(mutex_);
  return used_count_ * page_bytes_;
}

void KvPages::reserve(int64_t token_count) {
  const int64_t missing = pages_for(token_count) - static_cast<int64_t>(pages_.size());
  if (missing > 0) pool_->acquire(static_cast<size_t>(missing), pages_);
}

void KvPages::shrink(int64_t token_count) noexcept {
  const size_t kept = static_cast<size_t>(pages_for(token_count));
  if (kept >= pages_.size()) return;
  pool_->release(std::span(pages_).subspan(kept));
  pages_.resize(kept);
}

}  // namespace minimax
