// SPDX-License-Identifier: Apache-2.0
// What a disk takes for the bytes of a file alone: the yardstick of saving and restoring.
#pragma once

#include <cstdint>
#include <string>

namespace samples {

// Nanoseconds of writing as many bytes as the file has over another one beside it, and of syncing that.
uint64_t time_plain_write(const std::string& path);
// Nanoseconds of reading the file, in one thread, into memory that is there already.
uint64_t time_plain_read(const std::string& path);

}  // namespace samples
