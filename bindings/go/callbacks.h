/* SPDX-License-Identifier: Apache-2.0
 * Calls with callbacks: Go may not keep its own pointers in structs that it passes, so these put the
 * callbacks in, and a number that names the Go side's listener. */
#ifndef MINIMAX_GO_CALLBACKS_H
#define MINIMAX_GO_CALLBACKS_H

#include <minimax.h>

minimax_status minimax_go_open(const char* path, const minimax_engine_options* options,
                               uintptr_t listener, minimax_engine** out_engine);
minimax_status minimax_go_encode(minimax_engine* engine, const minimax_image* image,
                                 uintptr_t listener);
minimax_status minimax_go_generate(minimax_session* session, minimax_sampler* sampler,
                                   const minimax_generate_options* options, int32_t has_text,
                                   uintptr_t listener, minimax_generate_result* out_result);
minimax_status minimax_go_save(const minimax_session* session, const minimax_sampler* sampler,
                               uintptr_t listener);
minimax_status minimax_go_load(minimax_engine* engine, minimax_sampler* sampler, uintptr_t listener,
                               minimax_session** out_session);
minimax_status minimax_go_set_log(int32_t level, uintptr_t listener);

#endif
