// SPDX-License-Identifier: Apache-2.0
// Pages: handed out and taken back, all of a request or nothing of it.
#include "engine/state/kv_pages.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <thread>

#include "base/error.h"
#include "tests/engine/state/counting_memory.h"

namespace minimax {
namespace {

using testing::CountingMemory;

constexpr size_t page_bytes = 128;

minimax_status status_of_acquire(PagePool& pool, size_t count, std::vector<std::byte*>& pages,
                                 std::string* message = nullptr) {
  try {
    pool.acquire(count, pages);
  } catch (const Error& error) {
    if (message) *message = error.message();
    return error.status();
  }
  return MINIMAX_OK;
}

TEST(PagePool, AppendsPagesThatDiffer) {
  CountingMemory memory;
  PagePool pool(memory, page_bytes, 0);
  std::vector<std::byte*> pages;
  pool.acquire(3, pages);
  pool.acquire(0, pages);
  pool.acquire(2, pages);
  EXPECT_EQ(std::set<std::byte*>(pages.begin(), pages.end()).size(), 5u);
  EXPECT_EQ(pool.used_bytes(), 5 * page_bytes);
  EXPECT_EQ(memory.taken_bytes, 5 * page_bytes);
  pool.release(pages);
}

TEST(PagePool, HandsOutAgainWhatCameBack) {
  CountingMemory memory;
  PagePool pool(memory, page_bytes, 0);
  std::vector<std::byte*> first, second;
  pool.acquire(4, first);
  const std::set<std::byte*> before(first.begin(), first.end());
  pool.release(first);
  EXPECT_EQ(pool.used_bytes(), 0u);
  pool.acquire(4, second);
  EXPECT_EQ(std::set<std::byte*>(second.begin(), second.end()), before);
  EXPECT_EQ(memory.taken_count, 4u);
  pool.release(second);
}

TEST(PagePool, ReturnsAllMemoryAtItsEnd) {
  CountingMemory memory;
  {
    PagePool pool(memory, page_bytes, 0);
    std::vector<std::byte*> pages;
    pool.acquire(7, pages);
    pool.release(pages);
    EXPECT_EQ(memory.taken_count, 7u);
  }
  EXPECT_EQ(memory.taken_count, 0u);
}

TEST(PagePool, GivesNothingPastItsLimit) {
  CountingMemory memory;
  PagePool pool(memory, page_bytes, 3 * page_bytes + 1);
  std::vector<std::byte*> pages;
  pool.acquire(2, pages);
  std::string message;
  EXPECT_EQ(status_of_acquire(pool, 2, pages, &message), MINIMAX_CONTEXT_FULL);
  EXPECT_EQ(message, "keys and values: 512 bytes needed, limit 385 (kv_bytes_limit)");
  EXPECT_EQ(pages.size(), 2u);
  EXPECT_EQ(pool.used_bytes(), 2 * page_bytes);
  EXPECT_EQ(status_of_acquire(pool, 1, pages), MINIMAX_OK);
  EXPECT_EQ(status_of_acquire(pool, 1, pages), MINIMAX_CONTEXT_FULL);
  pool.release(std::span(pages).first(1));
  pages.erase(pages.begin());
  EXPECT_EQ(status_of_acquire(pool, 1, pages), MINIMAX_OK);
  pool.release(pages);
}

TEST(PagePool, GivesNothingWhenMemoryEndsHalfway) {
  CountingMemory memory;
  PagePool pool(memory, page_bytes, 0);
  std::vector<std::byte*> pages;
  pool.acquire(1, pages);
  memory.left = 2;
  EXPECT_EQ(status_of_acquire(pool, 3, pages), MINIMAX_OUT_OF_MEMORY);
  EXPECT_EQ(pages.size(), 1u);
  EXPECT_EQ(pool.used_bytes(), page_bytes);
  // The two that were had stay in the pool, for whoever wants no more.
  EXPECT_EQ(status_of_acquire(pool, 2, pages), MINIMAX_OK);
  EXPECT_EQ(status_of_acquire(pool, 1, pages), MINIMAX_OUT_OF_MEMORY);
  EXPECT_EQ(pages.size(), 3u);
  pool.release(pages);
}

TEST(PagePool, ServesThreads) {
  CountingMemory memory;
  // Every page there can be exists already: CountingMemory is for one thread.
  PagePool pool(memory, page_bytes, 0);
  std::vector<std::byte*> all;
  pool.acquire(40, all);
  pool.release(all);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&pool, i] {
      for (int round = 0; round < 500; ++round) {
        std::vector<std::byte*> pages;
        pool.acquire(static_cast<size_t>(1 + (round + i) % 10), pages);
        for (std::byte* page : pages) *page = static_cast<std::byte>(i);
        for (std::byte* page : pages) EXPECT_EQ(*page, static_cast<std::byte>(i));
        pool.release(pages);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(pool.used_bytes(), 0u);
  EXPECT_EQ(memory.taken_count, 40u);
}

TEST(KvPages, HasRoomForWhatWasReserved) {
  PagePool pool(host_memory(), page_bytes, 0);
  KvPages pages(pool, 16);
  size_t expected = 0;
  for (const int64_t count : {0, 1, 15, 16, 17, 16, 1, 32, 33}) {
    pages.reserve(count);
    expected = std::max(expected, static_cast<size_t>((count + 15) / 16));
    EXPECT_EQ(pages.pages().size(), expected) << count << " tokens";
    EXPECT_EQ(pages.size_bytes(), expected * page_bytes);
  }
}

TEST(KvPages, KeepsItsFirstPagesWhenItShrinksAndGrows) {
  PagePool pool(host_memory(), page_bytes, 0);
  KvPages pages(pool, 16);
  pages.reserve(80);
  const std::vector<std::byte*> before(pages.pages().begin(), pages.pages().end());
  pages.shrink(33);
  EXPECT_EQ(pages.pages().size(), 3u);
  EXPECT_EQ(pool.used_bytes(), 3 * page_bytes);
  pages.shrink(100);
  EXPECT_EQ(pages.pages().size(), 3u);
  pages.reserve(64);
  EXPECT_TRUE(std::equal(before.begin(), before.begin() + 3, pages.pages().begin()));
  pages.clear();
  EXPECT_EQ(pages.pages().size(), 0u);
  EXPECT_EQ(pool.used_bytes(), 0u);
}

TEST(KvPages, KeepsWhatItHasWhenAReserveIsRefused) {
  PagePool pool(host_memory(), page_bytes, 2 * page_bytes);
  KvPages pages(pool, 16);
  pages.reserve(20);
  const std::vector<std::byte*> before(pages.pages().begin(), pages.pages().end());
  EXPECT_THROW(pages.reserve(33), Error);
  EXPECT_TRUE(std::equal(before.begin(), before.end(), pages.pages().begin(), pages.pages().end()));
}

TEST(KvPages, GivesEverythingBackAtItsEnd) {
  PagePool pool(host_memory(), page_bytes, 0);
  {
    KvPages a(pool, 16), b(pool, 16);
    a.reserve(100);
    b.reserve(1);
    EXPECT_EQ(pool.used_bytes(), 8 * page_bytes);
  }
  EXPECT_EQ(pool.used_bytes(), 0u);
}

}  // namespace
}  // namespace minimax
