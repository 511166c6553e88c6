// SPDX-License-Identifier: Apache-2.0
#include "tests/parity/far_backend.h"

#include <map>

#include "base/error.h"

namespace minimax {
namespace {

// Elements of a tensor in order, whatever its strides.
template <typename Body>
void for_each_element(const Tensor& tensor, const Body& body) {
  const int rank = tensor.rank();
  for (int64_t i = 0; i < tensor.element_count(); ++i) {
    int64_t offset = 0, rest = i;
    for (int d = rank - 1; d >= 0; --d) {
      offset += rest % tensor.dim(d) * tensor.stride(d);
      rest /= tensor.dim(d);
    }
    body(i, offset);
  }
}

std::vector<std::byte> packed(const Tensor& host, DType type) {
  std::vector<std::byte> out(static_cast<size_t>(host.element_count()) * size_of(type));
  for_each_element(host, [&](int64_t i, int64_t offset) {
    const auto at = static_cast<size_t>(i);
    if (host.dtype() == type && size_of(type) == 4) {
      reinterpret_cast<uint32_t*>(out.data())[at] =
          static_cast<const uint32_t*>(host.raw())[offset];
    } else if (host.dtype() == type) {
      reinterpret_cast<uint16_t*>(out.data())[at] =
          static_cast<const uint16_t*>(host.raw())[offset];
    } else {
      reinterpret_cast<bf16*>(out.data())[at] = to_bf16(host.data<float>()[offset]);
    }
  });
  return out;
}

}  // namespace

FarBackend::Twin::Twin(Backend& device, const Tensor& host, DType type)
    : device_(&device),
      host_(host),
      buffer_(device.memory(), static_cast<size_t>(host.element_count()) * size_of(type)) {
  tensor_ = buffer_.tensor(type, host.shape());
  const std::vector<std::byte> bytes = packed(host, type);
  device.memory().copy_from_host(tensor_.raw(), bytes.data(), bytes.size());
}

void FarBackend::Twin::bring_back() const {
  device_->finish();
  std::vector<std::byte> bytes(tensor_.size_bytes());
  device_->memory().copy_to_host(bytes.data(), tensor_.raw(), bytes.size());
  for_each_element(host_, [&](int64_t i, int64_t offset) {
    const auto at = static_cast<size_t>(i);
    if (tensor_.dtype() == DType::bf16 && host_.dtype() == DType::f32) {
      host_.data<float>()[offset] = to_f32(reinterpret_cast<const bf16*>(bytes.data())[at]);
    } else {
      static_cast<uint32_t*>(host_.raw())[offset] =
          reinterpret_cast<const uint32_t*>(bytes.data())[at];
    }
  });
}

FarBackend::TwinPages::TwinPages(Backend& device, const KvLayout& layout,
                                 std::span<const KvSequence> sequences)
    : device_(&device),
      page_bytes_(layout.layer_offset + 2 * layout.plane_bytes()),
      hosts_(sequences) {
  for (const KvSequence& sequence : sequences) {
    std::vector<std::byte*>& list = pages_.emplace_back();
    for (const std::byte* page : sequence.pages) {
      const Buffer& buffer = buffers_.emplace_back(device.memory(), page_bytes_);
      device.memory().copy_from_host(buffer.data(), page, page_bytes_);
      list.push_back(static_cast<std::byte*>(buffer.data()));
    }
  }
  for (size_t s = 0; s < sequences.size(); ++s) twins_.push_back({sequences[s].span, pages_[s]});
}

void FarBackend::TwinPages::bring_back() const {
  device_->finish();
  for (size_t s = 0; s < hosts_.size(); ++s) {
    for (size_t p = 0; p < pages_[s].size(); ++p) {
      device_->memory().copy_to_host(hosts_[s].pages[p], pages_[s][p], page_bytes_);
    }
  }
}

FarBackend::Twin FarBackend::weight(const Tensor& host) {
  const DType kept = device_->weight_type().value_or(host.dtype());
  require(host.dtype() == kept, "weight is ", name_of(host.dtype()), ", the device keeps ",
          name_of(kept));
  return same(host);
}

void FarBackend::embed(const Tensor& ids, const Tensor& table, const Tensor& out) {
  const Twin far_ids = same(ids), far_table = weight(table), far_out = act(out);
  device_->embed(far_ids.tensor(), far_table.tensor(), far_out.tensor());
  far_out.bring_back();
}

void FarBackend::linear(const Tensor& x, const Weight& weights, Activation activation,
                        const Tensor& out) {
  const Twin far_x = act(x), far_weight = weight(weights.values), far_out = act(out);
  device_->linear(far_x.tensor(), {far_weight.tensor()}, activation, far_out.tensor());
  far_out.bring_back();
}

void FarBackend::logits(const Tensor& x, const Weight& weights, const Tensor& logits) {
  const Twin far_x = act(x), far_weight = weight(weights.values), far_out = same(logits);
  device_->logits(far_x.tensor(), {far_weight.tensor()}, far_out.tensor());
  far_out.bring_back();
}

void FarBackend::biased_linear(const Tensor& x, const Weight& weights, const Tensor& bias,
                               Activation activation, const Tensor& out) {
  const Twin far_x = act(x), far_weight = weight(weights.values), far_bias = same(bias),
             far_out = act(out);
  device_->biased_linear(far_x.tensor(), {far_weight.tensor()}, far_bias.tensor(), activation,
                         far_out.tensor());
  far_out.bring_back();
}

void FarBackend::add_biased_linear(const Tensor& x, const Weight& weights, const Tensor& bias,
                                   const Tensor& room, const Tensor& out) {
  const Twin far_x = act(x), far_weight = weight(weights.values), far_bias = same(bias),
             far_room = act(room), far_out = act(out);
  device_->add_biased_linear(far_x.tensor(), {far_weight.tensor()}, far_bias.tensor(),
                             far_room.tensor(), far_out.tensor());
  far_out.bring_back();
}

void FarBackend::add(const Tensor& x, const Tensor& y, const Tensor& out) {
  const Twin far_x = act(x), far_y = act(y), far_out = act(out);
  device_->add(far_x.tensor(), far_y.tensor(), far_out.tensor());
  far_out.bring_back();
}

void FarBackend::copy(const Tensor& from, const Tensor& to) {
  const Twin far_from = act(from), far_to = act(to);
  device_->copy(far_from.tensor(), far_to.tensor());
  far_to.bring_back();
}

void FarBackend::layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, float eps,
                            const Tensor& out) {
  const Twin far_x = act(x), far_weight = same(weight), far_bias = same(bias), far_out = act(out);
  device_->layer_norm(far_x.tensor(), far_weight.tensor(), far_bias.tensor(), eps,
                      far_out.tensor());
  far_out.bring_back();
}

