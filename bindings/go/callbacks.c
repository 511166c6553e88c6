/* SPDX-License-Identifier: Apache-2.0
 * Calls with callbacks into Go. */
#include "callbacks.h"

/* Exported by callbacks.go. */
int32_t minimaxGoProgress(uintptr_t listener, uint64_t done, uint64_t total);
int32_t minimaxGoText(uintptr_t listener, char* text, size_t size);
int32_t minimaxGoToken(uintptr_t listener, int32_t token);
int32_t minimaxGoWrite(uintptr_t listener, void* bytes, size_t size);
int32_t minimaxGoRead(uintptr_t listener, void* bytes, size_t size, size_t* out_size);
void minimaxGoLog(uintptr_t listener, int32_t level, char* message, size_t size);

static int32_t on_progress(void* user, uint64_t done, uint64_t total) {
  return minimaxGoProgress((uintptr_t)user, done, total);
}
static int32_t on_text(void* user, const char* text, size_t size) {
  return minimaxGoText((uintptr_t)user, (char*)text, size);
}
static int32_t on_token(void* user, int32_t token) {
  return minimaxGoToken((uintptr_t)user, token);
}
static int32_t on_write(void* user, const void* bytes, size_t size) {
  return minimaxGoWrite((uintptr_t)user, (void*)bytes, size);
}
static int32_t on_read(void* user, void* bytes, size_t size, size_t* out_size) {
  return minimaxGoRead((uintptr_t)user, bytes, size, out_size);
}
static void on_log(void* user, int32_t level, const char* message, size_t size) {
  minimaxGoLog((uintptr_t)user, level, (char*)message, size);
}

minimax_status minimax_go_open(const char* path, const minimax_engine_options* options,
                               uintptr_t listener, minimax_engine** out_engine) {
  minimax_engine_options own = *options;
  own.progress = on_progress;
  own.progress_user = (void*)listener;
  return minimax_engine_open(path, &own, out_engine);
}

minimax_status minimax_go_encode(minimax_engine* engine, const minimax_image* image,
                                 uintptr_t listener) {
  return minimax_engine_encode_image(engine, image, on_progress, (void*)listener);
}

minimax_status minimax_go_generate(minimax_session* session, minimax_sampler* sampler,
                                   const minimax_generate_options* options, int32_t has_text,
                                   uintptr_t listener, minimax_generate_result* out_result) {
  minimax_generate_options own = *options;
  own.on_text = has_text ? on_text : NULL;
  own.on_token = on_token;
  own.user = (void*)listener;
  return minimax_session_generate(session, sampler, &own, out_result);
}

minimax_status minimax_go_save(const minimax_session* session, const minimax_sampler* sampler,
                               uintptr_t listener) {
  const minimax_session_save_options options = {sizeof options, sampler};
  return minimax_session_save_to(session, on_write, (void*)listener, &options);
}

minimax_status minimax_go_load(minimax_engine* engine, minimax_sampler* sampler, uintptr_t listener,
                               minimax_session** out_session) {
  const minimax_session_load_options options = {sizeof options, sampler};
  return minimax_session_load_from(engine, on_read, (void*)listener, &options, out_session);
}

minimax_status minimax_go_set_log(int32_t level, uintptr_t listener) {
  return minimax_set_log(listener ? on_log : NULL, (void*)listener, level);
}
