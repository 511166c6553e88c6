// SPDX-License-Identifier: Apache-2.0
// Pages of keys and values: an engine's pool of them, and the row of pages of one session.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/tensor/memory.h"

namespace minimax {

// Hands out pages of one size and takes them back; a page that came back is handed out again. A page may
// have several owners: it comes back when the last has released it. Any thread. The Memory must outlive
// it.
class PagePool {
 public:
  // limit_bytes 0: no limit but the memory's own.
  PagePool(Memory& memory, size_t page_bytes, size_t limit_bytes);
  ~PagePool();
  PagePool(const PagePool&) = delete;
  PagePool& operator=(const PagePool&) = delete;

  // Appends `count` pages to `pages`, or none: MINIMAX_CONTEXT_FULL past the limit,
  // MINIMAX_OUT_OF_MEMORY.
  void acquire(size_t count, std::vector<std::byte*>& pages);
  void release(std::span<std::byte* const> pages) noexcept;
  // One more owner for each of these; all of them or none: MINIMAX_OUT_OF_MEMORY.
  void share(std::span<std::byte* const> pages);
  bool is_shared(std::byte* page) const;
  size_t owner_count(std::byte* page) const;

  size_t page_bytes() const { return page_bytes_; }
  size_t used_bytes() const;
  // Pages that may still be handed out before the limit, and of these (or of any number, without a
  // limit) those that are there already.
  struct Left {
    size_t within_limit;  // SIZE_MAX without one
    size_t at_hand;
  };
  Left left() const;

 private:
  Memory& memory_;
  const size_t page_bytes_;
  const size_t limit_bytes_;
  mutable std::mutex mutex_;
  size_t used_count_ = 0;                               // a page with several owners counts once
  std::unordered_map<std::byte*, size_t> more_owners_;  // of pages with several: how many but one
  std::vector<std::byte*> free_;  // capacity for all pages there are, so that release cannot fail
};

// The pages of one session, in the order of its tokens. One thread at a time.
class KvPages {
 public:
  // page_tokens: tokens a page has room for. The pool must outlive the object.
  KvPages(PagePool& pool, int64_t page_tokens) : pool_(&pool), page_tokens_(page_tokens) {}
  // Empty pages of the same pool and size.
  static KvPages like(const KvPages& other) { return {*other.pool_, other.page_tokens_}; }
  ~KvPages() { clear(); }
  KvPages(const KvPages&) = delete;
  KvPages& operator=(const KvPages&) = delete;

  // How many pages the pool will be asked for when `count` tokens follow those before `position`.
  int64_t needed(int64_t position, int64_t count) const;
  // Room for so many tokens altogether; all or nothing, errors as PagePool::acquire.
  void reserve(int64_t token_count);
  // Owns the same pages as another, as far as its first token_count tokens need them.
  void share(const KvPages& other, int64_t token_count);
  // Sees to it that the page of the next token after `token_count` is nobody else's: what it holds is
  // copied. Errors as PagePool::acquire, with everything as it was.
  void own_next(int64_t token_count, Memory& memory);
  // Gives back what is not needed for so many tokens.
  void shrink(int64_t token_count) noexcept;
  void clear() noexcept { shrink(0); }

  std::span<std::byte* const> pages() const { return pages_; }
  int64_t page_tokens() const { return page_tokens_; }
  size_t size_bytes() const { return pages_.size() * pool_->page_bytes(); }

 private:
  int64_t pages_for(int64_t token_count) const {
    return (token_count + page_tokens_ - 1) / page_tokens_;
  }

  PagePool* pool_;
  int64_t page_tokens_;
  std::vector<std::byte*> pages_;
};

}  // namespace minimax
