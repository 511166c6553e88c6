// SPDX-License-Identifier: Apache-2.0
// What a run of random operations is told to do, the chance behind each operation, and the tale of the
// last ones.
#pragma once

#include <cstdint>
#include <deque>
#include <ostream>
#include <sstream>
#include <string>
#include <string_view>

#include "tests/random/desk.h"

namespace minimax::testing {

struct RunOptions {
  uint64_t seed = 1;
  int64_t operation_count = 20000;  // of all threads together
  int64_t thread_count = 1;
  int64_t session_count = 8;  // of all threads together
  std::string device = "cpu";
  Stepping stepping = Stepping::by_callers;
};

// Each operation has a sequence of its own: what it draws does not depend on what the others came to.
class Chance {
 public:
  Chance(uint64_t seed, uint64_t thread, uint64_t operation)
      : state_(mixed(mixed(seed) ^ mixed(thread << 48 ^ operation))) {}

  uint64_t next() { return mixed(state_ += 0x9e3779b97f4a7c15); }
  // 0 to count - 1.
  int64_t below(int64_t count) {
    return static_cast<int64_t>(next() % static_cast<uint64_t>(count));
  }
  int64_t between(int64_t first, int64_t last) { return first + below(last - first + 1); }
  bool percent(int64_t share) { return below(100) < share; }

 private:
  static uint64_t mixed(uint64_t x) {
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
  }
  uint64_t state_;
};

// The last operations, in words.
class Story {
 public:
  template <typename... Parts>
  void tell(const Parts&... parts) {
    std::ostringstream line;
    (line << ... << parts);
    lines_.push_back(line.str());
    if (lines_.size() > most_lines) lines_.pop_front();
  }
  template <typename... Parts>
  void add(const Parts&... parts) {
    std::ostringstream more;
    (more << ... << parts);
    lines_.back() += more.str();
  }
  void print(std::ostream& out) const {
    for (const std::string& line : lines_) out << "  " << line << '\n';
  }

 private:
  static constexpr size_t most_lines = 30;
  std::deque<std::string> lines_;
};

}  // namespace minimax::testing
