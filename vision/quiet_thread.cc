// SPDX-License-Identifier: Apache-2.0
#include "vision/quiet_thread.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <exception>
#include <system_error>
#include <thread>

#include "base/error.h"

namespace minimax {
namespace {

// Gives this thread a table of file descriptors of its own, if possible with nothing but the streams.
bool leave_shared_files() {
#if defined(CLOSE_RANGE_UNSHARE)
  if (::close_range(3, ~0u, CLOSE_RANGE_UNSHARE) == 0) return true;
#endif
  return ::unshare(CLONE_FILES) == 0;
}

void silence_this_thread() {
  if (!leave_shared_files()) return;
  const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  for (const int stream : {STDOUT_FILENO, STDERR_FILENO}) {
    if (nowhere < 0 || ::dup2(nowhere, stream) < 0) ::close(stream);
  }
}

}  // namespace

void run_quietly(const std::function<void()>& body) {
  std::exception_ptr error;
  try {
    std::thread thread([&]() noexcept {
      silence_this_thread();
      try {
        body();
      } catch (...) {
        error = std::current_exception();
      }
    });
    thread.join();
  } catch (const std::system_error& refused) {
    fail(MINIMAX_OUT_OF_MEMORY, "the system starts no thread: ", refused.code().message());
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace minimax
