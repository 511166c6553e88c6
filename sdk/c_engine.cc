// SPDX-License-Identifier: Apache-2.0
// minimax.h, section 2: plan and engine.
#include <algorithm>

#include "engine/kernels/open_backend.h"
#include "minimax.h"
#include "sdk/guard.h"
#include "sdk/handles.h"
#include "sdk/structs.h"

namespace minimax {
namespace {

std::string device_name(const minimax_engine_options& options) {
  require(options.devices || options.device_count == 0, "devices is NULL with device_count ",
          options.device_count);
  if (options.device_count == 0) return "cpu";
  if (options.device_count > 1) {
    fail(MINIMAX_UNSUPPORTED, "device_count is ", options.device_count,
         ", this version computes on one device");
  }
  require(options.devices[0], "devices[0] is NULL");
  return options.devices[0];
}

int thread_count_of(int32_t given) {
  require(given >= 0 && given <= 1024, "thread_count is ", given, ", expected 0 to 1024");
  return given > 0 ? given : std::min(devices()[0].core_count, 1024);
}

Compute compute_of(int32_t type) {
  switch (type) {
    case MINIMAX_TYPE_AUTO:
      return Compute::automatic;
    case MINIMAX_TYPE_F32:
      return Compute::f32;
    case MINIMAX_TYPE_BF16:
      return Compute::bf16;
    case MINIMAX_TYPE_F16:
      fail(MINIMAX_UNSUPPORTED, "compute_type f16 is not supported");
    default:
      fail(MINIMAX_INVALID_ARGUMENT, "compute_type is ", type, ", expected MINIMAX_TYPE_...");
  }
}

void check_known_type(const char* name, int32_t type) {
  require(type >= MINIMAX_TYPE_AUTO && type <= MINIMAX_TYPE_F16, name, " is ", type,
          ", expected MINIMAX_TYPE_...");
}

void refuse_unsupported(const minimax_engine_options& options) {
  check_known_type("weight_type", options.weight_type);
  check_known_type("kv_type", options.kv_type);
  check_known_type("state_type", options.state_type);
  if (options.weight_type != MINIMAX_TYPE_AUTO) {
    fail(MINIMAX_UNSUPPORTED,
         "weight_type: weights are used as they are stored (MINIMAX_TYPE_AUTO)");
  }
  if (options.state_type != MINIMAX_TYPE_AUTO && options.state_type != MINIMAX_TYPE_F32) {
    fail(MINIMAX_UNSUPPORTED, "state_type: lightning states are f32");
  }
  if (options.host_allocator || options.device_stream) {
    fail(MINIMAX_UNSUPPORTED, "host_allocator and device_stream must be NULL in this version");
  }
}

WeightOrigin weight_origin_of(int32_t source) {
  require(source == MINIMAX_WEIGHTS_FROM_FILES || source == MINIMAX_WEIGHTS_SYNTHETIC,
          "weight_source is ", source, ", expected MINIMAX_WEIGHTS_...");
  return source == MINIMAX_WEIGHTS_SYNTHETIC ? WeightOrigin::synthetic : WeightOrigin::files;
}

int32_t type_number(DType type) {
  return type == DType::bf16 ? MINIMAX_TYPE_BF16 : MINIMAX_TYPE_F32;
}

minimax_engine_info describe(const Model& model) {
  const Engine& engine = model.engine();
  const ModelConfig& config = engine.config();
  minimax_engine_info info;
  init_struct(&info);
  info.model_name = config.model_name.c_str();
  info.device = engine.options().device.c_str();
  info.parameter_count = engine.weights().parameter_count;
  info.weight_bytes = engine.weights().weight_bytes;
  info.declared_context = config.declared_context;
  info.layer_count = static_cast<int32_t>(config.layer_count);
  info.lightning_layer_count = static_cast<int32_t>(config.lightning_layer_count());
  info.hidden_size = static_cast<int32_t>(config.width);
  info.vocabulary_size = static_cast<int32_t>(config.vocabulary_size);
  info.expert_count = static_cast<int32_t>(config.expert_count);
  info.thread_count = engine.options().thread_count;
  info.compute_type = type_number(engine.compute_type());
  info.kv_type = type_number(engine.kv_type());
  info.has_tokenizer = model.has_tokenizer() ? 1 : 0;
  info.has_vision = config.has_vision ? 1 : 0;
  info.stop_token = model.stop_token().value_or(-1);
  info.image_token = config.image_token;
  return info;
}

}  // namespace

EngineOptions read_engine_options(const minimax_engine_options* given) {
  const minimax_engine_options read = read_struct(given, "options");
  refuse_unsupported(read);
  require(read.context_limit >= 0, "context_limit is ", read.context_limit, ", expected 0 or more");
  require(read.kv_bytes_limit >= 0, "kv_bytes_limit is ", read.kv_bytes_limit,
          ", expected 0 or more");
  require(read.chunk_tokens >= 0 && read.chunk_tokens <= 8192, "chunk_tokens is ",
          read.chunk_tokens, ", expected 0 to 8192");
  EngineOptions options;
  options.device = device_name(read);
  options.thread_count = thread_count_of(read.thread_count);
  options.compute = compute_of(read.compute_type);
  options.kv_type = read.kv_type;
  options.weights = weight_origin_of(read.weight_source);
  options.synthetic_seed = read.synthetic_seed;
  options.context_limit = read.context_limit;
  options.kv_bytes_limit = read.kv_bytes_limit;
  options.chunk_tokens =
      read.chunk_tokens > 0 ? read.chunk_tokens : default_chunk_tokens(options.device);
  require(read.image_cache_bytes_limit >= 0, "image_cache_bytes_limit is ",
          read.image_cache_bytes_limit, ", expected 0 or more");
  options.image_cache_bytes_limit = read.image_cache_bytes_limit;
  require(read.prefix_cache_bytes_limit >= -1, "prefix_cache_bytes_limit is ",
          read.prefix_cache_bytes_limit, ", expected -1 or more");
  options.prefix_cache_bytes_limit = read.prefix_cache_bytes_limit;
  options.progress = read.progress;
  options.progress_user = read.progress_user;
  return options;
}

}  // namespace minimax

