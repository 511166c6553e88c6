// SPDX-License-Identifier: Apache-2.0
#include "tests/simt/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace simt {
namespace {

// Pages that are not touched cost nothing.
constexpr size_t stack_bytes = size_t{256} << 10;

Fiber* running = nullptr;

#if defined(__x86_64__)

void* scheduler_place = nullptr;

// Keeps the registers that belong to the caller on the stack, and goes on with another stack.
asm(R"(
.text
.local simt_switch_stacks
.type simt_switch_stacks, @function
simt_switch_stacks:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size simt_switch_stacks, .-simt_switch_stacks
)");
extern "C" void simt_switch_stacks(void** keep, void* next);

// Stacks begin at different places of their pages: else all would compete for the same lines of the cache.
size_t next_offset() {
  static size_t count = 0;
  return count++ * 1088 % 16384 / 64 * 64;
}

void* fresh_place(std::byte* stack, size_t offset, void (*begin)()) {
  auto* top = reinterpret_cast<void**>(stack + stack_bytes - offset);
  top[-1] = nullptr;  // nobody called begin()
  top[-2] = reinterpret_cast<void*>(begin);
  for (int i = 3; i <= 8; ++i) top[-i] = nullptr;
  return top - 8;
}
void switch_to_fiber(void*& place) {
  simt_switch_stacks(&scheduler_place, place);
}
void switch_to_scheduler(void*& place) {
  simt_switch_stacks(&place, scheduler_place);
}
void drop_place(void*) {
}

#else

ucontext_t scheduler_context;

size_t next_offset() {
  return 0;
}

void* fresh_place(std::byte* stack, size_t, void (*begin)()) {
  auto* context = new ucontext_t;
  getcontext(context);
  context->uc_stack = {.ss_sp = stack, .ss_flags = 0, .ss_size = stack_bytes};
  context->uc_link = nullptr;
  makecontext(context, begin, 0);
  return context;
}
void switch_to_fiber(void*& place) {
  swapcontext(&scheduler_context, static_cast<ucontext_t*>(place));
}
void switch_to_scheduler(void*& place) {
  swapcontext(static_cast<ucontext_t*>(place), &scheduler_context);
}
void drop_place(void* place) {
  delete static_cast<ucontext_t*>(place);
}

#endif

#if defined(__SANITIZE_ADDRESS__)

const void* scheduler_stack = nullptr;
size_t scheduler_stack_bytes = 0;
void* scheduler_fake_stack = nullptr;

void leave_scheduler(const std::byte* stack) {
  __sanitizer_start_switch_fiber(&scheduler_fake_stack, stack, stack_bytes);
}
void arrive_in_scheduler() {
  __sanitizer_finish_switch_fiber(scheduler_fake_stack, nullptr, nullptr);
}
void leave_fiber(void** fake_stack) {
  __sanitizer_start_switch_fiber(fake_stack, scheduler_stack, scheduler_stack_bytes);
}
void arrive_in_fiber(void* fake_stack) {
  __sanitizer_finish_switch_fiber(fake_stack, &scheduler_stack, &scheduler_stack_bytes);
}
void clean_stack(const std::byte* stack) {
  __asan_unpoison_memory_region(stack, stack_bytes);
}

#else

void leave_scheduler(const std::byte*) {
}
void arrive_in_scheduler() {
}
void leave_fiber(void**) {
}
void arrive_in_fiber(void*) {
}
void clean_stack(const std::byte*) {
}

#endif

size_t guard_bytes() {
  static const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return page;
}

}  // namespace

Fiber::Fiber() : offset_(next_offset()) {
  void* memory = mmap(nullptr, guard_bytes() + stack_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  mprotect(memory, guard_bytes(), PROT_NONE);
  stack_ = static_cast<std::byte*>(memory) + guard_bytes();
}

Fiber::~Fiber() {
  drop_place(place_);
  clean_stack(stack_);
  munmap(stack_ - guard_bytes(), guard_bytes() + stack_bytes);
}

void Fiber::prepare(void (*body)(void*), void* argument) {
  drop_place(place_);
  clean_stack(stack_);
  body_ = body;
  argument_ = argument;
  fake_stack_ = nullptr;
  place_ = fresh_place(stack_, offset_, &Fiber::begin);
}

void Fiber::begin() {
  arrive_in_fiber(nullptr);
  running->body_(running->argument_);
}

void Fiber::resume() {
  running = this;
  leave_scheduler(stack_);
  switch_to_fiber(place_);
  arrive_in_scheduler();
  running = nullptr;
}

void Fiber::suspend(bool last) {
  Fiber* const self = running;
  leave_fiber(last ? nullptr : &self->fake_stack_);
  switch_to_scheduler(self->place_);
  arrive_in_fiber(self->fake_stack_);
}

}  // namespace simt
