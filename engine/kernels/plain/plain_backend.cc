// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/plain/plain_backend.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

#include "engine/kernels/plain/row_sampler.h"

namespace minimax {
namespace {

// A weight's element as f32, whatever its type.
float element(const Tensor& weight, int64_t index) {
  return weight.dtype() == DType::bf16 ? to_f32(weight.data<bf16>()[index])
                                       : weight.data<float>()[index];
}

float dot(const float* x, const Tensor& weight, int64_t row) {
  const int64_t width = weight.dim(1);
  float sum = 0;
  for (int64_t k = 0; k < width; ++k) sum += x[k] * element(weight, row * width + k);
  return sum;
}

float sigmoid(float x) {
  return 1 / (1 + std::exp(-x));
}
float silu(float x) {
  return x * sigmoid(x);
}

float activated(Activation activation, float x) {
  switch (activation) {
    case Activation::none:
      break;
    case Activation::silu:
      return silu(x);
    case Activation::gelu:
      return 0.5f * x * (1 + std::erf(x * 0.70710678f));
  }
  return x;
}

float inverse_rms(const float* x, int64_t width, float eps) {
  float squares = 0;
  for (int64_t i = 0; i < width; ++i) squares += x[i] * x[i];
  return 1 / std::sqrt(squares / static_cast<float>(width) + eps);
}

// One head of one sequence: state and log as in LightningSequence, D = width.
struct LightningHead {
  float* state;       // [D, D]
  float* log_keys;    // [R, D]
  float* log_values;  // [R, D]
  int64_t log_rows;
  int64_t width;
  float slope;

  float decay(int64_t steps) const { return std::exp(-slope * static_cast<float>(steps)); }
  const float* key(int64_t token) const { return log_keys + token % log_rows * width; }
  const float* value(int64_t token) const { return log_values + token % log_rows * width; }

  // state after `first` tokens -> state after first + lightning_block tokens
  void fold(int64_t first) {
    for (int64_t i = 0; i < width; ++i) {
      for (int64_t j = 0; j < width; ++j) {
        float sum = decay(lightning_block) * state[i * width + j];
        for (int64_t t = first; t < first + lightning_block; ++t) {
          sum += decay(first + lightning_block - 1 - t) * key(t)[i] * value(t)[j];
        }
        state[i * width + j] = sum;
      }
    }
  }

  // What query q of `token` reads from the state after `committed` tokens and the log since.
  void read(const float* q, int64_t token, int64_t committed, float* out) const {
    for (int64_t j = 0; j < width; ++j) {
      float sum = 0;
      for (int64_t i = 0; i < width; ++i) sum += q[i] * state[i * width + j];
      out[j] = decay(token - committed + 1) * sum;
    }
    for (int64_t t = committed; t <= token; ++t) {
      float score = 0;
      for (int64_t i = 0; i < width; ++i) score += q[i] * key(t)[i];
      for (int64_t j = 0; j < width; ++j) out[j] += decay(token - t) * score * value(t)[j];
    }
  }
};

}  // namespace

void PlainBackend::embed(const Tensor& ids, const Tensor& table, const Tensor& out) {
  const int64_t width = table.dim(1);
  for (int64_t t = 0; t < ids.dim(0); ++t) {
    const int64_t id = ids.data<int32_t>()[t];
    for (int64_t w = 0; w < width; ++w) out.row<float>(t)[w] = element(table, id * width + w);
  }
}

void PlainBackend::linear(const Tensor& x, const Weight& weight, Activation activation,
                          const Tensor& out) {
  for (int64_t t = 0; t < x.dim(0); ++t) {
    for (int64_t n = 0; n < weight.output_width(); ++n) {
      const float sum = dot(x.row<float>(t), weight.values, n);
      out.row<float>(t)[n] = activated(activation, sum);
    }
  }
}

void PlainBackend::logits(const Tensor& x, const Weight& weight, const Tensor& logits) {
  linear(x, weight, Activation::none, logits);
}

void PlainBackend::biased_linear(const Tensor& x, const Weight& weight, const Tensor& bias,
                                 Activation activation, const Tensor& out) {
  for (int64_t t = 0; t < x.dim(0); ++t) {
    for (int64_t n = 0; n < weight.output_width(); ++n) {
      const float sum = bias.data<float>()[n] + dot(x.row<float>(t), weight.values, n);
      out.row<float>(t)[n] = activated(activation, sum);
    }
  }
}

void PlainBackend::add_biased_linear(const Tensor& x, const Weight& weight, const Tensor& bias,
                                     const Tensor&, const Tensor& out) {
  for (int64_t t = 0; t < x.dim(0); ++t) {
    for (int64_t n = 0; n < weight.output_width(); ++n) {
      out.row<float>(t)[n] += bias.data<float>()[n] + dot(x.row<float>(t), weight.values, n);
    }
  }
}

void PlainBackend::add(const Tensor& x, const Tensor& y, const Tensor& out) {
  for (int64_t t = 0; t < x.dim(0); ++t) {
    const float* more = y.row<float>(t % y.dim(0));
    for (int64_t i = 0; i < x.dim(1); ++i) out.row<float>(t)[i] = x.row<float>(t)[i] + more[i];
  }
}

void PlainBackend::copy(const Tensor& from, const Tensor& to) {
  std::memcpy(to.raw(), from.raw(), from.size_bytes());
}

void PlainBackend::layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, float eps,
                              const Tensor& out) {
  const int64_t width = x.dim(1);
  for (int64_t t = 0; t < x.dim(0); ++t) {
    const float* in = x.row<float>(t);
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < width; ++i) mean += in[i];
    mean /= static_cast<double>(width);
    for (int64_t i = 0; i < width; ++i) variance += (in[i] - mean) * (in[i] - mean);
    variance /= static_cast<double>(width);
    const double scale = 1 / std::sqrt(variance + eps);
    for (int64_t i = 0; i < width; ++i) {
      out.row<float>(t)[i] = static_cast<float>((in[i] - mean) * scale) * weight.data<float>()[i] +
                             bias.data<float>()[i];
    }
  }
}

