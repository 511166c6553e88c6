/* SPDX-License-Identifier: Apache-2.0
 * Section 2 of the header: what minimax_plan, minimax_engine_open and an engine's questions refuse. */
#include "abi_fixture.h"

static minimax_engine_options options; /* fresh for every test; each changes one field */

static void check_open(minimax_status status, minimax_status or_status) {
  minimax_engine* engine = UNTOUCHED;
  check_call(__FILE__, __LINE__, "minimax_engine_open",
             minimax_engine_open(DEMO_MODEL, &options, &engine), status, or_status);
  CHECK(engine == UNTOUCHED);
}

static void check_plan(minimax_status status, minimax_status or_status) {
  minimax_memory_plan plan, before;
  minimax_memory_plan_init(&plan, sizeof plan);
  plan.weight_bytes = 12345;
  before = plan;
  check_call(__FILE__, __LINE__, "minimax_plan", minimax_plan(DEMO_MODEL, &options, &plan), status,
             or_status);
  CHECK(memcmp(&plan, &before, sizeof plan) == 0);
}

/* The options as they stand are a mistake, or more than this build can do. */
static void check_refused(void) {
  check_open(MINIMAX_INVALID_ARGUMENT, MINIMAX_UNSUPPORTED);
  check_plan(MINIMAX_INVALID_ARGUMENT, MINIMAX_UNSUPPORTED);
  minimax_engine_options_init(&options, sizeof options);
}

static void check_unsupported(void) {
  check_open(MINIMAX_UNSUPPORTED, MINIMAX_UNSUPPORTED);
  check_plan(MINIMAX_UNSUPPORTED, MINIMAX_UNSUPPORTED);
  minimax_engine_options_init(&options, sizeof options);
}

