// SPDX-License-Identifier: Apache-2.0
// The copy engine: boxes of tensors and rows of bytes to and from shared memory.
#include <array>
#include <memory>

#include "tests/simt/machine.h"
#include "tests/simt/ptx.h"
#include "tests/simt/tensor_box.h"

namespace simt {
namespace {

using Coordinates5 = std::array<int32_t, most_dimensions>;

void check_bytes(uint64_t bytes) {
  if (bytes % 16 != 0) fail("cp.async.bulk of " + std::to_string(bytes) + " bytes");
}

// A copy that ends at an mbarrier: late, it comes when all threads wait.
void start(std::function<void()> copy) {
  if (happens_late()) {
    current().block->cluster->copies.push_back({&current(), std::move(copy)});
  } else {
    copy();
  }
}

// A copy in a group of its thread.
void start_store(Transfer transfer) {
  if (!happens_late()) {
    transfer.read();
    transfer.read = [] {};
  }
  current().open_stores.push_back(std::move(transfer));
}

// The places in the blocks of the cluster that a mask has bits for.
std::vector<uint32_t> places(uint32_t address, uint32_t block_mask) {
  std::vector<uint32_t> all;
  for (uint32_t rank = 0; rank < 16; ++rank) {
    if (block_mask >> rank & 1) all.push_back(map_shared(address, rank));
  }
  return all;
}

void check_shared_alignment(uint32_t address, uint32_t alignment) {
  if (address % alignment != 0) {
    fail("cp.async.bulk: a shared address that is no multiple of " + std::to_string(alignment));
  }
}

Coordinates5 coordinates_of(const Frame& frame, const Argument& tensor, const TensorMap& map) {
  const std::vector<Argument>& parts = tensor.parts[1].parts;
  if (parts.size() != map.rank) {
    fail("cp.async.bulk.tensor of " + std::to_string(parts.size()) + " dimensions with a map of " +
         std::to_string(map.rank));
  }
  Coordinates5 all{};
  for (size_t i = 0; i < parts.size(); ++i) all[i] = static_cast<int32_t>(frame.get(parts[i]));
  return all;
}

// [to], [map, {coordinates}], [barrier](, blocks)(, cache policy)
Action box_load(bool multicast) {
  return [multicast](Frame& frame) {
    const auto to = static_cast<uint32_t>(frame.get(0));
    const auto barrier = static_cast<uint32_t>(frame.get(2));
    const TensorMap map = read_tensor_map(frame.get(1));
    const Coordinates5 at = coordinates_of(frame, frame.argument(1), map);
    check_shared_alignment(to, 128);
    if (!multicast) {
      return start([=] {
        load_box(map, at.data(), to);
        barrier_complete(barrier, box_bytes(map));
      });
    }
    const auto blocks = static_cast<uint32_t>(frame.get(3));
    const std::vector<uint32_t> all = places(to, blocks), barriers = places(barrier, blocks);
    for (size_t i = 0; i < all.size(); ++i) {
      start([=, to = all[i], barrier = barriers[i]] {
        load_box(map, at.data(), to);
        barrier_complete(barrier, box_bytes(map));
      });
    }
  };
}

// [map, {coordinates}], [from](, cache policy)
Action box_store(bool add) {
  return [add](Frame& frame) {
    const auto from = static_cast<uint32_t>(frame.get(1));
    const TensorMap map = read_tensor_map(frame.get(0));
    const Coordinates5 at = coordinates_of(frame, frame.argument(0), map);
    check_shared_alignment(from, 128);
    if (add && map.element_bytes != 2)
      fail("cp.reduce.async.bulk.tensor of other numbers than bf16");
    const auto bytes = std::make_shared<std::vector<std::byte>>(box_bytes(map));
    start_store({[=] { read_box(map, from, bytes->data()); },
                 [=] { (add ? add_box : write_box)(map, at.data(), bytes->data()); }});
  };
}

// [to], [from], bytes, [barrier](, blocks)
Action row_load(bool multicast, bool from_shared) {
  return [=](Frame& frame) {
    const auto to = static_cast<uint32_t>(frame.get(0));
    const uint64_t from = frame.get(1);
    const auto bytes = static_cast<uint32_t>(frame.get(2));
    const auto barrier = static_cast<uint32_t>(frame.get(3));
    check_bytes(bytes);
    const uint32_t rank = current().block->rank;
    const uint32_t blocks = multicast ? static_cast<uint32_t>(frame.get(4)) : 1u << rank;
    const std::vector<uint32_t> all = multicast ? places(to, blocks) : std::vector{to};
    const std::vector<uint32_t> barriers =
        multicast ? places(barrier, blocks) : std::vector{barrier};
    for (size_t i = 0; i < all.size(); ++i) {
      start([=, to = all[i], barrier = barriers[i]] {
        const void* source = reinterpret_cast<const void*>(from);
        if (from_shared) {
          source = shared_memory(static_cast<uint32_t>(from), bytes, 16, "cp.async.bulk");
        } else {
          check_global(source, bytes, 16, "cp.async.bulk");
        }
        std::memcpy(shared_memory(to, bytes, 16, "cp.async.bulk"), source, bytes);
        barrier_complete(barrier, bytes);
      });
    }
  };
}

// [to], [from], bytes
void row_store(Frame& frame) {
  auto* to = reinterpret_cast<std::byte*>(frame.get(0));
  const auto from = static_cast<uint32_t>(frame.get(1));
  const auto bytes = static_cast<uint32_t>(frame.get(2));
  check_bytes(bytes);
  check_global(to, bytes, 16, "cp.async.bulk");
  const auto kept = std::make_shared<std::vector<std::byte>>(bytes);
  start_store(
      {[=] { std::memcpy(kept->data(), shared_memory(from, bytes, 16, "cp.async.bulk"), bytes); },
       [=] { std::memcpy(to, kept->data(), kept->size()); }});
}

void end_group(Frame&) {
  Thread& thread = current();
  thread.store_groups.push_back(std::move(thread.open_stores));
  thread.open_stores.clear();
}

// Until all but so many groups are read, or are written too.
Action wait_for_groups(bool only_read) {
  return [only_read](Frame& frame) {
    Thread& thread = current();
    const uint64_t left = frame.get(0);
    while (thread.stores_read + left < thread.store_groups.size()) {
      for (const Transfer& transfer : thread.store_groups[thread.stores_read]) transfer.read();
      ++thread.stores_read;
    }
    while (!only_read && thread.store_groups.size() > left) {
      for (const Transfer& transfer : thread.store_groups.front()) transfer.write();
      thread.store_groups.pop_front();
      --thread.stores_read;
    }
  };
}

}  // namespace

Action bulk_action(const Instruction& instruction) {
  const auto has = [&](const char* word) { return instruction.has(word); };
  if (has("prefetch")) return [](Frame&) {};
  if (has("commit_group")) return end_group;
  if (has("wait_group")) return wait_for_groups(has("read"));
  const bool multicast = has("multicast::cluster");
  const bool to_barrier = has("mbarrier::complete_tx::bytes");
  const bool to_group = has("bulk_group");
  if (has("tensor")) {
    if (to_barrier && has("shared::cluster")) return box_load(multicast);
    if (to_group && has("shared::cta")) return box_store(has("add"));
    return {};
  }
  if (to_barrier) return row_load(multicast, has("shared::cta") && !has("global"));
  if (to_group && has("shared::cta")) return row_store;
  return {};
}

}  // namespace simt
