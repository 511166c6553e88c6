// SPDX-License-Identifier: Apache-2.0
// minimax.h is C++17 as well: alone, and a second time, and its functions keep their C names.
#include <minimax.h>

#include <type_traits>

static_assert(std::is_standard_layout_v<minimax_engine_options>);
static_assert(std::is_trivial_v<minimax_engine_options>);
static_assert(std::is_same_v<minimax_status, int32_t>);

extern "C" int32_t (*version_number_in_cxx)(void);
int32_t (*version_number_in_cxx)(void) = &minimax_version_number;