void PlainBackend::rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& out) {
  const int64_t width = x.dim(1);
  for (int64_t t = 0; t < x.dim(0); ++t) {
    const float* in = x.row<float>(t);
    const float scale = inverse_rms(in, width, eps);
    for (int64_t i = 0; i < width; ++i) {
      out.row<float>(t)[i] = in[i] * scale * weight.data<float>()[i];
    }
  }
}

void PlainBackend::residual_rms_norm(const Tensor& x, const Tensor& y, ResidualScale scale,
                                     const Tensor& weight, float eps, const Tensor& out) {
  for (int64_t t = 0; t < x.dim(0); ++t) {
    for (int64_t i = 0; i < x.dim(1); ++i) {
      out.row<float>(t)[i] =
          scale.residual * x.row<float>(t)[i] + scale.branch * y.row<float>(t)[i];
    }
  }
  rms_norm(out, weight, eps, out);
}

void PlainBackend::gated_rms_norm(const Tensor& x, const Tensor& gate, const Tensor& weight,
                                  float eps, const Tensor& out) {
  rms_norm(x, weight, eps, out);
  for (int64_t t = 0; t < x.dim(0); ++t) {
    for (int64_t i = 0; i < x.dim(1); ++i) out.row<float>(t)[i] *= sigmoid(gate.row<float>(t)[i]);
  }
}

void PlainBackend::rope(const Tensor& x, std::span<const SequenceSpan> sequences, Rope rope) {
  const int64_t half = rope.rotary_dim / 2;
  for (const SequenceSpan& span : sequences) {
    for (int64_t i = 0; i < span.row_count; ++i) {
      for (int64_t h = 0; h < x.dim(1); ++h) {
        float* head = x.row<float>(span.first_row + i) + h * x.stride(1);
        for (int64_t j = 0; j < half; ++j) {
          const double exponent =
              -2.0 * static_cast<double>(j) / static_cast<double>(rope.rotary_dim);
          const double angle =
              static_cast<double>(span.position + i) * std::pow(rope.theta, exponent);
          const float c = static_cast<float>(std::cos(angle));
          const float s = static_cast<float>(std::sin(angle));
          const float a = head[j], b = head[j + half];
          head[j] = a * c - b * s;
          head[j + half] = b * c + a * s;
        }
      }
    }
  }
}