void FarBackend::rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& out) {
  const Twin far_x = act(x), far_weight = same(weight), far_out = act(out);
  device_->rms_norm(far_x.tensor(), far_weight.tensor(), eps, far_out.tensor());
  far_out.bring_back();
}

void FarBackend::residual_rms_norm(const Tensor& x, const Tensor& y, ResidualScale scale,
                                   const Tensor& weight, float eps, const Tensor& out) {
  const Twin far_x = act(x), far_y = act(y), far_weight = same(weight), far_out = act(out);
  device_->residual_rms_norm(far_x.tensor(), far_y.tensor(), scale, far_weight.tensor(), eps,
                             far_out.tensor());
  far_out.bring_back();
}

void FarBackend::gated_rms_norm(const Tensor& x, const Tensor& gate, const Tensor& weight,
                                float eps, const Tensor& out) {
  const Twin far_x = act(x), far_gate = act(gate), far_weight = same(weight), far_out = act(out);
  device_->gated_rms_norm(far_x.tensor(), far_gate.tensor(), far_weight.tensor(), eps,
                          far_out.tensor());
  far_out.bring_back();
}

void FarBackend::rope(const Tensor& x, std::span<const SequenceSpan> sequences, Rope rope) {
  const Twin far_x = act(x);
  device_->rope(far_x.tensor(), sequences, rope);
  far_x.bring_back();
}

