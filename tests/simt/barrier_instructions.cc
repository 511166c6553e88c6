// SPDX-License-Identifier: Apache-2.0
// Instructions that let threads wait for each other.
#include "tests/simt/machine.h"
#include "tests/simt/ptx.h"

namespace simt {
namespace {

// bar.sync name, threads; bar.arrive name, threads; bar.warp.sync mask
Action block_barrier_action(const Instruction& instruction) {
  if (instruction.has("warp")) {
    return [](Frame& frame) { warp_barrier(static_cast<uint32_t>(frame.get(0))); };
  }
  const bool waits = !instruction.has("arrive");
  if (!waits && instruction.arguments.size() < 2) return {};
  if (instruction.has("red")) return {};
  return [waits](Frame& frame) {
    const uint32_t threads =
        frame.argument_count() > 1 ? static_cast<uint32_t>(frame.get(1)) : all_threads;
    named_barrier(static_cast<uint32_t>(frame.get(0)), threads, waits);
  };
}

Action cluster_barrier_action(const Instruction& instruction) {
  if (instruction.has("arrive")) return [](Frame&) { cluster_arrive(); };
  if (instruction.has("wait")) return [](Frame&) { cluster_wait(); };
  return {};
}

uint32_t address_at(const Frame& frame, size_t i) {
  return static_cast<uint32_t>(frame.get(i));
}

Action memory_barrier_action(const Instruction& instruction) {
  const std::string& what = instruction.words[1];
  if (what == "init") {
    return [](Frame& frame) {
      barrier_init(address_at(frame, 0), static_cast<uint32_t>(frame.get(1)));
    };
  }
  if (what == "inval") return [](Frame& frame) { barrier_invalidate(address_at(frame, 0)); };
  if (what == "expect_tx") {
    return [](Frame& frame) {
      barrier_expect(address_at(frame, 0), static_cast<uint32_t>(frame.get(1)));
    };
  }
  if (what == "arrive") {
    // state or _, [barrier], (bytes or arrivals)
    const bool expects = instruction.has("expect_tx");
    if (instruction.arguments[0].kind != Argument::Kind::sink) return {};
    return [expects](Frame& frame) {
      const uint32_t count = frame.argument_count() > 2 ? static_cast<uint32_t>(frame.get(2)) : 1;
      if (expects) barrier_expect(address_at(frame, 1), count);
      barrier_arrive(address_at(frame, 1), expects ? 1 : count);
    };
  }
  if (!instruction.has("parity")) return {};
  // It may wait as long as it likes: here until the phase has passed.
  if (what == "try_wait") {
    return [](Frame& frame) {
      barrier_wait(address_at(frame, 1), static_cast<uint32_t>(frame.get(2)));
      frame.set(0, 1);
    };
  }
  return {};
}

}  // namespace

Action barrier_action(const Instruction& instruction) {
  const std::string& name = instruction.words[0];
  const bool is_cluster = instruction.words.size() > 1 && instruction.words[1] == "cluster";
  if (name == "barrier" && is_cluster) return cluster_barrier_action(instruction);
  if (name == "bar" || name == "barrier") return block_barrier_action(instruction);
  if (name == "mbarrier") return memory_barrier_action(instruction);
  return {};
}

}  // namespace simt
