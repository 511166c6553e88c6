// SPDX-License-Identifier: Apache-2.0
#include "failing_allocations.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <new>

#if !defined(__SANITIZE_ADDRESS__) && defined(__GLIBC__)
#define MINIMAX_REPLACES_MALLOC
extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* old, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
void __libc_free(void* data);
}
#endif

namespace {

std::atomic<bool> armed{false};
std::atomic<int64_t> counted{0}, fails_at{0}, live{0};
std::atomic<bool> failed{false};
std::atomic<bool> fails_on{false};

bool allowed() {
  if (!armed) return true;
  const int64_t number = ++counted, last = fails_at;
  const bool fails = last > 0 && (number == last || (fails_on && number > last));
  if (fails) failed = true;
  return !fails;
}

void* count(void* data) {
  if (data) ++live;
  return data;
}

#ifdef MINIMAX_REPLACES_MALLOC
void* raw_aligned(size_t alignment, size_t size) {
  return __libc_memalign(alignment, size);
}
void raw_free(void* data) {
  __libc_free(data);
}
#else
void* raw_aligned(size_t alignment, size_t size) {
  return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}
void raw_free(void* data) {
  std::free(data);
}
#endif

void* allocate(size_t size, size_t alignment = alignof(std::max_align_t)) noexcept {
  if (!allowed()) return nullptr;
  return count(raw_aligned(alignment, std::max<size_t>(size, 1)));
}

void* allocate_or_throw(size_t size, size_t alignment = alignof(std::max_align_t)) {
  void* const data = allocate(size, alignment);
  if (!data) throw std::bad_alloc();
  return data;
}

void release(void* data) noexcept {
  if (!data) return;
  --live;
  raw_free(data);
}

}  // namespace

void* operator new(size_t size) {
  return allocate_or_throw(size);
}
void* operator new[](size_t size) {
  return allocate_or_throw(size);
}
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return allocate(size);
}
void* operator new[](size_t size, const std::nothrow_t&) noexcept {
  return allocate(size);
}
void* operator new(size_t size, std::align_val_t alignment) {
  return allocate_or_throw(size, static_cast<size_t>(alignment));
}
void* operator new[](size_t size, std::align_val_t alignment) {
  return allocate_or_throw(size, static_cast<size_t>(alignment));
}
void* operator new(size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return allocate(size, static_cast<size_t>(alignment));
}
void* operator new[](size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return allocate(size, static_cast<size_t>(alignment));
}
void operator delete(void* data) noexcept {
  release(data);
}
void operator delete[](void* data) noexcept {
  release(data);
}
void operator delete(void* data, size_t) noexcept {
  release(data);
}
void operator delete[](void* data, size_t) noexcept {
  release(data);
}
void operator delete(void* data, std::align_val_t) noexcept {
  release(data);
}
void operator delete[](void* data, std::align_val_t) noexcept {
  release(data);
}
void operator delete(void* data, size_t, std::align_val_t) noexcept {
  release(data);
}
void operator delete[](void* data, size_t, std::align_val_t) noexcept {
  release(data);
}
void operator delete(void* data, const std::nothrow_t&) noexcept {
  release(data);
}
void operator delete[](void* data, const std::nothrow_t&) noexcept {
  release(data);
}
void operator delete(void* data, std::align_val_t, const std::nothrow_t&) noexcept {
  release(data);
}
void operator delete[](void* data, std::align_val_t, const std::nothrow_t&) noexcept {
  release(data);
}

#ifdef MINIMAX_REPLACES_MALLOC
// Libraries in C ask here.
#pragma GCC visibility push(default)
extern "C" {
void* malloc(size_t size) {
  if (allowed()) return count(__libc_malloc(size));
  errno = ENOMEM;
  return nullptr;
}
void* calloc(size_t items, size_t size) {
  if (allowed()) return count(__libc_calloc(items, size));
  errno = ENOMEM;
  return nullptr;
}
void* realloc(void* old, size_t size) {
  if (!allowed()) {
    errno = ENOMEM;
    return nullptr;
  }
  void* const data = __libc_realloc(old, size);
  if (!old) return count(data);
  if (size == 0 && !data) --live;
  return data;
}
void free(void* data) {
  release(data);
}
}
#pragma GCC visibility pop
#endif

namespace minimax::testing {

void plan_failure(int64_t k, Failing failing) {
  counted = 0;
  failed = false;
  fails_on = failing == Failing::until_disarmed;
  fails_at = k;
}

bool has_failed() {
  return failed;
}
int64_t counted_allocations() {
  return counted;
}
int64_t live_allocations() {
  return live;
}

Armed::Armed() {
  armed = true;
}
// What failed until here goes on failing no longer.
Armed::~Armed() {
  armed = false;
  if (failed) fails_on = false;
}

}  // namespace minimax::testing
