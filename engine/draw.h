// SPDX-License-Identifier: Apache-2.0
// The rule by which one token is drawn from logits: temperature, top-k, top-p, min-p and a random number.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace minimax {

// Each as minimax_sampler_options has it, with every "off" written out.
struct DrawRule {
  float temperature = 0;  // 0: the most probable token, the lower id of equals
  float top_p = 1;        // 1: off
  float min_p = 0;        // 0: off
  int32_t top_k = 0;      // 0: off
  double uniform = 0;     // in [0, 1); at temperature 0 nobody asks for it
};

struct DrawnToken {
  int32_t token;  // -1: none was left
  float logprob;  // as logprob_of; not said without a token
};

// What may be drawn: a logit that is not a number becomes -infinity, which is never drawn, and +infinity
// the largest number.
float drawable(float logit);

// The logarithm of a token's probability at temperature 1.
float logprob_of(std::span<const float> logits, int32_t token);

// Room to draw in; one thread at a time. The rule on a list of any length:
//
//   x = (logit - largest) / temperature, weight = exp(x), of every logit above -infinity
//   top-k: the first k by x, the lower id of equals first
//   top-p: of these the first whose weights come to top_p of all of theirs, min-p: down to that weight; one stays
//   the first of what is left whose sum of weights up to itself reaches uniform * all of them: in order of x if
//   something was to be left out (top_k below the number of tokens, top_p below 1, min_p above 0), else of ids
class Drawer {
 public:
  // logits: drawable ones. -1 when all are -infinity. Nothing allocates after a draw from as many.
  int32_t draw(std::span<const float> logits, const DrawRule& rule);

 private:
  struct Candidate {
    float x;
    int32_t token;
  };

  static double weight(const Candidate& candidate);
  static bool better_first(const Candidate& a, const Candidate& b);
  double total_weight() const;
  void keep_top_k(int32_t top_k);
  void keep_probable(float top_p, float min_p);

  std::vector<Candidate> candidates_;
  std::vector<double> weights_;  // of the candidates, where one is drawn
};

}  // namespace minimax
