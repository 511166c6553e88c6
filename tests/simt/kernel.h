// SPDX-License-Identifier: Apache-2.0
// What the text of a kernel calls: the machine, as one of its threads sees it.
#pragma once

#include <vector_types.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>

// Where the running thread is: set whenever another one goes on.
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;

namespace simt {

// Ends the launch: cudaErrorLaunchFailure, with the sentence.
[[noreturn]] void fail(const std::string& sentence);

// First thing in every kernel.
void enter_kernel(const char* name, dim3 cluster, unsigned most_threads);

// The block's own copy of a shared variable; each declaration has a key.
void* shared_variable(const void* key, size_t size_bytes, size_t alignment);
template <typename T, typename Declaration>
T& shared_variable(Declaration) {
  static const char key = 0;
  return *static_cast<T*>(shared_variable(&key, sizeof(T), alignof(T)));
}
// The dynamic shared memory. No better aligned than it says, and than all memory is.
void* dynamic_shared(size_t alignment);

// Addresses of shared memory as instructions have them: 32 bits.
uint32_t shared_address(const void* pointer);

void block_barrier();
void warp_barrier(uint32_t mask);

template <typename T>
uint64_t bits_of(T value) {
  static_assert(sizeof(T) <= sizeof(uint64_t) && std::is_trivially_copyable_v<T>);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}
template <typename T>
T value_of(uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

enum class Shuffle { index, up, down, exclusive_or };
uint64_t shuffle_bits(Shuffle kind, uint32_t mask, uint64_t bits, int lanes, int width);
template <typename T>
T shuffle(Shuffle kind, uint32_t mask, T value, int lanes, int width) {
  return value_of<T>(shuffle_bits(kind, mask, bits_of(value), lanes, width));
}

// Lanes of the mask for which the predicate holds.
uint32_t ballot(uint32_t mask, bool predicate);
// Lanes of the mask with the same bits.
uint32_t match(uint32_t mask, uint64_t bits);
// What each lane of the mask gave; those that did not are left out. Returns which gave.
uint32_t exchange(uint32_t mask, uint64_t bits, uint64_t (&all)[32]);

template <typename T, typename Join>
T reduce(uint32_t mask, T value, const Join& join) {
  uint64_t all[32];
  uint32_t given = exchange(mask, bits_of(value), all);
  T sum{};
  bool first = true;
  for (int lane = 0; lane < 32; ++lane) {
    if (!(given >> lane & 1)) continue;
    sum = first ? value_of<T>(all[lane]) : join(sum, value_of<T>(all[lane]));
    first = false;
  }
  return sum;
}

// An operand of inline PTX. place: the variable that it is, if it is written; bits: its value before.
struct Operand {
  void* place = nullptr;
  uint64_t bits = 0;
  uint8_t size_bytes = 0;
};

template <char constraint, typename T>
constexpr bool fits_constraint() {
  switch (constraint) {
    case 'h':
      return sizeof(T) == 2;
    case 'r':
      return sizeof(T) == 4;
    case 'f':
      return std::is_same_v<T, float>;
    case 'l':
      return sizeof(T) == 8;
    case 'd':
      return std::is_same_v<T, double>;
    case 'n':
      return std::is_integral_v<T>;
    default:
      return false;
  }
}
template <char constraint, typename T>
Operand input(T value) {
  static_assert(fits_constraint<constraint, T>(), "the constraint names another type");
  if constexpr (constraint == 'n') {
    return {nullptr, static_cast<uint64_t>(static_cast<int64_t>(value)), 8};
  } else {
    return {nullptr, bits_of(value), sizeof(T)};
  }
}
template <char constraint, typename T>
Operand output(T& variable) {
  static_assert(fits_constraint<constraint, T>(), "the constraint names another type");
  return {&variable, 0, sizeof(T)};
}
template <char constraint, typename T>
Operand changed(T& variable) {
  static_assert(fits_constraint<constraint, T>(), "the constraint names another type");
  return {&variable, bits_of(variable), sizeof(T)};
}

// Inline PTX, read once and run often.
class Program;
class Assembly {
 public:
  explicit Assembly(const char* text) : text_(text) {}
  ~Assembly();
  Assembly(const Assembly&) = delete;
  Assembly& operator=(const Assembly&) = delete;

  void run(Operand* operands) const;

 private:
  const char* text_;
  mutable Program* program_ = nullptr;
};

}  // namespace simt
