// SPDX-License-Identifier: Apache-2.0
// The terminal's side of a chat: ctrl-C, lines from the keyboard or a pipe, a progress bar.
#pragma once

#include <cstdint>
#include <string>

#include "minimax.h"

namespace samples {

bool is_terminal(int descriptor);

// ctrl-C as a flag that also cancels what a session is doing. One program has one.
namespace interrupt {
void install();
// ctrl-C cancels this session from now on; nullptr for none. It must outlive the watch.
void watch(minimax_session* session);
bool is_pending();
void clear();
}  // namespace interrupt

enum class Input { line, end, interrupted };

// Lines of standard input. Unlike std::getline it comes back when ctrl-C is pressed.
class LineReader {
 public:
  // The next line without its end. A last line without an end counts.
  Input next(std::string& out_line);
  // All that is left, or, when ctrl-C is pressed, what has come so far.
  std::string rest();

 private:
  bool fill();

  std::string buffer_;
  bool ended_ = false;
};

// A bar on stderr, drawn only when that is a terminal, removed by done().
class ProgressBar {
 public:
  explicit ProgressBar(std::string label) : label_(std::move(label)) {}
  void show(uint64_t done, uint64_t total);
  void done();

 private:
  std::string label_;
  int percent_shown_ = -1;
  bool visible_ = is_terminal(2);
};

}  // namespace samples
