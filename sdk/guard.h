// SPDX-License-Identifier: Apache-2.0
// Where every error of the library ends: exceptions become a status and the thread's last sentence.
#pragma once

#include <exception>
#include <new>
#include <stdexcept>
#include <string_view>

#include "base/error.h"

namespace minimax {

// The calling thread's sentence; cut at some thousand bytes, between characters. Bytes that are no
// part of a line of UTF-8 (they come from paths and names of the caller's) become "?". Never
// allocates.
void set_last_error(std::string_view sentence) noexcept;
const char* last_error() noexcept;

// Runs the body of a C function. Whatever it throws is kept as the last error and becomes a status.
template <typename Body>
minimax_status guard(const Body& body) noexcept {
  set_last_error("");
  try {
    body();
    return MINIMAX_OK;
  } catch (const Error& error) {
    set_last_error(error.message());
    return error.status();
  } catch (const std::bad_alloc&) {
    set_last_error("out of host memory");
    return MINIMAX_OUT_OF_MEMORY;
  } catch (const std::length_error&) {  // more than any memory holds
    set_last_error("out of host memory");
    return MINIMAX_OUT_OF_MEMORY;
  } catch (const std::exception& error) {
    set_last_error(error.what());
    return MINIMAX_INTERNAL_ERROR;
  } catch (...) {
    set_last_error("unknown exception");
    return MINIMAX_INTERNAL_ERROR;
  }
}

}  // namespace minimax
