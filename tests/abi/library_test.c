/* SPDX-License-Identifier: Apache-2.0
 * Section 1 of the header: versions, names, features, devices, and the refusals of each. */
#include "abi_check.h"

#define CHECK_NAME(status) CHECK_TEXT(minimax_status_name(status), #status)

static void header_and_library_agree(void) {
  char expected[32];
  snprintf(expected, sizeof expected, "%d.%d.%d", MINIMAX_VERSION_MAJOR, MINIMAX_VERSION_MINOR,
           MINIMAX_VERSION_PATCH);
  CHECK(MINIMAX_VERSION_MATCHES());
  CHECK_EQ(minimax_version_number(), MINIMAX_VERSION_NUMBER);
  CHECK_TEXT(minimax_version_string(), expected);
  CHECK(minimax_source_id()[0] != '\0');
}

static void every_status_has_its_name(void) {
  CHECK_NAME(MINIMAX_OK);
  CHECK_NAME(MINIMAX_INVALID_ARGUMENT);
  CHECK_NAME(MINIMAX_BUFFER_TOO_SMALL);
  CHECK_NAME(MINIMAX_UNSUPPORTED);
  CHECK_NAME(MINIMAX_NOT_AVAILABLE);
  CHECK_NAME(MINIMAX_NOT_FOUND);
  CHECK_NAME(MINIMAX_IO_ERROR);
  CHECK_NAME(MINIMAX_BAD_FILE);
  CHECK_NAME(MINIMAX_WRONG_MODEL);
  CHECK_NAME(MINIMAX_OUT_OF_MEMORY);
  CHECK_NAME(MINIMAX_CONTEXT_FULL);
  CHECK_NAME(MINIMAX_CANCELLED);
  CHECK_NAME(MINIMAX_DEVICE_ERROR);
  CHECK_NAME(MINIMAX_POISONED);
  CHECK_NAME(MINIMAX_INTERNAL_ERROR);
  CHECK_TEXT(minimax_status_name(-1), "unknown status");
  CHECK_TEXT(minimax_status_name(MINIMAX_INTERNAL_ERROR + 1), "unknown status");
  CHECK_TEXT(minimax_status_name(INT32_MAX), "unknown status");
}

static void features_are_yes_or_no(void) {
  static const char* const names[] = {"cuda", "nccl",   "sentencepiece",
                                      "avx2", "avx512", "avx512_bf16"};
  CHECK_EQ(minimax_has_feature("cpu"), 1);
  for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
    const int32_t has = minimax_has_feature(names[i]);
    CHECK(has == 0 || has == 1);
  }
  CHECK_EQ(minimax_has_feature("vision"), 1);
  CHECK_EQ(minimax_has_feature("teleport"), 0);
  CHECK_EQ(minimax_has_feature("Vision"), 0);
  CHECK_EQ(minimax_has_feature(""), 0);
  CHECK_EQ(minimax_has_feature("CPU"), 0);
  CHECK_EQ(minimax_has_feature(NULL), 0);
}

static void the_cpu_is_device_0(void) {
  size_t count = 0;
  minimax_device_info info;
  minimax_device_info_init(&info, sizeof info);
  CHECK_OK(minimax_device_count(&count));
  CHECK(count >= 1);
  CHECK_OK(minimax_get_device_info(0, &info));
  CHECK_TEXT(info.name, "cpu");
  CHECK(info.description[0] != '\0');
  CHECK(info.available_bytes > 0 && info.available_bytes <= info.memory_bytes);
  CHECK(info.core_count >= 1);
}

static void devices_that_are_not_there(void) {
  size_t count = 0;
  minimax_device_info info, before;
  CHECK_OK(minimax_device_count(&count));
  minimax_device_info_init(&info, sizeof info);
  info.name = "as before";
  before = info;
  CHECK_FAILS(minimax_get_device_info(count, &info), MINIMAX_NOT_FOUND);
  CHECK_FAILS(minimax_get_device_info((size_t)-1, &info), MINIMAX_NOT_FOUND);
  CHECK(memcmp(&info, &before, sizeof info) == 0);
  CHECK_FAILS(minimax_get_device_info(0, NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK_FAILS(minimax_device_count(NULL), MINIMAX_INVALID_ARGUMENT);
}

static void ignore_message(void* user, int32_t level, const char* message, size_t size) {
  (void)user, (void)level, (void)message, (void)size;
}

static void log_levels_are_four(void) {
  for (int32_t level = MINIMAX_LOG_ERROR; level <= MINIMAX_LOG_DEBUG; ++level) {
    CHECK_OK(minimax_set_log(ignore_message, NULL, level));
  }
  CHECK_REFUSED(minimax_set_log(ignore_message, NULL, MINIMAX_LOG_DEBUG + 1));
  CHECK_REFUSED(minimax_set_log(ignore_message, NULL, -1));
  CHECK_OK(minimax_set_log(NULL, NULL, MINIMAX_LOG_ERROR));
}

static void success_clears_the_sentence(void) {
  size_t count = 0;
  CHECK_FAILS(minimax_device_count(NULL), MINIMAX_INVALID_ARGUMENT);
  CHECK(minimax_last_error()[0] != '\0');
  CHECK(strchr(minimax_last_error(), '\n') == NULL);
  CHECK_OK(minimax_device_count(&count));
  CHECK_TEXT(minimax_last_error(), "");
}

int main(void) {
  header_and_library_agree();
  every_status_has_its_name();
  features_are_yes_or_no();
  the_cpu_is_device_0();
  devices_that_are_not_there();
  log_levels_are_four();
  success_clears_the_sentence();
  return 0;
}
