// SPDX-License-Identifier: Apache-2.0
// wgmma: products of a warpgroup with operands in shared memory. Each warp does its own 16 of the 64 rows.
#include <algorithm>
#include <cstdlib>
#include <memory>

#include "tests/simt/fragments.h"
#include "tests/simt/machine.h"
#include "tests/simt/ptx.h"
#include "tests/simt/tensor_box.h"

namespace simt {
namespace {

constexpr uint32_t depth = 16;  // k
constexpr uint32_t most_columns = 256;

// A matrix in shared memory: [rows, 16 k] of bf16, as 64 bits describe it.
//
//   bits 0-13   address / 16           bits 49-51  base offset
//   bits 16-29  leading offset / 16    bits 62-63  swizzle: none, 128, 64, 32 bytes
//   bits 32-45  stride offset / 16
//
// Swizzled, K-major: lines of the swizzle's width hold k; 8 rows, a line each, make a tile, and the
// stride offset leads to the next 8 rows. MN-major: lines hold rows; 8 k, a line each, make a tile,
// the stride offset leads to the next 8 k and the leading offset to the rows of the next line. Not swizzled,
// a tile is 8 lines of 16 bytes; the leading offset leads to the next 8 k, and the stride offset to the
// next 8 rows.
class Matrix {
 public:
  Matrix(uint64_t descriptor, bool rows_are_contiguous)
      : start_(static_cast<uint32_t>(descriptor & 0x3fff) << 4),
        leading_(static_cast<uint32_t>(descriptor >> 16 & 0x3fff) << 4),
        stride_(static_cast<uint32_t>(descriptor >> 32 & 0x3fff) << 4),
        rows_are_contiguous_(rows_are_contiguous) {
    if (descriptor >> 49 & 7) fail("no emulation of a descriptor with a base offset");
    constexpr CUtensorMapSwizzle modes[] = {CU_TENSOR_MAP_SWIZZLE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                                            CU_TENSOR_MAP_SWIZZLE_64B, CU_TENSOR_MAP_SWIZZLE_32B};
    swizzle_ = modes[descriptor >> 62];
    line_ = swizzle_line_bytes(swizzle_);
  }

  // numbers [16 k][rows], from row `first` on.
  void read(uint32_t first, uint32_t rows, float* numbers) const {
    for (uint32_t row = 0; row < rows; row += rows_are_contiguous_ ? 8 : 1) {
      for (uint32_t k = 0; k < depth; k += rows_are_contiguous_ ? 1 : 8) {
        uint16_t eight[8];
        std::memcpy(eight, shared_memory(place(first + row, k), 16, 16, "wgmma"), 16);
        for (uint32_t i = 0; i < 8; ++i) {
          const uint32_t at_row = rows_are_contiguous_ ? row + i : row;
          const uint32_t at_k = rows_are_contiguous_ ? k : k + i;
          numbers[at_k * rows + at_row] = from_bf16(eight[i]);
        }
      }
    }
  }

 private:
  // Of the 16 bytes with this row and k.
  uint32_t place(uint32_t row, uint32_t k) const {
    uint32_t address = start_;
    if (line_ == 0) {
      const uint32_t within = rows_are_contiguous_ ? k % 8 : row % 8;
      address += row / 8 * stride_ + k / 8 * leading_ + within * 16;
    } else if (rows_are_contiguous_) {
      const uint32_t line_rows = line_ / 2;
      address += row / line_rows * leading_ + k / 8 * stride_ + k % 8 * line_ + row % line_rows * 2;
    } else {
      address += row / 8 * stride_ + row % 8 * line_ + k * 2;
    }
    return swizzled(address, swizzle_);
  }

  uint32_t start_, leading_, stride_;
  bool rows_are_contiguous_;
  CUtensorMapSwizzle swizzle_;
  uint32_t line_;
};

// One warp's part of a product.
struct Product {
  uint32_t columns = 0;
  uint32_t first_row = 0;  // of the warp: 0, 16, 32 or 48
  bool a_in_registers = false, transposed_a = false, transposed_b = false, keeps_sums = false;
  float sign = 1;
  uint64_t a = 0, b = 0;  // descriptors
  uint32_t a_registers[warp_lanes][4];
  float* sums[warp_lanes][most_columns / 2];

  // Where sum i of a lane stands in the warp's 16 rows.
  static uint32_t row(uint32_t lane, uint32_t i) { return lane / 4 + i / 2 % 2 * 8; }
  static uint32_t column(uint32_t lane, uint32_t i) { return i / 4 * 8 + lane % 4 * 2 + i % 2; }

  void read_a(float (&rows)[depth][16]) const {
    if (!a_in_registers) {
      Matrix(a, transposed_a).read(first_row, 16, rows[0]);
      return;
    }
    // Rows l / 4, l / 4 + 8, then both again 8 k further.
    for (uint32_t lane = 0; lane < warp_lanes; ++lane) {
      for (uint32_t i = 0; i < 4; ++i) {
        put_pair(a_registers[lane][i], &rows[lane % 4 * 2 + i / 2 * 8][lane / 4 + i % 2 * 8], 16);
      }
    }
  }

