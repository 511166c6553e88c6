// SPDX-License-Identifier: Apache-2.0
// Instructions that a whole warp executes together: matrices to and from shared memory, and products.
#include "tests/simt/fragments.h"
#include "tests/simt/machine.h"
#include "tests/simt/ptx.h"

namespace simt {
namespace {

void check_whole(const Gathering& gathering) {
  if (gathering.arrived != ~0u) {
    fail(std::string(gathering.name) + ": some lanes of the warp have ended or never were");
  }
}

Frame& lane_frame(const Gathering& gathering, uint32_t lane) {
  return *static_cast<Frame*>(gathering.arguments[lane]);
}

// The whole warp runs `perform`, from the same place in the program.
Action together(const char* name, void (*perform)(Gathering&)) {
  return [=](Frame& frame) { gather(~0u, frame.instruction, name, &frame, perform); };
}

// Which matrix a register number is of, in ldmatrix and stmatrix.
struct MatrixOptions {
  size_t count;
  bool transposed;

  explicit MatrixOptions(const Instruction& instruction)
      : count(instruction.has("x4")   ? 4
              : instruction.has("x2") ? 2
                                      : 1),
        transposed(instruction.has("trans")) {}
};

const Argument& register_of(const Argument& registers, size_t i) {
  return registers.kind == Argument::Kind::vector ? registers.parts[i] : registers;
}

// ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {r, ..}, [address]
//
// Lane 8 i + r has the address of row r of matrix i. Of each matrix lane l receives the elements
// (l / 4, 2 (l % 4)) and the one right of it; transposed: (2 (l % 4), l / 4) and the one below.
void load_matrices(Gathering& gathering) {
  check_whole(gathering);
  const MatrixOptions options(*lane_frame(gathering, 0).instruction);
  for (size_t i = 0; i < options.count; ++i) {
    uint16_t matrix[8][8];
    for (uint32_t row = 0; row < 8; ++row) {
      const auto lane = static_cast<uint32_t>(8 * i) + row;
      const auto address = static_cast<uint32_t>(lane_frame(gathering, lane).get(1));
      std::memcpy(matrix[row], shared_memory(address, 16, 16, "ldmatrix"), 16);
    }
    for (uint32_t lane = 0; lane < warp_lanes; ++lane) {
      const uint32_t row = lane / 4, column = lane % 4 * 2;
      const uint32_t low = options.transposed ? matrix[column][row] : matrix[row][column];
      const uint32_t high = options.transposed ? matrix[column + 1][row] : matrix[row][column + 1];
      Frame& frame = lane_frame(gathering, lane);
      frame.set(register_of(frame.argument(0), i), low | high << 16);
    }
  }
}

// stmatrix: the other way.
void store_matrices(Gathering& gathering) {
  check_whole(gathering);
  const MatrixOptions options(*lane_frame(gathering, 0).instruction);
  for (size_t i = 0; i < options.count; ++i) {
    uint16_t matrix[8][8];
    for (uint32_t lane = 0; lane < warp_lanes; ++lane) {
      const Frame& frame = lane_frame(gathering, lane);
      const uint64_t bits = frame.get(register_of(frame.argument(1), i));
      const uint32_t row = lane / 4, column = lane % 4 * 2;
      (options.transposed ? matrix[column][row] : matrix[row][column]) =
          static_cast<uint16_t>(bits);
      (options.transposed ? matrix[column + 1][row] : matrix[row][column + 1]) =
          static_cast<uint16_t>(bits >> 16);
    }
    for (uint32_t row = 0; row < 8; ++row) {
      const auto lane = static_cast<uint32_t>(8 * i) + row;
      const auto address = static_cast<uint32_t>(lane_frame(gathering, lane).get(0));
      std::memcpy(shared_memory(address, 16, 16, "stmatrix"), matrix[row], 16);
    }
  }
}

// mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 d, a, b, c: d [16, 8] = a [16, 16] b [16, 8] + c.
//
// With g = lane / 4 and t = lane % 4, two neighbours of k in a register, the lower in its lower half:
// a: rows g, g + 8, g, g + 8, k from 2 t, 2 t, 2 t + 8, 2 t + 8; b: column g, k from 2 t, 2 t + 8;
// c, d: rows g, g, g + 8, g + 8, columns 2 t, 2 t + 1, 2 t, 2 t + 1.
void multiply_16_8_16(Gathering& gathering) {
  check_whole(gathering);
  float a[16][16], b[16][8], sums[16][8];
  for (uint32_t lane = 0; lane < warp_lanes; ++lane) {
    const Frame& frame = lane_frame(gathering, lane);
    const uint32_t g = lane / 4, t = lane % 4;
    for (uint32_t i = 0; i < 4; ++i) {
      const auto pair = static_cast<uint32_t>(frame.get(frame.argument(1).parts[i]));
      put_pair(pair, &a[g + i % 2 * 8][2 * t + i / 2 * 8], 1);
      sums[g + i / 2 * 8][2 * t + i % 2] = value_of<float>(frame.get(frame.argument(3).parts[i]));
    }
    for (uint32_t i = 0; i < 2; ++i) {
      const auto pair = static_cast<uint32_t>(frame.get(frame.argument(2).parts[i]));
      put_pair(pair, &b[2 * t + i * 8][g], 8);
    }
  }
  for (int row = 0; row < 16; ++row) {
    float products[8] = {};
    for (int k = 0; k < 16; ++k) {
      for (int column = 0; column < 8; ++column) products[column] += a[row][k] * b[k][column];
    }
    for (int column = 0; column < 8; ++column) sums[row][column] += products[column];
  }
  for (uint32_t lane = 0; lane < warp_lanes; ++lane) {
    Frame& frame = lane_frame(gathering, lane);
    const uint32_t g = lane / 4, t = lane % 4;
    for (uint32_t i = 0; i < 4; ++i) {
      frame.set(frame.argument(0).parts[i], bits_of(sums[g + i / 2 * 8][2 * t + i % 2]));
    }
  }
}

bool is_bf16_product(const Instruction& instruction) {
  return instruction.text.find("m16n8k16.row.col.f32.bf16.bf16.f32") != std::string::npos;
}

}  // namespace

Action warp_action(const Instruction& instruction) {
  const std::string& name = instruction.words[0];
  const bool is_m8n8 = instruction.has("m8n8") && instruction.has("b16");
  if (name == "ldmatrix" && is_m8n8) return together("ldmatrix", load_matrices);
  if (name == "stmatrix" && is_m8n8) return together("stmatrix", store_matrices);
  if (name == "mma" && is_bf16_product(instruction)) return together("mma.sync", multiply_16_8_16);
  return {};
}

}  // namespace simt
