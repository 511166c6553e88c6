// SPDX-License-Identifier: Apache-2.0
// Instructions of a single thread: moves, comparisons, loads and stores, and those that mean nothing here.
#include <cmath>

#include "tests/simt/machine.h"
#include "tests/simt/ptx.h"

namespace simt {
namespace {

uint64_t low_bits(uint64_t bits, size_t size_bytes) {
  return size_bytes >= 8 ? bits : bits & ((uint64_t{1} << (8 * size_bytes)) - 1);
}

template <typename T>
bool compare(const std::string& how, T a, T b) {
  if (how == "eq") return a == b;
  if (how == "ne") return a != b;
  if (how == "lt" || how == "lo") return a < b;
  if (how == "le" || how == "ls") return a <= b;
  if (how == "gt" || how == "hi") return a > b;
  if (how == "ge" || how == "hs") return a >= b;
  fail("no emulation of the comparison " + how);
}

// setp.ne.b32 p, a, b
Action comparison(const Instruction& instruction) {
  const size_t size = instruction.type_bytes();
  const char letter = instruction.type_letter();
  const std::string how = instruction.words[1];
  return [=](Frame& frame) {
    const uint64_t a = low_bits(frame.get(1), size), b = low_bits(frame.get(2), size);
    bool result = false;
    if (letter == 'f') {
      result = compare(how, value_of<float>(a), value_of<float>(b));
    } else if (letter == 's') {
      result = compare(how, static_cast<int64_t>(a << (64 - 8 * size)),
                       static_cast<int64_t>(b << (64 - 8 * size)));
    } else {
      result = compare(how, a, b);
    }
    frame.set(0, result);
  };
}

// ex2.approx.ftz.f32 and its like
template <float function(float)>
void apply(Frame& frame) {
  frame.set(0, bits_of(function(value_of<float>(frame.get(1)))));
}
float reciprocal(float x) {
  return 1.0f / x;
}
float reciprocal_root(float x) {
  return 1.0f / std::sqrt(x);
}

// Where a load or a store goes: the address of its bytes.
std::byte* memory_of(bool is_shared, uint64_t address, size_t size_bytes, const char* what) {
  if (is_shared) {
    return shared_memory(static_cast<uint32_t>(address), size_bytes, size_bytes, what);
  }
  auto* memory = reinterpret_cast<std::byte*>(address);
  check_global(memory, size_bytes, size_bytes, what);
  return memory;
}

bool is_shared(const Instruction& instruction) {
  return instruction.has("shared") || instruction.has("shared::cta") ||
         instruction.has("shared::cluster");
}

// ld.global.v4.f32 {a, b, c, d}, [address]
Action load(const Instruction& instruction) {
  const bool shared = is_shared(instruction);
  const size_t size = instruction.type_bytes();
  return [=](Frame& frame) {
    const Argument& to = frame.argument(0);
    const bool is_vector = to.kind == Argument::Kind::vector;
    const size_t count = is_vector ? to.parts.size() : 1;
    const std::byte* from = memory_of(shared, frame.get(1), size * count, "ld");
    for (size_t i = 0; i < count; ++i) {
      uint64_t bits = 0;
      std::memcpy(&bits, from + i * size, size);
      frame.set(is_vector ? to.parts[i] : to, bits);
    }
  };
}

// st.shared.v2.b32 [address], {a, b}
Action store(const Instruction& instruction) {
  const bool shared = is_shared(instruction);
  const size_t size = instruction.type_bytes();
  return [=](Frame& frame) {
    const Argument& from = frame.argument(1);
    const bool is_vector = from.kind == Argument::Kind::vector;
    const size_t count = is_vector ? from.parts.size() : 1;
    std::byte* to = memory_of(shared, frame.get(0), size * count, "st");
    for (size_t i = 0; i < count; ++i) {
      const uint64_t bits = frame.get(is_vector ? from.parts[i] : from);
      std::memcpy(to + i * size, &bits, size);
    }
  };
}

void nothing(Frame&) {
}

// setmaxnreg.inc.sync.aligned.u32 n
void change_registers(Frame& frame) {
  const uint64_t count = frame.get(0);
  if (count < 24 || count > 256 || count % 8 != 0) {
    fail("setmaxnreg asks for " + std::to_string(count) +
         " registers, expected a multiple of 8 from 24 to 256");
  }
}

}  // namespace

Action scalar_action(const Instruction& instruction) {
  const std::string& name = instruction.words[0];
  if (name == "mov") {
    return [size = instruction.type_bytes()](Frame& frame) {
      frame.set(0, low_bits(frame.get(1), size));
    };
  }
  if (name == "setp") return comparison(instruction);
  if (name == "selp") {
    return [](Frame& frame) { frame.set(0, frame.get(3) ? frame.get(1) : frame.get(2)); };
  }
  if (name == "mapa") {
    return [](Frame& frame) {
      frame.set(
          0, map_shared(static_cast<uint32_t>(frame.get(1)), static_cast<uint32_t>(frame.get(2))));
    };
  }
  if (name == "ex2") return apply<std::exp2>;
  if (name == "lg2") return apply<std::log2>;
  if (name == "tanh") return apply<std::tanh>;
  if (name == "rcp") return apply<reciprocal>;
  if (name == "rsqrt") return apply<reciprocal_root>;
  if (name == "sqrt") return apply<std::sqrt>;
  if (name == "ld") return load(instruction);
  if (name == "st") return store(instruction);
  if (name == "setmaxnreg") return change_registers;
  if (name == "fence" || name == "membar" || name == "griddepcontrol" || name == "prefetch" ||
      name == "discard" || name == "nanosleep") {
    return nothing;
  }
  return {};
}

}  // namespace simt
