// SPDX-License-Identifier: Apache-2.0
// minimax.h, section 9: sessions as files.
#include <algorithm>
#include <cstring>
#include <string_view>

#include "base/file_stream.h"
#include "minimax.h"
#include "sdk/guard.h"
#include "sdk/handles.h"
#include "sdk/session_file.h"
#include "sdk/structs.h"

namespace minimax {
namespace {

class CallbackSink final : public ByteSink {
 public:
  CallbackSink(minimax_write_fn write, void* user) : write_(write), user_(user) {}
  void write(std::span<const std::byte> bytes) override {
    const int32_t answer = write_(user_, bytes.data(), bytes.size());
    if (answer != 0) {
      fail(MINIMAX_IO_ERROR, "the write callback returned ", answer, " after ", done_bytes_,
           " bytes");
    }
    done_bytes_ += bytes.size();
  }

 private:
  const minimax_write_fn write_;
  void* const user_;
  uint64_t done_bytes_ = 0;
};

class CallbackSource final : public ByteSource {
 public:
  CallbackSource(minimax_read_fn read, void* user) : read_(read), user_(user) {}
  void read(std::span<std::byte> to) override {
    while (!to.empty()) {
      size_t count = 0;
      const int32_t answer = read_(user_, to.data(), to.size(), &count);
      if (answer != 0) {
        fail(MINIMAX_IO_ERROR, "the read callback returned ", answer, " after ", done_bytes_,
             " bytes");
      }
      require(count <= to.size(), "the read callback gave ", count, " bytes, ", to.size(),
              " were asked for");
      require_file(count > 0, name_, ": ends after ", done_bytes_, " bytes, ", to.size(),
                   " more are expected there");
      done_bytes_ += count;
      to = to.subspan(count);
    }
  }
  std::optional<uint64_t> size_bytes() const override { return std::nullopt; }
  const std::string& name() const override { return name_; }

 private:
  const minimax_read_fn read_;
  void* const user_;
  const std::string name_ = "the saved session";
  uint64_t done_bytes_ = 0;
};

void save(const minimax_session* session, const minimax_session_save_options* given,
          ByteSink& sink) {
  const minimax_session_save_options options = read_struct(given, "options");
  session->loan().require_home("the session");
  const minimax_sampler* sampler = options.sampler;
  if (sampler && sampler->model != session->model()) {
    fail(MINIMAX_WRONG_MODEL, "the sampler belongs to another engine than the session");
  }
  save_session(*session, sampler ? &sampler_of(sampler) : nullptr, sink);
}

void load(const minimax_engine* engine, const minimax_session_load_options* given,
          ByteSource& source, minimax_session** out_session) {
  const minimax_session_load_options options = read_struct(given, "options");
  minimax_sampler* sampler = options.sampler;
  if (sampler && sampler->model != engine->model) {
    fail(MINIMAX_WRONG_MODEL, "the sampler belongs to another engine than the session");
  }
  if (sampler) static_cast<void>(sampler_of(sampler));  // refused before anything is read
  LoadedSession loaded = load_session(engine->model, source,
                                      sampler ? SavedSamplerWanted::yes : SavedSamplerWanted::no);
  *out_session = new minimax_session(std::move(loaded.session));
  if (sampler) sampler_of(sampler) = std::move(*loaded.sampler);
}

// Cut where it does not fit, and ended by a zero.
template <size_t size>
void copy_name(std::string_view name, char (&to)[size]) {
  const size_t count = std::min(name.size(), size - 1);
  std::memcpy(to, name.data(), count);
}

minimax_session_file_info describe(const SessionIndex& index) {
  minimax_session_file_info info;
  init_struct(&info);
  info.file_bytes = index.total_bytes;
  info.position = index.extent.position;
  info.image_count = index.pictures.size();
  info.format_version = static_cast<int32_t>(index.version);
  info.rewind_tokens = static_cast<int32_t>(index.rewind_tokens);
  info.kv_type = index.extent.kv_type == DType::f32 ? MINIMAX_TYPE_F32 : MINIMAX_TYPE_BF16;
  info.has_logits = index.has_logits ? 1 : 0;
  info.has_sampler = index.sampler ? 1 : 0;
  copy_name(index.model_name, info.model_name);
  copy_name(index.library_version, info.library_version);
  static_assert(sizeof info.model_id == sizeof index.model);
  std::memcpy(info.model_id, &index.model, sizeof info.model_id);
  return info;
}

}  // namespace
}  // namespace minimax

using minimax::guard;
using minimax::require;

size_t minimax_session_save_options_init(minimax_session_save_options* options,
                                         size_t struct_size) {
  return minimax::init_struct(options, struct_size);
}
size_t minimax_session_load_options_init(minimax_session_load_options* options,
                                         size_t struct_size) {
  return minimax::init_struct(options, struct_size);
}
size_t minimax_session_file_info_init(minimax_session_file_info* info, size_t struct_size) {
  return minimax::init_struct(info, struct_size);
}

minimax_status minimax_session_save(const minimax_session* session, const char* path,
                                    const minimax_session_save_options* options) {
  return guard([&] {
    require(session, "session is NULL");
    require(path, "path is NULL");
    minimax::FileSink file(path);
    minimax::save(session, options, file);
    file.commit();
  });
}

minimax_status minimax_session_save_to(const minimax_session* session, minimax_write_fn write,
                                       void* user, const minimax_session_save_options* options) {
  return guard([&] {
    require(session, "session is NULL");
    require(write, "write is NULL");
    minimax::CallbackSink sink(write, user);
    minimax::save(session, options, sink);
  });
}

minimax_status minimax_session_load(minimax_engine* engine, const char* path,
                                    const minimax_session_load_options* options,
                                    minimax_session** out_session) {
  return guard([&] {
    (void)minimax::model_of(engine);
    require(path, "path is NULL");
    require(out_session, "out_session is NULL");
    minimax::FileSource file(path);
    minimax::load(engine, options, file, out_session);
  });
}

minimax_status minimax_session_load_from(minimax_engine* engine, minimax_read_fn read, void* user,
                                         const minimax_session_load_options* options,
                                         minimax_session** out_session) {
  return guard([&] {
    (void)minimax::model_of(engine);
    require(read, "read is NULL");
    require(out_session, "out_session is NULL");
    minimax::CallbackSource source(read, user);
    minimax::load(engine, options, source, out_session);
  });
}

minimax_status minimax_get_session_file_info(const char* path,
                                             minimax_session_file_info* out_info) {
  return guard([&] {
    require(path, "path is NULL");
    require(out_info, "out_info is NULL");
    minimax::FileSource file(path);
    minimax::write_struct(minimax::describe(minimax::read_session_index(file)), out_info,
                          "out_info");
  });
}
