// SPDX-License-Identifier: Apache-2.0
#include "engine/draw.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace minimax {
namespace {

constexpr float minus_infinity = -std::numeric_limits<float>::infinity();

int32_t most_probable(std::span<const float> logits) {
  int32_t best = -1;
  float top = minus_infinity;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] > top) {
      best = static_cast<int32_t>(i);
      top = logits[i];
    }
  }
  return best;
}

}  // namespace

float drawable(float logit) {
  return std::isnan(logit) ? minus_infinity : std::min(logit, std::numeric_limits<float>::max());
}

float logprob_of(std::span<const float> logits, int32_t token) {
  const float top = *std::max_element(logits.begin(), logits.end());
  double total = 0;
  for (const float logit : logits) total += std::exp(static_cast<double>(logit) - top);
  const double logit = logits[static_cast<size_t>(token)];
  return static_cast<float>(logit - top - std::log(total));
}

int32_t Drawer::draw(std::span<const float> logits, const DrawRule& rule) {
  const int32_t best = most_probable(logits);
  if (best < 0 || rule.temperature <= 0) return best;
  const float top = logits[static_cast<size_t>(best)];
  candidates_.clear();
  candidates_.reserve(logits.size());
  weights_.reserve(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] == minus_infinity) continue;
    candidates_.push_back({(logits[i] - top) / rule.temperature, static_cast<int32_t>(i)});
  }
  keep_top_k(rule.top_k);
  keep_probable(rule.top_p, rule.min_p);
  weights_.clear();
  double total = 0;
  for (const Candidate& c : candidates_) total += weights_.emplace_back(weight(c));
  const double drawn = rule.uniform * total;
  double sum = 0;  // ends at the total to the bit, so that the last one drawn has a weight
  for (size_t i = 0; i < candidates_.size(); ++i) {
    sum += weights_[i];
    if (sum >= drawn && weights_[i] > 0) return candidates_[i].token;
  }
  return candidates_.back().token;
}

double Drawer::weight(const Candidate& candidate) {
  return std::exp(static_cast<double>(candidate.x));
}

bool Drawer::better_first(const Candidate& a, const Candidate& b) {
  return a.x != b.x ? a.x > b.x : a.token < b.token;
}

double Drawer::total_weight() const {
  double total = 0;
  for (const Candidate& c : candidates_) total += weight(c);
  return total;
}

void Drawer::keep_top_k(int32_t top_k) {
  const auto kept = static_cast<size_t>(top_k);
  if (kept == 0 || kept >= candidates_.size()) return;
  const auto end = candidates_.begin() + static_cast<std::ptrdiff_t>(kept);
  std::nth_element(candidates_.begin(), end - 1, candidates_.end(), better_first);
  candidates_.erase(end, candidates_.end());
  // nth_element leaves an order of its own, which would differ between standard libraries.
  std::sort(candidates_.begin(), candidates_.end(), better_first);
}

// Candidates are sorted from the front only as far as they are needed: of 200,000 a few dozen usually
// hold all the probability that counts.
void Drawer::keep_probable(float top_p, float min_p) {
  if (top_p >= 1 && min_p <= 0) return;
  const double total = total_weight();
  size_t kept = 0, sorted = 0;
  for (double mass = 0; kept < candidates_.size(); ++kept) {
    if (kept == sorted) {
      sorted = std::min(candidates_.size(), sorted * 2 + 64);
      std::partial_sort(candidates_.begin() + static_cast<std::ptrdiff_t>(kept),
                        candidates_.begin() + static_cast<std::ptrdiff_t>(sorted),
                        candidates_.end(), better_first);
    }
    const double share = weight(candidates_[kept]);
    const bool enough = mass >= top_p * total && top_p < 1;
    if (kept > 0 && (enough || share < min_p)) break;
    mass += share;
  }
  candidates_.resize(kept);
}

}  // namespace minimax