  void perform() const {
    static float left[depth][16], right[depth * most_columns], all[16][most_columns];
    read_a(left);
    Matrix(b, transposed_b).read(0, columns, right);
    for (uint32_t row = 0; row < 16; ++row) {
      float* to = all[row];
      std::fill(to, to + columns, 0.0f);
      for (uint32_t k = 0; k < depth; ++k) {
        const float factor = sign * left[k][row];
        const float* from = right + k * columns;
        for (uint32_t column = 0; column < columns; ++column) to[column] += factor * from[column];
      }
    }
    for (uint32_t lane = 0; lane < warp_lanes; ++lane) {
      for (uint32_t i = 0; i < columns / 2; ++i) {
        const float old = keeps_sums ? *sums[lane][i] : 0.0f;
        *sums[lane][i] = old + all[row(lane, i)][column(lane, i)];
      }
    }
  }
};

float sign_of(const Frame& frame, size_t i) {
  const auto sign = static_cast<int64_t>(frame.get(i));
  if (sign != 1 && sign != -1) fail("wgmma scales by " + std::to_string(sign));
  return static_cast<float>(sign);
}

uint32_t columns_of(const Instruction& instruction) {
  for (const std::string& word : instruction.words) {
    if (word.starts_with("m64n")) return static_cast<uint32_t>(std::atoi(word.c_str() + 4));
  }
  return 0;
}

// In order, as they may add to the same sums.
void perform(std::vector<std::function<void()>>& products) {
  for (const auto& product : products) product();
  products.clear();
}
void perform_all(Warp& warp) {
  for (auto& group : warp.product_groups) perform(group);
  perform(warp.open_products);
}

// {sums}, a, b, keep, sign a, sign b(, transpose a), transpose b
void issue(Gathering& gathering) {
  if (gathering.arrived != ~0u) fail("wgmma.mma_async: some lanes of the warp have ended");
  Warp& warp = *current().warp;
  if (!warp.fenced) fail("wgmma.mma_async without a wgmma.fence before it");
  auto product = std::make_shared<Product>();
  const auto& first = *static_cast<const Frame*>(gathering.arguments[0]);
  product->columns = columns_of(*first.instruction);
  product->first_row = current().index / warp_lanes % 4 * 16;
  product->a_in_registers = first.argument(1).kind == Argument::Kind::vector;
  product->b = first.get(2);
  product->keeps_sums = first.get(3) != 0;
  product->sign = sign_of(first, 4) * sign_of(first, 5);
  const size_t last = first.argument_count() - 1;
  product->transposed_b = first.get(last) != 0;
  if (!product->a_in_registers) {
    product->a = first.get(1);
    product->transposed_a = first.get(last - 1) != 0;
  }
  for (uint32_t lane = 0; lane < warp_lanes; ++lane) {
    const auto& frame = *static_cast<const Frame*>(gathering.arguments[lane]);
    if (frame.get(2) != product->b || (frame.get(3) != 0) != product->keeps_sums ||
        (!product->a_in_registers && frame.get(1) != product->a)) {
      fail("wgmma.mma_async: lanes differ in what all of them must share");
    }
    for (uint32_t i = 0; product->a_in_registers && i < 4; ++i) {
      product->a_registers[lane][i] = static_cast<uint32_t>(frame.get(frame.argument(1).parts[i]));
    }
    for (uint32_t i = 0; i < product->columns / 2; ++i) {
      const Argument& sum = frame.argument(0).parts[i];
      product->sums[lane][i] = static_cast<float*>(frame.operands[sum.number].place);
    }
  }
  warp.open_products.push_back([product] { product->perform(); });
  if (!happens_late()) perform_all(warp);
}

void commit(Gathering&) {
  Warp& warp = *current().warp;
  warp.product_groups.push_back(std::move(warp.open_products));
  warp.open_products.clear();
}

void wait_for_groups(Gathering& gathering) {
  Warp& warp = *current().warp;
  const auto& frame = *static_cast<const Frame*>(gathering.arguments[current().lane]);
  for (auto& groups = warp.product_groups; groups.size() > frame.get(0); groups.pop_front()) {
    perform(groups.front());
  }
}

void fence(Gathering&) {
  current().warp->fenced = true;
}

Action together(const char* name, void (*perform)(Gathering&)) {
  return [=](Frame& frame) {
    if (options().major != 9) fail("wgmma needs sm_90a");
    if (current().block->warps.size() % 4 != 0)
      fail("wgmma in a block that is not of whole warpgroups");
    gather(~0u, frame.instruction, name, &frame, perform);
  };
}

bool is_known_product(const Instruction& instruction) {
  const size_t columns = columns_of(instruction);
  const size_t count = instruction.arguments.size();
  const bool a_in_registers = count > 1 && instruction.arguments[1].kind == Argument::Kind::vector;
  return instruction.text.find(".f32.bf16.bf16 ") != std::string::npos &&
         instruction.text.find("k16") != std::string::npos && columns >= 8 &&
         columns <= most_columns && columns % 8 == 0 &&
         instruction.arguments[0].parts.size() == columns / 2 &&
         count == (a_in_registers ? 7u : 8u);
}

}  // namespace

Action product_action(const Instruction& instruction) {
  if (instruction.words[0] != "wgmma" || instruction.words.size() < 2) return {};
  const std::string& what = instruction.words[1];
  if (what == "fence") return together("wgmma.fence", fence);
  if (what == "commit_group") return together("wgmma.commit_group", commit);
  if (what == "wait_group") return together("wgmma.wait_group", wait_for_groups);
  if (what == "mma_async" && is_known_product(instruction)) {
    return together("wgmma.mma_async", issue);
  }
  return {};
}

}  // namespace simt