void FarBackend::lightning_attention(const Tensor& qkv, const Tensor& slope, int64_t layer,
                                     std::span<const LightningSequence> sequences,
                                     const Tensor& out) {
  require(layer == 0, "layer is ", layer, ", the copies hold one");
  const Twin far_qkv = act(qkv), far_slope = same(slope), far_out = act(out);
  std::vector<Twin> states, logs;
  std::vector<LightningSequence> far;
  for (const LightningSequence& sequence : sequences) {
    states.push_back(same(sequence.state));
    logs.push_back(act(sequence.log));
    far.push_back({sequence.span, sequence.committed, sequence.committed_after,
                   states.back().tensor(), logs.back().tensor()});
  }
  device_->lightning_attention(far_qkv.tensor(), far_slope.tensor(), layer, far, far_out.tensor());
  far_out.bring_back();
  for (const Twin& state : states) state.bring_back();
  for (const Twin& log : logs) log.bring_back();
}

void FarBackend::store_kv(const Tensor& k, const Tensor& v, const KvLayout& layout,
                          std::span<const KvSequence> sequences) {
  const Twin far_k = act(k), far_v = act(v);
  const TwinPages pages(*device_, layout, sequences);
  device_->store_kv(far_k.tensor(), far_v.tensor(), layout, pages.sequences());
  pages.bring_back();
}

void FarBackend::softmax_attention(const Tensor& q, float scale, const KvLayout& layout,
                                   std::span<const KvSequence> sequences, const Tensor& out) {
  const Twin far_q = act(q), far_out = act(out);
  const TwinPages pages(*device_, layout, sequences);
  device_->softmax_attention(far_q.tensor(), scale, layout, pages.sequences(), far_out.tensor());
  far_out.bring_back();
}

void FarBackend::bidirectional_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                         float scale, const KvLayout& layout,
                                         std::span<const KvSequence> sequences, const Tensor& out) {
  const Twin far_q = act(q), far_k = act(k), far_v = act(v), far_out = act(out);
  const TwinPages pages(*device_, layout, sequences);
  device_->bidirectional_attention(far_q.tensor(), far_k.tensor(), far_v.tensor(), scale, layout,
                                   pages.sequences(), far_out.tensor());
  far_out.bring_back();
}

void FarBackend::route(const Tensor& x, const Tensor& weight, RouterPrecision precision,
                       const Tensor& experts, const Tensor& shares) {
  const Twin far_x = act(x), far_weight = same(weight), far_experts = same(experts),
             far_shares = same(shares);
  device_->route(far_x.tensor(), far_weight.tensor(), precision, far_experts.tensor(),
                 far_shares.tensor());
  far_experts.bring_back();
  far_shares.bring_back();
}

void FarBackend::moe(const Tensor& x, std::span<const ExpertWeights> weights, const Tensor& experts,
                     const Tensor& shares, const Tensor& out) {
  const Twin far_x = act(x), far_experts = same(experts), far_shares = same(shares),
             far_out = act(out);
  std::vector<Twin> matrices;
  matrices.reserve(3 * weights.size());
  std::vector<ExpertWeights> far;
  for (const ExpertWeights& expert : weights) {
    for (const Weight* part : {&expert.gate, &expert.up, &expert.down}) {
      matrices.push_back(weight(part->values));
    }
    const Twin* last = &matrices.back();
    far.push_back({{last[-2].tensor()}, {last[-1].tensor()}, {last[0].tensor()}});
  }
  device_->moe(far_x.tensor(), far, far_experts.tensor(), far_shares.tensor(), far_out.tensor());
  far_out.bring_back();
}

void FarBackend::sample(std::span<const LogitsRow> rows, const Tensor& suppressed,
                        const Tensor& tokens, const Tensor& logprobs) {
  const Twin far_suppressed = same(suppressed), far_tokens = same(tokens),
             far_logprobs = same(logprobs);
  std::map<const void*, Twin> twins;  // rows may have logits in common
  std::vector<LogitsRow> far;
  for (const LogitsRow& row : rows) {
    auto twin = twins.find(row.logits.raw());
    if (twin == twins.end()) {
      twin = twins.emplace(row.logits.raw(), same(row.logits)).first;
    }
    far.push_back({twin->second.tensor(), row.rule});
  }
  device_->sample(far, far_suppressed.tensor(), far_tokens.tensor(), far_logprobs.tensor());
  far_tokens.bring_back();
  far_logprobs.bring_back();
}

}  // namespace minimax
