// SPDX-License-Identifier: Apache-2.0
// minimax.h, section 1: versions, features, errors, log, devices.
#include <algorithm>
#include <cstring>
#include <string_view>

#include "base/log.h"
#include "engine/kernels/cpu/kernel_table.h"
#include "engine/kernels/open_backend.h"
#include "minimax.h"
#include "sdk/guard.h"
#include "sdk/structs.h"
#include "tokenizer/utf8.h"

#ifndef MINIMAX_SOURCE_ID
#define MINIMAX_SOURCE_ID "unknown"
#endif

namespace minimax {
namespace {

constexpr size_t sentence_limit = 2048;
thread_local char the_sentence[sentence_limit];

bool has_isa(Isa isa) {
  const std::vector<Isa> isas = supported_isas();
  return std::find(isas.begin(), isas.end(), isa) != isas.end();
}

bool has_feature(std::string_view name) {
  if (name == "cpu" || name == "sentencepiece" || name == "vision") return true;
  if (name == "cuda") return built_with_cuda();
  if (name == "avx2") return has_isa(Isa::avx2);
  if (name == "avx512" || name == "avx512_bf16") return has_isa(Isa::avx512);
  return false;
}

}  // namespace

void set_last_error(std::string_view sentence) noexcept {
  const char* const end = sentence.data() + sentence.size();
  size_t size = 0;
  for (const char* at = sentence.data(); at < end;) {
    const CodePoint point = decode_utf8(at, end);
    if (size + point.size >= sentence_limit) break;
    const bool is_shown =
        point.value != not_a_character && point.value >= 0x20 && point.value != 0x7f;
    std::memcpy(the_sentence + size, is_shown ? at : "?", is_shown ? point.size : 1);
    size += is_shown ? point.size : 1;
    at += point.size;
  }
  the_sentence[size] = '\0';
}

const char* last_error() noexcept {
  return the_sentence;
}

}  // namespace minimax

using minimax::guard;
using minimax::require;

int32_t minimax_version_number(void) {
  return MINIMAX_VERSION_NUMBER;
}

#define MINIMAX_TEXT_OF(x) #x
#define MINIMAX_VERSION_TEXT(major, minor, patch) \
  MINIMAX_TEXT_OF(major) "." MINIMAX_TEXT_OF(minor) "." MINIMAX_TEXT_OF(patch)

const char* minimax_version_string(void) {
  return MINIMAX_VERSION_TEXT(MINIMAX_VERSION_MAJOR, MINIMAX_VERSION_MINOR, MINIMAX_VERSION_PATCH);
}

const char* minimax_source_id(void) {
  return MINIMAX_SOURCE_ID;
}

int32_t minimax_has_feature(const char* name) {
  return name && minimax::has_feature(name) ? 1 : 0;
}

const char* minimax_status_name(minimax_status status) {
  switch (status) {
    case MINIMAX_OK:
      return "MINIMAX_OK";
    case MINIMAX_INVALID_ARGUMENT:
      return "MINIMAX_INVALID_ARGUMENT";
    case MINIMAX_BUFFER_TOO_SMALL:
      return "MINIMAX_BUFFER_TOO_SMALL";
    case MINIMAX_UNSUPPORTED:
      return "MINIMAX_UNSUPPORTED";
    case MINIMAX_NOT_AVAILABLE:
      return "MINIMAX_NOT_AVAILABLE";
    case MINIMAX_NOT_FOUND:
      return "MINIMAX_NOT_FOUND";
    case MINIMAX_IO_ERROR:
      return "MINIMAX_IO_ERROR";
    case MINIMAX_BAD_FILE:
      return "MINIMAX_BAD_FILE";
    case MINIMAX_WRONG_MODEL:
      return "MINIMAX_WRONG_MODEL";
    case MINIMAX_OUT_OF_MEMORY:
      return "MINIMAX_OUT_OF_MEMORY";
    case MINIMAX_CONTEXT_FULL:
      return "MINIMAX_CONTEXT_FULL";
    case MINIMAX_CANCELLED:
      return "MINIMAX_CANCELLED";
    case MINIMAX_DEVICE_ERROR:
      return "MINIMAX_DEVICE_ERROR";
    case MINIMAX_POISONED:
      return "MINIMAX_POISONED";
    case MINIMAX_INTERNAL_ERROR:
      return "MINIMAX_INTERNAL_ERROR";
    default:
      return "unknown status";
  }
}

const char* minimax_last_error(void) {
  return minimax::last_error();
}

minimax_status minimax_set_log(minimax_log_fn log, void* user, int32_t level) {
  return guard([&] {
    require(level >= MINIMAX_LOG_ERROR && level <= MINIMAX_LOG_DEBUG, "level is ", level,
            ", expected 0 to 3");
    minimax::set_log(log, user, level);
  });
}

size_t minimax_device_info_init(minimax_device_info* info, size_t struct_size) {
  return minimax::init_struct(info, struct_size);
}

minimax_status minimax_device_count(size_t* out_count) {
  return guard([&] {
    require(out_count, "out_count is NULL");
    *out_count = minimax::devices().size();
  });
}

minimax_status minimax_get_device_info(size_t index, minimax_device_info* out_info) {
  return guard([&] {
    require(out_info, "out_info is NULL");
    const auto& devices = minimax::devices();
    if (index >= devices.size()) {
      minimax::fail(MINIMAX_NOT_FOUND, "device ", index, ", there are ", devices.size());
    }
    minimax_device_info info;
    minimax::init_struct(&info);
    info.name = devices[index].name.c_str();
    info.description = devices[index].description.c_str();
    info.memory_bytes = devices[index].memory_bytes;
    info.available_bytes = minimax::available_bytes(devices[index].name);
    info.core_count = devices[index].core_count;
    minimax::write_struct(info, out_info, "out_info");
  });
}
