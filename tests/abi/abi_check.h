/* SPDX-License-Identifier: Apache-2.0
 * Checks for C programs: what does not hold is printed with its place, and the program ends with 1. */
#ifndef MINIMAX_TESTS_ABI_CHECK_H
#define MINIMAX_TESTS_ABI_CHECK_H

#include <minimax.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                             \
  do {                                                                               \
    if (!(condition)) {                                                              \
      fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      exit(1);                                                                       \
    }                                                                                \
  } while (0)

#define CHECK_EQ(actual, expected)                                                              \
  do {                                                                                          \
    const long long actual_value = (long long)(actual), expected_value = (long long)(expected); \
    if (actual_value != expected_value) {                                                       \
      fprintf(stderr, "%s:%d: %s is %lld, expected %lld (%s)\n", __FILE__, __LINE__, #actual,   \
              actual_value, expected_value, #expected);                                         \
      exit(1);                                                                                  \
    }                                                                                           \
  } while (0)

#define CHECK_TEXT(actual, expected)                                                     \
  do {                                                                                   \
    const char* actual_text = (actual);                                                  \
    if (strcmp(actual_text, (expected)) != 0) {                                          \
      fprintf(stderr, "%s:%d: %s is '%s', expected '%s'\n", __FILE__, __LINE__, #actual, \
              actual_text, (expected));                                                  \
      exit(1);                                                                           \
    }                                                                                    \
  } while (0)

/* Success, and no sentence left over. */
#define CHECK_OK(call) check_call(__FILE__, __LINE__, #call, (call), MINIMAX_OK, MINIMAX_OK)
/* This failure, and a sentence about it. */
#define CHECK_FAILS(call, status) check_call(__FILE__, __LINE__, #call, (call), (status), (status))
/* A value that nobody knows or that this build cannot honour: the header leaves open which. */
#define CHECK_REFUSED(call) \
  check_call(__FILE__, __LINE__, #call, (call), MINIMAX_INVALID_ARGUMENT, MINIMAX_UNSUPPORTED)

/* The sentence of the last failure holds these words. */
#define CHECK_SAYS(words) check_says(__FILE__, __LINE__, (words))

/* Fails unless the status is one of the two. */
void check_call(const char* file, int line, const char* call, minimax_status actual,
                minimax_status expected, minimax_status or_expected);
void check_says(const char* file, int line, const char* words);

/* A pointer that no call may follow or change: output parameters hold it before a failure. */
extern char untouchable;
#define UNTOUCHED ((void*)&untouchable)

#endif