void PlainBackend::lightning_attention(const Tensor& qkv, const Tensor& slope, int64_t layer,
                                       std::span<const LightningSequence> sequences,
                                       const Tensor& out) {
  const int64_t heads = qkv.dim(1), width = qkv.dim(3);
  for (const LightningSequence& sequence : sequences) {
    const Tensor state = sequence.state_of(layer), logs = sequence.log_of(layer);
    const int64_t rows = logs.dim(2);
    for (int64_t h = 0; h < heads; ++h) {
      float* log = logs.data<float>() + h * logs.stride(0);
      LightningHead head{state.data<float>() + h * state.stride(0),
                         log,
                         log + logs.stride(1),
                         rows,
                         width,
                         slope.data<float>()[h]};
      int64_t committed = sequence.committed;
      for (int64_t i = 0; i < sequence.span.row_count; ++i) {
        const int64_t token = sequence.span.position + i;
        const float* q = qkv.row<float>(sequence.span.first_row + i) + h * qkv.stride(1);
        // A block is folded when its last token has been read, before its rows are overwritten.
        while (committed + lightning_block <= std::min(token, sequence.committed_after)) {
          head.fold(committed);
          committed += lightning_block;
        }
        std::copy_n(q + width, width, head.log_keys + token % rows * width);
        std::copy_n(q + 2 * width, width, head.log_values + token % rows * width);
        head.read(q, token, committed,
                  out.row<float>(sequence.span.first_row + i) + h * out.stride(1));
      }
      for (; committed < sequence.committed_after; committed += lightning_block) {
        head.fold(committed);
      }
    }
  }
}

void PlainBackend::store_kv(const Tensor& k, const Tensor& v, const KvLayout& layout,
                            std::span<const KvSequence> sequences) {
  const int64_t width = layout.head_dim;
  const auto put = [&](const float* from, std::byte* plane, int64_t place) {
    for (int64_t i = 0; i < width; ++i) {
      if (layout.dtype == DType::bf16) {
        reinterpret_cast<bf16*>(plane)[place * width + i] = to_bf16(from[i]);
      } else {
        reinterpret_cast<float*>(plane)[place * width + i] = from[i];
      }
    }
  };
  for (const KvSequence& sequence : sequences) {
    for (int64_t i = 0; i < sequence.span.row_count; ++i) {
      const int64_t token = sequence.span.position + i, row = sequence.span.first_row + i;
      std::byte* keys =
          sequence.pages[static_cast<size_t>(token / layout.page_tokens)] + layout.layer_offset;
      for (int64_t g = 0; g < layout.kv_head_count; ++g) {
        const int64_t place = g * layout.page_tokens + token % layout.page_tokens;
        put(k.row<float>(row) + g * k.stride(1), keys, place);
        put(v.row<float>(row) + g * v.stride(1), keys + layout.plane_bytes(), place);
      }
    }
  }
}

namespace {

// seen(sequence, token): how many tokens of its sequence a token sees.
template <typename Seen>
void attend(const Tensor& q, float scale, const KvLayout& layout,
            std::span<const KvSequence> sequences, const Tensor& out, const Seen& seen) {
  const int64_t width = layout.head_dim, group = q.dim(1) / layout.kv_head_count;
  const auto stored = [&](const KvSequence& sequence, size_t plane, int64_t g, int64_t token) {
    const std::byte* base = sequence.pages[static_cast<size_t>(token / layout.page_tokens)] +
                            layout.layer_offset + plane * layout.plane_bytes();
    const int64_t place = (g * layout.page_tokens + token % layout.page_tokens) * width;
    return Tensor(base + static_cast<size_t>(place) * size_of(layout.dtype), layout.dtype, {width});
  };
  std::vector<float> scores;
  for (const KvSequence& sequence : sequences) {
    for (int64_t i = 0; i < sequence.span.row_count; ++i) {
      const int64_t token = sequence.span.position + i, row = sequence.span.first_row + i;
      for (int64_t h = 0; h < q.dim(1); ++h) {
        const float* query = q.row<float>(row) + h * q.stride(1);
        const int64_t end = seen(sequence, token);
        scores.assign(static_cast<size_t>(end), 0);
        for (int64_t j = 0; j < end; ++j) {
          const Tensor key = stored(sequence, 0, h / group, j);
          float sum = 0;
          for (int64_t d = 0; d < width; ++d) sum += query[d] * element(key, d);
          scores[static_cast<size_t>(j)] = scale * sum;
        }
        const float top = *std::max_element(scores.begin(), scores.end());
        float total = 0;
        for (float& score : scores) total += score = std::exp(score - top);
        float* to = out.row<float>(row) + h * out.stride(1);
        std::fill_n(to, width, 0.0f);
        for (int64_t j = 0; j < end; ++j) {
          const Tensor value = stored(sequence, 1, h / group, j);
          const float share = scores[static_cast<size_t>(j)] / total;
          for (int64_t d = 0; d < width; ++d) to[d] += share * element(value, d);
        }
      }
    }
  }
}

}  // namespace

