// SPDX-License-Identifier: Apache-2.0
// minimax-bench for programs: single runs on request, and the logits after given tokens.
#pragma once

#include "samples/bench_options.h"

namespace samples {

// One request a line on stdin, {"n_prompt": 512, "n_gen": 0, "n_depth": 0}, each number 0 when it
// is absent; one run and one line on stdout for each: the request with "ns", or {"error":
// sentence}.
void serve_runs(const BenchOptions& options);

// Logits after each token of options.tokens_path, [token_count, V] f32, into options.logits_path.
void write_logits(const BenchOptions& options);

}  // namespace samples
