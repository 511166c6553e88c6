// SPDX-License-Identifier: Apache-2.0
#include "base/thread_pool.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <system_error>
#include <utility>

#include "base/error.h"

namespace minimax {
namespace {

// Some ten microseconds: longer than the gap between two operations.
constexpr int spin_count = 4000;
constexpr uint32_t gate_open = 1u << 31;

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

// Returns when value != old: first by looking, then asleep.
template <typename T>
void wait_while_equal(const std::atomic<T>& value, T old) {
  for (int i = 0; i < spin_count; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    relax();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

ThreadPool::ThreadPool(int thread_count) {
  require(thread_count >= 1 && thread_count <= 1024, "thread_count is ", thread_count,
          ", expected 1 to 1024");
  workers_.reserve(static_cast<size_t>(thread_count - 1));
  try {
    for (int i = 1; i < thread_count; ++i) workers_.emplace_back([this, i] { worker_main(i); });
  } catch (const std::system_error& error) {
    const size_t started = workers_.size();
    end_workers();
    fail(MINIMAX_OUT_OF_MEMORY, "the system starts ", started + 1, " of ", thread_count,
         " threads: ", error.code().message(), " (thread_count)");
  } catch (...) {
    end_workers();
    throw;
  }
}

ThreadPool::~ThreadPool() {
  end_workers();
}

void ThreadPool::end_workers() noexcept {
  stop_ = true;
  ++generation_;
  generation_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(int64_t count, Call call, const void* context) {
  call_ = call;
  context_ = context;
  count_ = count;
  next_.store(0, std::memory_order_relaxed);
  const bool alone = workers_.empty() || count == 1;
  if (!alone) {
    gate_.store(gate_open, std::memory_order_release);
    generation_.fetch_add(1, std::memory_order_release);
    generation_.notify_all();
  }
  work(0);
  if (!alone) {
    uint32_t inside = gate_.fetch_and(~gate_open, std::memory_order_acq_rel) & ~gate_open;
    while (inside != 0) {
      wait_while_equal(gate_, inside);
      inside = gate_.load(std::memory_order_acquire);
    }
  }
  if (error_) {
    const std::exception_ptr error = std::exchange(error_, nullptr);
    has_error_.clear();
    std::rethrow_exception(error);
  }
}

void ThreadPool::work(int thread) noexcept {
  for (;;) {
    const int64_t index = next_.fetch_add(1, std::memory_order_relaxed);
    if (index >= count_) return;
    try {
      call_(context_, index, thread);
    } catch (...) {
      next_.store(count_, std::memory_order_relaxed);
      if (!has_error_.test_and_set()) error_ = std::current_exception();
    }
  }
}

// False when the loop this thread woke for has ended already.
bool ThreadPool::enter() noexcept {
  uint32_t gate = gate_.load(std::memory_order_relaxed);
  while (gate & gate_open) {
    if (gate_.compare_exchange_weak(gate, gate + 1, std::memory_order_acquire)) return true;
  }
  return false;
}

void ThreadPool::leave() noexcept {
  if (gate_.fetch_sub(1, std::memory_order_acq_rel) == 1) gate_.notify_all();
}

void ThreadPool::worker_main(int thread) noexcept {
  uint32_t seen = 0;
  for (;;) {
    wait_while_equal(generation_, seen);
    seen = generation_.load(std::memory_order_acquire);
    if (stop_) return;
    if (!enter()) continue;
    work(thread);
    leave();
  }
}

}  // namespace minimax
