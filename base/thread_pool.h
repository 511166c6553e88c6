// SPDX-License-Identifier: Apache-2.0
// A fixed number of threads that share the indices of a loop.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

namespace minimax {

// One loop at a time: for_each may be called from any thread, but not from two at once and not from
// inside a loop. The caller takes part, so a pool of 1 has no threads of its own. Nothing allocates
// after construction. Idle threads spin for a few microseconds, then sleep. A loop never waits for a
// thread that has not joined it: on a busy machine those that run do the work of those that do not.
class ThreadPool {
 public:
  // thread_count 1 or more. MINIMAX_OUT_OF_MEMORY when the system starts no more threads.
  explicit ThreadPool(int thread_count);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int thread_count() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(index) for every index in [0, count), in no particular order, each exactly once; done
  // when it returns. body(index, thread) also gets the number of the thread, below thread_count().
  // The first exception of a body is thrown here, after all threads have stopped.
  template <typename Body>
  void for_each(int64_t count, const Body& body) {
    if (count <= 0) return;
    run(
        count,
        [](const void* context, int64_t index, int thread) {
          const Body& call = *static_cast<const Body*>(context);
          if constexpr (std::is_invocable_v<const Body&, int64_t, int>) {
            call(index, thread);
          } else {
            (void)thread;
            call(index);
          }
        },
        &body);
  }

 private:
  using Call = void (*)(const void* context, int64_t index, int thread);
  void run(int64_t count, Call call, const void* context);
  void end_workers() noexcept;
  void work(int thread) noexcept;
  bool enter() noexcept;
  void leave() noexcept;
  void worker_main(int thread) noexcept;

  std::vector<std::thread> workers_;

  // The loop in progress: written by run() while the gate is shut and nobody is inside.
  Call call_ = nullptr;
  const void* context_ = nullptr;
  int64_t count_ = 0;
  std::exception_ptr error_;
  std::atomic_flag has_error_ = ATOMIC_FLAG_INIT;
  alignas(64) std::atomic<int64_t> next_{0};
  alignas(64) std::atomic<uint32_t> generation_{0};  // moves when a loop begins: wakes workers
  alignas(64) std::atomic<uint32_t> gate_{0};        // gate_open, plus the number of workers inside
  std::atomic<bool> stop_{false};
};

}  // namespace minimax