void PlainBackend::softmax_attention(const Tensor& q, float scale, const KvLayout& layout,
                                     std::span<const KvSequence> sequences, const Tensor& out) {
  attend(q, scale, layout, sequences, out,
         [](const KvSequence&, int64_t token) { return token + 1; });
}

void PlainBackend::bidirectional_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                           float scale, const KvLayout& layout,
                                           std::span<const KvSequence> sequences,
                                           const Tensor& out) {
  store_kv(k, v, layout, sequences);
  attend(q, scale, layout, sequences, out,
         [](const KvSequence& sequence, int64_t) { return sequence.span.row_count; });
}

void PlainBackend::route(const Tensor& x, const Tensor& weight, RouterPrecision precision,
                         const Tensor& experts, const Tensor& shares) {
  const int64_t count = weight.dim(0), chosen = experts.dim(1);
  std::vector<float> logits(static_cast<size_t>(count));
  std::vector<int32_t> order(static_cast<size_t>(count));
  for (int64_t t = 0; t < x.dim(0); ++t) {
    for (int64_t e = 0; e < count; ++e) {
      const float logit = dot(x.row<float>(t), weight, e);
      logits[static_cast<size_t>(e)] =
          precision == RouterPrecision::bf16 ? to_f32(to_bf16(logit)) : logit;
    }
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
      return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
    });
    float total = 0;
    for (int64_t i = 0; i < chosen; ++i) {
      const int32_t expert = order[static_cast<size_t>(i)];
      const float top = logits[static_cast<size_t>(order[0])];
      experts.row<int32_t>(t)[i] = expert;
      total += shares.row<float>(t)[i] = std::exp(logits[static_cast<size_t>(expert)] - top);
    }
    for (int64_t i = 0; i < chosen; ++i) shares.row<float>(t)[i] /= total;
  }
}

void PlainBackend::moe(const Tensor& x, std::span<const ExpertWeights> weights,
                       const Tensor& experts, const Tensor& shares, const Tensor& out) {
  const int64_t width = x.dim(1), chosen = experts.dim(1);
  for (int64_t t = 0; t < x.dim(0); ++t) {
    std::vector<int64_t> order(static_cast<size_t>(chosen));
    std::iota(order.begin(), order.end(), 0);
    const int32_t* expert_of = experts.row<int32_t>(t);
    std::sort(order.begin(), order.end(),
              [&](int64_t a, int64_t b) { return expert_of[a] < expert_of[b]; });
    std::fill_n(out.row<float>(t), width, 0.0f);
    for (const int64_t slot : order) {
      const ExpertWeights& expert = weights[static_cast<size_t>(expert_of[slot])];
      std::vector<float> hidden(static_cast<size_t>(expert.gate.output_width()));
      for (size_t f = 0; f < hidden.size(); ++f) {
        const int64_t n = static_cast<int64_t>(f);
        hidden[f] = silu(dot(x.row<float>(t), expert.gate.values, n)) *
                    dot(x.row<float>(t), expert.up.values, n);
      }
      for (int64_t w = 0; w < width; ++w) {
        out.row<float>(t)[w] +=
            shares.row<float>(t)[slot] * dot(hidden.data(), expert.down.values, w);
      }
    }
  }
}

void PlainBackend::sample(std::span<const LogitsRow> rows, const Tensor& suppressed,
                          const Tensor& tokens, const Tensor& logprobs) {
  RowSampler sampler;
  for (size_t r = 0; r < rows.size(); ++r) {
    const int32_t token = sampler.draw(rows[r], suppressed);
    tokens.data<int32_t>()[r] = token;
    if (!logprobs.empty()) logprobs.data<float>()[r] = sampler.logprob(token);
  }
}

}  // namespace minimax
