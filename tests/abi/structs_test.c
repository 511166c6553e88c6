/* SPDX-License-Identifier: Apache-2.0
 * struct_size of every struct: older and newer programs meet this library, and neither is misread. */
#include <stddef.h>

#include "abi_fixture.h"

#define PATH "structs_test.session"

enum { TAIL = 24, ROOM = 1024, FILL = 0xA5 };

static minimax_engine* engine;
static minimax_session *session, *shown; /* `shown` has a picture */
static minimax_prompt* question;

/* One struct: how it is made, and a call that reads or fills it. */
typedef struct struct_case {
  const char* name;
  size_t size;
  size_t cut; /* where its last field begins: a smaller version of it */
  size_t (*init)(void* at, size_t struct_size);
  minimax_status (*use)(void* at);
} struct_case;

static minimax_status ready_to_answer(void) {
  const minimax_status status = minimax_session_reset(session);
  return status ? status : minimax_session_feed_prompt(session, question, NULL);
}

static minimax_status plan_with(void* options) {
  minimax_memory_plan plan;
  minimax_memory_plan_init(&plan, sizeof plan);
  return minimax_plan(DEMO_MODEL, options, &plan);
}

static minimax_status open_with(void* options) {
  minimax_engine* opened = NULL;
  const minimax_status status = minimax_engine_open(DEMO_MODEL, options, &opened);
  minimax_engine_free(opened);
  return status;
}

static minimax_status create_session_with(void* options) {
  minimax_session* created = NULL;
  const minimax_status status = minimax_session_create(engine, options, &created);
  minimax_session_free(created);
  return status;
}

static minimax_status create_sampler_with(void* options) {
  minimax_sampler* created = NULL;
  const minimax_status status = minimax_sampler_create(engine, options, &created);
  minimax_sampler_free(created);
  return status;
}

static minimax_status generate_with(void* options) {
  CHECK_OK(ready_to_answer());
  return minimax_session_generate(session, NULL, options, NULL);
}

static minimax_status fill_device_info(void* out) {
  return minimax_get_device_info(0, out);
}
static minimax_status fill_plan(void* out) {
  return minimax_plan(DEMO_MODEL, NULL, out);
}
static minimax_status fill_info(void* out) {
  return minimax_engine_get_info(engine, out);
}
static minimax_status fill_memory(void* out) {
  return minimax_engine_get_memory(engine, out);
}
static minimax_status fill_token_info(void* out) {
  return minimax_engine_token_info(engine, 65, out);
}
static minimax_status fill_stats(void* out) {
  return minimax_session_get_stats(session, out);
}
static minimax_status fill_tile_plan(void* out) {
  return minimax_image_plan(engine, 300, 100, out);
}
static minimax_status fill_image_cache_stats(void* out) {
  return minimax_engine_get_image_cache_stats(engine, out);
}
static minimax_status fill_image_span(void* out) {
  return minimax_session_get_image_span(shown, 0, out);
}

static minimax_status fill_snapshot_info(void* out) {
  minimax_snapshot* snapshot = NULL;
  CHECK_OK(minimax_session_mark(session, &snapshot));
  const minimax_status status = minimax_snapshot_get_info(snapshot, out);
  minimax_snapshot_free(snapshot);
  return status;
}

static minimax_status fill_feed_report(void* out) {
  CHECK_OK(minimax_session_reset(session));
  return minimax_session_feed_prompt(session, question, out);
}

static minimax_status fill_generate_result(void* out) {
  CHECK_OK(ready_to_answer());
  return minimax_session_generate(session, NULL, NULL, out);
}

static minimax_status create_batch_with(void* options) {
  minimax_batch* created = NULL;
  const minimax_status status = minimax_batch_create(engine, options, &created);
  minimax_batch_free(created);
  return status;
}

/* A request of its defaults is an answer that goes on. */
static minimax_status submit_with(void* request) {
  uint64_t ticket = 0;
  minimax_batch* batch = NULL;
  CHECK_OK(ready_to_answer());
  CHECK_OK(minimax_batch_create(engine, NULL, &batch));
  const minimax_status status = minimax_batch_submit(batch, session, request, &ticket);
  minimax_batch_free(batch);
  return status;
}

static minimax_status fill_event(void* out) {
  minimax_batch* batch = NULL;
  CHECK_OK(minimax_batch_create(engine, NULL, &batch));
  const minimax_status status = minimax_batch_next_event(batch, out);
  minimax_batch_free(batch);
  return status;
}

