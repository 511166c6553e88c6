// SPDX-License-Identifier: Apache-2.0
#include "engine/state/kv_pages.h"

#include <algorithm>
#include <cstdint>
#include <utility>

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
  for (std::byte* page : pages) {
    const auto shared = more_owners_.find(page);
    if (shared == more_owners_.end()) {
      free_.push_back(page);
      --used_count_;
    } else if (--shared->second == 0) {
      more_owners_.erase(shared);
    }
  }
}

void PagePool::share(std::span<std::byte* const> pages) {
  const std::lock_guard lock(mutex_);
  more_owners_.reserve(more_owners_.size() + pages.size());
  size_t done = 0;
  try {
    for (; done < pages.size(); ++done) ++more_owners_[pages[done]];
  } catch (...) {
    for (std::byte* page : pages.first(done)) {
      if (--more_owners_[page] == 0) more_owners_.erase(page);
    }
    throw;
  }
}

bool PagePool::is_shared(std::byte* page) const {
  const std::lock_guard lock(mutex_);
  return more_owners_.contains(page);
}

size_t PagePool::owner_count(std::byte* page) const {
  const std::lock_guard lock(mutex_);
  const auto shared = more_owners_.find(page);
  return shared == more_owners_.end() ? 1 : shared->second + 1;
}

size_t PagePool::used_bytes() const {
  const std::lock_guard lock(mutex_);
  return used_count_ * page_bytes_;
}

PagePool::Left PagePool::left() const {
  const std::lock_guard lock(mutex_);
  if (limit_bytes_ == 0) return {SIZE_MAX, free_.size()};
  const size_t most = limit_bytes_ / page_bytes_;
  return {most - std::min(most, used_count_), free_.size()};
}

int64_t KvPages::needed(int64_t position, int64_t count) const {
  const auto held = static_cast<int64_t>(pages_.size());
  const auto next = static_cast<size_t>(position / page_tokens_);
  const bool copies = count > 0 && next < pages_.size() && pool_->is_shared(pages_[next]);
  return std::max<int64_t>(pages_for(position + count) - held, 0) + (copies ? 1 : 0);
}

void KvPages::reserve(int64_t token_count) {
  const int64_t missing = pages_for(token_count) - static_cast<int64_t>(pages_.size());
  if (missing > 0) pool_->acquire(static_cast<size_t>(missing), pages_);
}

void KvPages::share(const KvPages& other, int64_t token_count) {
  const auto wanted = std::span(other.pages_).first(static_cast<size_t>(pages_for(token_count)));
  std::vector<std::byte*> pages(wanted.begin(), wanted.end());
  pool_->share(pages);
  clear();
  pages_ = std::move(pages);
}

void KvPages::own_next(int64_t token_count, Memory& memory) {
  const auto index = static_cast<size_t>(token_count / page_tokens_);
  if (index >= pages_.size() || !pool_->is_shared(pages_[index])) return;
  std::vector<std::byte*> own;
  pool_->acquire(1, own);
  std::byte* const shared = std::exchange(pages_[index], own[0]);
  if (token_count % page_tokens_ != 0) memory.copy(own[0], shared, pool_->page_bytes());
  pool_->release({&shared, 1});
}

void KvPages::shrink(int64_t token_count) noexcept {
  const size_t kept = static_cast<size_t>(pages_for(token_count));
  if (kept >= pages_.size()) return;
  pool_->release(std::span(pages_).subspan(kept));
  pages_.resize(kept);
}

}  // namespace minimax
