// SPDX-License-Identifier: Apache-2.0
// Inline PTX as a program: statements that are read once, and actions that do what they say.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/simt/kernel.h"

namespace simt {

// An argument of an instruction.
struct Argument {
  enum class Kind { operand, local, immediate, special, vector, address, sink };
  Kind kind = Kind::sink;
  int64_t number = 0;           // which operand or local; the value; of an address what is added
  std::string name;             // of a special register
  std::vector<Argument> parts;  // of a vector; of an address the base and a vector of coordinates
};

struct Frame;
struct Instruction;
using Action = std::function<void(Frame&)>;

struct Instruction {
  std::string text;
  std::vector<std::string> words;  // "mbarrier", "try_wait", "parity", ..
  std::vector<Argument> arguments;
  int predicate = -1;  // local, or none
  bool negated = false;
  Action action;

  bool has(std::string_view word) const;
  // The size that the last type among the words has: 4 of .f32.
  size_t type_bytes() const;
  char type_letter() const;
};

// A run of a program by one thread.
struct Frame {
  const Instruction* instruction;
  Operand* operands;
  uint64_t locals[16];

  const Argument& argument(size_t i) const { return instruction->arguments[i]; }
  size_t argument_count() const { return instruction->arguments.size(); }
  uint64_t get(const Argument& argument) const;
  uint64_t get(size_t i) const { return get(argument(i)); }
  int64_t get_signed(size_t i) const { return static_cast<int32_t>(get(i)); }
  void set(const Argument& argument, uint64_t bits);
  void set(size_t i, uint64_t bits) { set(argument(i), bits); }
};

// What an instruction does. Instructions of the same name are told apart by their words.
Action action_of(const Instruction& instruction);

// The families of instructions; an empty action: not one of them.
Action scalar_action(const Instruction& instruction);
Action warp_action(const Instruction& instruction);
Action barrier_action(const Instruction& instruction);
Action copy_action(const Instruction& instruction);
Action bulk_action(const Instruction& instruction);
Action product_action(const Instruction& instruction);

}  // namespace simt