static minimax_status fill_batch_stats(void* out) {
  minimax_batch* batch = NULL;
  CHECK_OK(minimax_batch_create(engine, NULL, &batch));
  const minimax_status status = minimax_batch_get_stats(batch, out);
  minimax_batch_free(batch);
  return status;
}

static minimax_status fill_prefix_cache_stats(void* out) {
  return minimax_engine_get_prefix_cache_stats(engine, out);
}

static minimax_status save_with(void* options) {
  return minimax_session_save(shown, PATH, options);
}

static minimax_status load_with(void* options) {
  minimax_session* loaded = NULL;
  CHECK_OK(minimax_session_save(shown, PATH, NULL));
  const minimax_status status = minimax_session_load(engine, PATH, options, &loaded);
  minimax_session_free(loaded);
  return status;
}

static minimax_status fill_session_file_info(void* out) {
  CHECK_OK(minimax_session_save(shown, PATH, NULL));
  return minimax_get_session_file_info(PATH, out);
}

#define INIT(type)                                          \
  static size_t init_##type(void* at, size_t struct_size) { \
    return minimax_##type##_init(at, struct_size);          \
  }
INIT(engine_options)
INIT(session_options)
INIT(sampler_options)
INIT(generate_options)
INIT(device_info)
INIT(memory_plan)
INIT(engine_info)
INIT(engine_memory)
INIT(token_info)
INIT(tile_plan)
INIT(image_cache_stats)
INIT(feed_report)
INIT(image_span)
INIT(session_stats)
INIT(snapshot_info)
INIT(generate_result)
INIT(batch_options)
INIT(batch_request)
INIT(batch_event)
INIT(batch_stats)
INIT(session_save_options)
INIT(session_load_options)
INIT(session_file_info)
INIT(prefix_cache_stats)

#define CASE(type, last, use) \
  { #type, sizeof(minimax_##type), offsetof(minimax_##type, last), init_##type, use }

static const struct_case inputs[] = {
    CASE(engine_options, prefix_cache_bytes_limit, plan_with),
    CASE(engine_options, prefix_cache_bytes_limit, open_with),
    CASE(session_options, cache_policy, create_session_with),
    CASE(sampler_options, top_logprobs, create_sampler_with),
    CASE(generate_options, user, generate_with),
    CASE(batch_options, step_tokens, create_batch_with),
    CASE(batch_request, user, submit_with),
    CASE(session_save_options, sampler, save_with),
    CASE(session_load_options, sampler, load_with),
};
static const struct_case outputs[] = {
    CASE(device_info, core_count, fill_device_info),
    CASE(memory_plan, sessions_that_fit, fill_plan),
    CASE(engine_info, image_token, fill_info),
    CASE(engine_memory, prefix_cache_bytes, fill_memory),
    CASE(token_info, size, fill_token_info),
    CASE(tile_plan, token_count, fill_tile_plan),
    CASE(image_cache_stats, evictions, fill_image_cache_stats),
    CASE(feed_report, miss_reason, fill_feed_report),
    CASE(image_span, image_id, fill_image_span),
    CASE(session_stats, is_poisoned, fill_stats),
    CASE(snapshot_info, home, fill_snapshot_info), /* as it was before there were homes */
    CASE(snapshot_info, moved_bytes, fill_snapshot_info),
    CASE(generate_result, decode_ns, fill_generate_result),
    CASE(batch_event, miss_reason, fill_event),
    CASE(batch_stats, promised_bytes, fill_batch_stats),
    CASE(session_file_info, model_id, fill_session_file_info),
    CASE(prefix_cache_stats, evicted_count, fill_prefix_cache_stats),
};

/* The struct as a caller of another version has it, FILL lies behind it. */
static void prepare(const struct_case* c, unsigned char* at, size_t struct_size) {
  memset(at, FILL, ROOM);
  c->init(at, struct_size);
}

static void check_fill(const struct_case* c, const unsigned char* at, size_t begin) {
  for (size_t i = begin; i < ROOM; ++i) {
    if (at[i] == FILL) continue;
    fprintf(stderr, "%s: byte %zu was written, struct_size is %zu\n", c->name, i, begin);
    exit(1);
  }
}

static void init_sets_the_size_and_defaults(const struct_case* c, size_t struct_size) {
  unsigned char at[ROOM];
  size_t written = 0;
  memset(at, FILL, sizeof at);
  CHECK_EQ(c->init(at, struct_size), c->size);
  memcpy(&written, at, sizeof written);
  CHECK_EQ(written, struct_size);
  for (size_t i = sizeof written; i < struct_size; ++i) CHECK_EQ(at[i], 0);
  check_fill(c, at, struct_size);
}

/* No struct has these sizes; NULL asks for the library's. */
static void init_writes_nothing(const struct_case* c) {
  static const size_t sizes[] = {0, sizeof(size_t) - 1, 65537, (size_t)-1};
  unsigned char at[ROOM];
  memset(at, FILL, sizeof at);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) {
    CHECK_EQ(c->init(at, sizes[i]), c->size);
    check_fill(c, at, 0);
    CHECK_EQ(c->init(NULL, sizes[i]), c->size);
  }
  CHECK_EQ(c->init(NULL, c->size), c->size);
}

