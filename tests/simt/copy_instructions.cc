// SPDX-License-Identifier: Apache-2.0
// Copies behind a thread's back: cp.async of a few bytes, and the copy engine's cp.async.bulk.
#include "tests/simt/machine.h"
#include "tests/simt/ptx.h"

namespace simt {
namespace {

// cp.async: late, it is done when its thread waits for its group.

void do_piece(const Piece& piece) {
  std::memcpy(piece.to, piece.from, piece.real_bytes);
  std::memset(piece.to + piece.real_bytes, 0,
              static_cast<size_t>(piece.size_bytes - piece.real_bytes));
}

void wait_for_groups(size_t left) {
  auto& groups = current().copy_groups;
  for (; groups.size() > left; groups.pop_front()) {
    for (const Piece& piece : groups.front()) do_piece(piece);
  }
}

// cp.async.cg.shared.global [to], [from], size, real size
void copy_piece(Frame& frame) {
  const uint64_t size = frame.get(2);
  const uint64_t real = frame.argument_count() > 3 ? static_cast<uint32_t>(frame.get(3)) : size;
  const bool sizes_fit = size == 16 || (frame.instruction->has("ca") && (size == 4 || size == 8));
  if (!sizes_fit || real > size) fail("cp.async of " + std::to_string(size) + " bytes");
  const auto* from = reinterpret_cast<const void*>(frame.get(1));
  check_global(from, real, size, "cp.async");
  const Piece piece{shared_memory(static_cast<uint32_t>(frame.get(0)), size, size, "cp.async"),
                    from, static_cast<uint8_t>(size), static_cast<uint8_t>(real)};
  if (happens_late()) {
    current().open_copies.push_back(piece);
  } else {
    do_piece(piece);
  }
}

void end_group(Frame&) {
  Thread& thread = current();
  thread.copy_groups.push_back(std::move(thread.open_copies));
  thread.open_copies.clear();
}

Action piece_action(const Instruction& instruction) {
  if (instruction.has("mbarrier")) return {};
  if (instruction.has("commit_group")) return end_group;
  if (instruction.has("wait_group")) {
    return [](Frame& frame) { wait_for_groups(frame.get(0)); };
  }
  if (instruction.has("wait_all")) {
    return [](Frame& frame) {
      end_group(frame);
      wait_for_groups(0);
    };
  }
  return copy_piece;
}

}  // namespace

Action copy_action(const Instruction& instruction) {
  if (instruction.words[0] != "cp" || instruction.words.size() < 3) return {};
  return instruction.has("bulk") ? bulk_action(instruction) : piece_action(instruction);
}

}  // namespace simt
