// SPDX-License-Identifier: Apache-2.0
// Memory for tables of several megabytes that are read at random places.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <limits>
#include <new>
#include <vector>

namespace minimax {

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
    if (bytes < page_bytes) return static_cast<T*>(::operator new(bytes));
    void* const memory = ::operator new(bytes, std::align_val_t(page_bytes));
#ifdef MADV_HUGEPAGE
    ::madvise(memory, bytes / page_bytes * page_bytes,
              MADV_HUGEPAGE);  // a wish: refusal is no harm
#endif
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, size_t count) {
    if (count * sizeof(T) < page_bytes) return ::operator delete(memory);
    ::operator delete(memory, std::align_val_t(page_bytes));
  }
  friend bool operator==(const LargePageAllocator&, const LargePageAllocator&) {
    return true;
  }

 private:
  static constexpr size_t page_bytes = size_t{2} << 20;
};

template <typename T>
using LargeVector = std::vector<T, LargePageAllocator<T>>;

}  // namespace minimax