static void null_pointers(void) {
  minimax_engine* engine = UNTOUCHED;
  minimax_memory_plan plan;
  minimax_memory_plan_init(&plan, sizeof plan);
  CHECK_FAILS(minimax_engine_open(NULL, NULL, &engine), MINIMAX_INVALID_ARGUMENT);
  CHECK(engine == UNTOUCHED);
  CHECK_FAILS(minimax_engine_open(DEMO_MODEL, NULL, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_plan(NULL, NULL, &plan), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_plan(DEMO_MODEL, NULL, NULL), MINIMAX_INVALID_ARGUMENT);
}

static void numbers_out_of_range(void) {
  options.thread_count = -1;
  check_refused();
  options.context_limit = -1;
  check_refused();
  options.kv_bytes_limit = -1;
  check_refused();
  options.image_cache_bytes_limit = -1;
  check_refused();
  options.chunk_tokens = -1;
  check_refused();
  options.chunk_tokens = 8193;
  check_refused();
}

static void unknown_numbers_of_enums(void) {
  options.weight_type = 99;
  check_refused();
  options.compute_type = -1;
  check_refused();
  options.kv_type = 4;
  check_refused();
  options.state_type = 17;
  check_refused();
  options.weight_source = 2;
  check_refused();
}

static void options_that_nobody_honours(void) {
  options.weight_type = MINIMAX_TYPE_BF16;
  check_unsupported();
  options.weight_type = MINIMAX_TYPE_F32;
  check_unsupported();
  options.state_type = MINIMAX_TYPE_BF16;
  check_unsupported();
  options.compute_type = MINIMAX_TYPE_F16;
  check_refused();
  options.host_allocator = &options;
  check_refused();
  options.device_stream = &options;
  check_refused();
}

static void devices_that_are_not_there(void) {
  const char* const unknown[] = {"tpu:0"};
  const char* const nameless[] = {NULL};
  const char* const twice[] = {"cpu", "cpu"};
  options.devices = NULL;
  options.device_count = 1;
  check_refused();
  options.devices = nameless;
  options.device_count = 1;
  check_refused();
  options.devices = twice;
  options.device_count = 2;
  check_refused();
  options.devices = unknown;
  options.device_count = 1;
  check_open(MINIMAX_NOT_AVAILABLE, MINIMAX_NOT_FOUND);
  minimax_engine_options_init(&options, sizeof options);
}

static void the_graphics_card_of_another_machine(void) {
  const char* const cuda[] = {"cuda:63"};
  options.devices = cuda;
  options.device_count = 1;
  check_open(MINIMAX_NOT_AVAILABLE, MINIMAX_UNSUPPORTED);
  minimax_engine_options_init(&options, sizeof options);
}

static void check_broken(const char* path, minimax_status status, const char* word) {
  minimax_engine* engine = UNTOUCHED;
  CHECK_FAILS(minimax_engine_open(path, NULL, &engine), status);
  CHECK(engine == UNTOUCHED);
  if (strstr(minimax_last_error(), word) == NULL) {
    fprintf(stderr, "'%s' does not name %s\n", minimax_last_error(), word);
    exit(1);
  }
}

static void broken_folders_are_named(void) {
  check_broken("no_such_model", MINIMAX_NOT_FOUND, "no_such_model");
  make_folder("empty_model");
  check_broken("empty_model", MINIMAX_NOT_FOUND, "config.json");
  make_folder("torn_model");
  write_file("torn_model/config.json", "{\"hidden_size\": ");
  check_broken("torn_model", MINIMAX_BAD_FILE, "config.json");
  make_folder("other_model");
  write_file("other_model/config.json",
             "{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\"}");
  check_broken("other_model", MINIMAX_UNSUPPORTED, "llama");
}

static int32_t give_up(void* user, uint64_t done, uint64_t total) {
  CHECK(done <= total);
  ++*(int*)user;
  return 1;
}

static void progress_may_give_up(void) {
  int calls = 0;
  options.progress = give_up;
  options.progress_user = &calls;
  check_open(MINIMAX_CANCELLED, MINIMAX_CANCELLED);
  CHECK_EQ(calls, 1);
  minimax_engine_options_init(&options, sizeof options);
}

static void questions_with_null(const minimax_engine* engine) {
  size_t size = 777;
  minimax_engine_info info;
  minimax_engine_memory memory;
  minimax_engine_info_init(&info, sizeof info);
  minimax_engine_memory_init(&memory, sizeof memory);
  CHECK_FAILS(minimax_engine_get_info(NULL, &info), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_engine_get_info(engine, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_engine_get_memory(NULL, &memory), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_engine_get_memory(engine, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK(info.model_name == NULL && memory.weight_bytes == 0);
  CHECK_FAILS(minimax_engine_config_json(NULL, NULL, 0, &size), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_engine_config_json(engine, NULL, 0, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_engine_config_json(engine, NULL, 10, &size), MINIMAX_INVALID_ARGUMENT);
  CHECK_EQ(size, 777);
}

static void a_small_buffer_learns_the_size(const minimax_engine* engine) {
  size_t size = 0, again = 0;
  char* text;
  CHECK_EQ(minimax_engine_config_json(engine, NULL, 0, &size), MINIMAX_BUFFER_TOO_SMALL);
  CHECK(size > 100);
  text = malloc(size + 1);
  CHECK(text != NULL);
  memset(text, '#', size + 1);
  CHECK_EQ(minimax_engine_config_json(engine, text, size - 1, &again), MINIMAX_BUFFER_TOO_SMALL);
  CHECK_EQ(again, size);
  CHECK(text[0] == '#' && text[size - 2] == '#');
  CHECK_OK(minimax_engine_config_json(engine, text, size, &again));
  CHECK_EQ(again, size);
  CHECK(text[0] == '{' && text[size] == '#');
  free(text);
}

int main(void) {
  minimax_engine* engine = open_demo();
  minimax_engine_options_init(&options, sizeof options);
  null_pointers();
  numbers_out_of_range();
  unknown_numbers_of_enums();
  options_that_nobody_honours();
  devices_that_are_not_there();
  the_graphics_card_of_another_machine();
  broken_folders_are_named();
  progress_may_give_up();
  questions_with_null(engine);
  a_small_buffer_learns_the_size(engine);
  minimax_engine_free(engine);
  return 0;
}
