// SPDX-License-Identifier: Apache-2.0
// The terminal's side of a chat.
#include "samples/terminal.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/poll.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

namespace samples {

bool is_terminal(int descriptor) {
  return isatty(descriptor) == 1;
}

namespace interrupt {
namespace {

std::atomic<minimax_session*> watched_session{nullptr};
std::atomic<bool> pending{false};
int wake_pipe[2] = {-1, -1};  // written by the handler, so that a poll for input ends

static_assert(std::atomic<minimax_session*>::is_always_lock_free);

void on_signal(int) {
  const int saved_errno = errno;
  pending = true;
  if (minimax_session* session = watched_session) minimax_session_cancel(session);
  // A full pipe is as good as one more byte.
  [[maybe_unused]] const ssize_t written = write(wake_pipe[1], "!", 1);
  errno = saved_errno;
}

void make_wake_pipe() {
  if (pipe(wake_pipe) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
  for (const int end : wake_pipe) {
    fcntl(end, F_SETFL, O_NONBLOCK);
    fcntl(end, F_SETFD, FD_CLOEXEC);
  }
}

}  // namespace

void install() {
  make_wake_pipe();
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
}

void watch(minimax_session* session) {
  watched_session = session;
}

bool is_pending() {
  return pending;
}

void clear() {
  char bytes[64];
  while (read(wake_pipe[0], bytes, sizeof bytes) > 0) {
  }
  pending = false;
}

}  // namespace interrupt

// False when ctrl-C came first.
static bool wait_for_input() {
  pollfd waiting[2] = {{STDIN_FILENO, POLLIN, 0}, {interrupt::wake_pipe[0], POLLIN, 0}};
  while (!interrupt::is_pending()) {
    const int ready = poll(waiting, 2, -1);
    if (ready > 0 && waiting[1].revents == 0) return true;
    if (ready < 0 && errno != EINTR) return true;  // the read will say why
  }
  return false;
}

bool LineReader::fill() {
  char bytes[4096];
  ssize_t count;
  do {
    count = read(STDIN_FILENO, bytes, sizeof bytes);
  } while (count < 0 && errno == EINTR);
  if (count < 0) throw std::system_error(errno, std::generic_category(), "standard input");
  buffer_.append(bytes, static_cast<size_t>(count));
  return count > 0;
}

Input LineReader::next(std::string& out_line) {
  size_t line_size;
  while ((line_size = buffer_.find('\n')) == std::string::npos) {
    if (ended_ && buffer_.empty()) return Input::end;
    if (ended_) {
      line_size = buffer_.size();
      break;
    }
    if (!wait_for_input()) return Input::interrupted;
    ended_ = !fill();
  }
  out_line = buffer_.substr(0, line_size);
  buffer_.erase(0, line_size + 1);
  if (out_line.ends_with('\r')) out_line.pop_back();
  return Input::line;
}

std::string LineReader::rest() {
  while (wait_for_input() && fill()) {
  }
  ended_ = true;
  return std::exchange(buffer_, {});
}

void ProgressBar::show(uint64_t done, uint64_t total) {
  constexpr int kCells = 32;
  if (!visible_ || total == 0) return;
  const double share = static_cast<double>(done) / static_cast<double>(total);
  const int percent = static_cast<int>(100 * share);
  if (percent == percent_shown_) return;
  percent_shown_ = percent;
  const int filled = percent * kCells / 100;
  const std::string bar = std::string(filled, '#') + std::string(kCells - filled, '.');
  fprintf(stderr, "\r%s [%s] %3d %% ", label_.c_str(), bar.c_str(), percent);
  fflush(stderr);
}

void ProgressBar::done() {
  if (percent_shown_ >= 0) fputs("\r\033[K", stderr);
  percent_shown_ = -1;
}

}  // namespace samples