static void is_taken(const struct_case* c, size_t struct_size) {
  unsigned char at[ROOM];
  size_t size_after = 0;
  prepare(c, at, struct_size);
  check_call(__FILE__, __LINE__, c->name, c->use(at), MINIMAX_OK, MINIMAX_OK);
  memcpy(&size_after, at, sizeof size_after);
  CHECK_EQ(size_after, struct_size);
  for (size_t i = c->size; i < struct_size; ++i) CHECK_EQ(at[i], 0);
  check_fill(c, at, struct_size);
}

static void is_refused(const struct_case* c, unsigned char* at) {
  unsigned char before[ROOM];
  memcpy(before, at, sizeof before);
  check_call(__FILE__, __LINE__, c->name, c->use(at), MINIMAX_INVALID_ARGUMENT,
             MINIMAX_UNSUPPORTED);
  CHECK(memcmp(before, at, sizeof before) == 0);
}

static void sizes_are_honoured(const struct_case* c) {
  unsigned char at[ROOM];
  init_sets_the_size_and_defaults(c, c->size);
  init_sets_the_size_and_defaults(c, c->cut);
  init_sets_the_size_and_defaults(c, sizeof(size_t));
  init_sets_the_size_and_defaults(c, c->size + TAIL);
  init_writes_nothing(c);
  is_taken(c, c->size);
  is_taken(c, c->cut);
  is_taken(c, sizeof(size_t));
  is_taken(c, c->size + TAIL);

  for (size_t i = 0; i < TAIL; i += TAIL - 1) {
    prepare(c, at, c->size + TAIL);
    at[c->size + i] = 1;
    is_refused(c, at);
  }
  prepare(c, at, c->size);
  memset(at, 0, sizeof(size_t)); /* nobody called _init */
  is_refused(c, at);
}

/* The fields that a smaller struct has are filled. */
static void smaller_structs_are_filled(void) {
  minimax_engine_info info;
  minimax_engine_info_init(&info, sizeof info);
  info.struct_size = offsetof(minimax_engine_info, layer_count);
  info.layer_count = -5;
  CHECK_OK(minimax_engine_get_info(engine, &info));
  CHECK_EQ(info.declared_context, 8192);
  CHECK_EQ(info.layer_count, -5);
}

/* The fields that a smaller struct has are read. */
static void smaller_structs_are_read(void) {
  minimax_sampler_options options;
  minimax_sampler_options_init(&options, sizeof options);
  options.temperature = -1;
  options.struct_size = offsetof(minimax_sampler_options, top_p);
  CHECK_FAILS(create_sampler_with(&options), MINIMAX_INVALID_ARGUMENT);
  options.temperature = 0;
  options.top_p = -1; /* not there as far as the library may see */
  CHECK_OK(create_sampler_with(&options));
}

static void show_a_picture(void) {
  minimax_prompt* prompt = NULL;
  shown = create_session(engine);
  CHECK_OK(minimax_prompt_create(engine, &prompt));
  add_picture(prompt, 7);
  CHECK_OK(minimax_prompt_add_message(prompt, MINIMAX_ROLE_USER, NULL, "a", 1));
  CHECK_OK(minimax_session_feed_prompt(shown, prompt, NULL));
  minimax_prompt_free(prompt);
}

int main(void) {
  engine = open_demo();
  session = create_session(engine);
  question = create_question(engine);
  show_a_picture();
  for (size_t i = 0; i < sizeof inputs / sizeof *inputs; ++i) sizes_are_honoured(&inputs[i]);
  for (size_t i = 0; i < sizeof outputs / sizeof *outputs; ++i) sizes_are_honoured(&outputs[i]);
  smaller_structs_are_filled();
  smaller_structs_are_read();
  CHECK(remove(PATH) == 0);
  minimax_prompt_free(question);
  minimax_session_free(shown);
  minimax_session_free(session);
  minimax_engine_free(engine);
  return 0;
}
