// SPDX-License-Identifier: Apache-2.0
// Memory in pages of 2 MiB: for what is large, or read at random places.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>
#include <vector>

namespace minimax {

inline constexpr size_t large_page_bytes = size_t{2} << 20;

// Asks the system for pages of that size for all of this memory that fills them: 512 times fewer to be
// made, and to be found. A wish: refusal is no harm.
inline void wish_for_large_pages(void* memory, size_t size_bytes) {
#ifdef MADV_HUGEPAGE
  const auto begin = reinterpret_cast<uintptr_t>(memory);
  const uintptr_t first = (begin + large_page_bytes - 1) / large_page_bytes * large_page_bytes;
  const uintptr_t last = (begin + size_bytes) / large_page_bytes * large_page_bytes;
  if (first < last) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#else
  (void)memory, (void)size_bytes;
#endif
}

// An allocator of the standard library that asks the system for pages of 2 MiB, so that a look at a
// table does not also wait for the page's address. Small amounts come from operator new as usual.
template <typename T>
class LargePageAllocator {
 public:
  using value_type = T;
  LargePageAllocator() = default;
  template <typename U>
  LargePageAllocator(const LargePageAllocator<U>&) {}

  T* allocate(size_t count) {
    if (count > std::numeric_limits<size_t>::max() / sizeof(T)) throw std::bad_array_new_length();
    const size_t bytes = count * sizeof(T);
    if (bytes < large_page_bytes) return static_cast<T*>(::operator new(bytes));
    void* const memory = ::operator new(bytes, std::align_val_t(large_page_bytes));
    wish_for_large_pages(memory, bytes);
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, size_t count) {
    if (count * sizeof(T) < large_page_bytes) return ::operator delete(memory);
    ::operator delete(memory, std::align_val_t(large_page_bytes));
  }
  friend bool operator==(const LargePageAllocator&, const LargePageAllocator&) { return true; }
};

template <typename T>
using LargeVector = std::vector<T, LargePageAllocator<T>>;

}  // namespace minimax
