// SPDX-License-Identifier: Apache-2.0
// Runs code that prints where nobody asked it to, without a word reaching the program's streams.
#pragma once

#include <functional>

namespace minimax {

// Calls body() on a thread of its own, whose standard output and error lead nowhere; those of the other
// threads stay as they are. Done when it returns; what body throws is thrown here. body must open no
// files. Where the system does not let a thread have streams of its own, body may print.
// MINIMAX_OUT_OF_MEMORY when the system starts no thread.
void run_quietly(const std::function<void()>& body);

}  // namespace minimax