using minimax::guard;
using minimax::model_of;
using minimax::require;

size_t minimax_engine_options_init(minimax_engine_options* options, size_t struct_size) {
  return minimax::init_struct(options, struct_size);
}
size_t minimax_memory_plan_init(minimax_memory_plan* plan, size_t struct_size) {
  return minimax::init_struct(plan, struct_size);
}
size_t minimax_engine_info_init(minimax_engine_info* info, size_t struct_size) {
  return minimax::init_struct(info, struct_size);
}
size_t minimax_engine_memory_init(minimax_engine_memory* memory, size_t struct_size) {
  return minimax::init_struct(memory, struct_size);
}

minimax_status minimax_plan(const char* path, const minimax_engine_options* options,
                            minimax_memory_plan* out_plan) {
  return guard([&] {
    require(path, "path is NULL");
    require(out_plan, "out_plan is NULL");
    minimax::check_struct_size(out_plan, "out_plan");
    minimax::write_struct(minimax::Engine::plan(path, minimax::read_engine_options(options)),
                          out_plan, "out_plan");
  });
}

minimax_status minimax_engine_open(const char* path, const minimax_engine_options* options,
                                   minimax_engine** out_engine) {
  return guard([&] {
    require(path, "path is NULL");
    require(out_engine, "out_engine is NULL");
    *out_engine =
        new minimax_engine{minimax::Model::load(path, minimax::read_engine_options(options))};
  });
}

void minimax_engine_free(minimax_engine* engine) {
  delete engine;
}

minimax_status minimax_engine_get_info(const minimax_engine* engine,
                                       minimax_engine_info* out_info) {
  return guard([&] {
    require(out_info, "out_info is NULL");
    minimax::write_struct(minimax::describe(model_of(engine)), out_info, "out_info");
  });
}

minimax_status minimax_engine_config_json(const minimax_engine* engine, char* buffer,
                                          size_t capacity, size_t* out_size) {
  return guard([&] {
    const std::string& config = model_of(engine).engine().config_text();
    minimax::write_buffer<char>(config, buffer, capacity, out_size);
  });
}

minimax_status minimax_engine_get_memory(const minimax_engine* engine,
                                         minimax_engine_memory* out_memory) {
  return guard([&] {
    const minimax::Model& model = model_of(engine);
    require(out_memory, "out_memory is NULL");
    minimax_engine_memory memory;
    minimax::init_struct(&memory);
    memory.weight_bytes = model.engine().weights().weight_bytes;
    memory.workspace_bytes = model.engine().workspace_bytes();
    memory.session_bytes = model.session_bytes();
    memory.kv_bytes = model.engine().kv_bytes();
    memory.session_count = model.session_count();
    const minimax::PrefixCacheStats cached = model.prefixes().stats();
    memory.prefix_cache_bytes = cached.bytes - cached.kv_bytes;
    minimax::write_struct(memory, out_memory, "out_memory");
  });
}
