// SPDX-License-Identifier: Apache-2.0
#include "vision/bmp.h"

#include <algorithm>
#include <array>
#include <bit>

#include "base/error.h"

namespace minimax {
namespace {

enum Compression : uint32_t { none = 0, runs_of_8 = 1, runs_of_4 = 2, bit_fields = 3 };

// A colour's bits within a pixel of 16, 24 or 32, spread over 0 to 255.
struct Field {
  int shift = 0;
  uint32_t most = 0;

  uint8_t byte(uint32_t pixel) const {
    return static_cast<uint8_t>(((pixel >> shift) & most) * 255 / most);
  }
};

using Colour = std::array<uint8_t, 3>;  // red, green, blue

struct Layout {
  size_t bits;  // of a pixel
  uint32_t compression;
  bool is_upper_row_first;
  std::array<Field, 3> fields;      // red, green, blue; of pixels of 16 bits or more
  std::array<Colour, 256> palette;  // of all others
  std::span<const std::byte> pixels;
};

class BmpFile {
 public:
  BmpFile(std::span<const std::byte> bytes, std::string_view name) : bytes_(bytes), name_(name) {}

  std::string_view name() const { return name_; }

  uint32_t number(size_t at, size_t size) const {
    const auto bytes = part(at, size, "its header");
    uint32_t number = 0;
    for (size_t i = size; i-- > 0;) number = number << 8 | static_cast<uint32_t>(bytes[i]);
    return number;
  }
  std::span<const std::byte> part(size_t at, size_t size, std::string_view what) const {
    if (at > bytes_.size() || size > bytes_.size() - at) {
      fail(MINIMAX_BAD_FILE, name_, ": ends at byte ", bytes_.size(), " within ", what);
    }
    return bytes_.subspan(at, size);
  }
  std::span<const std::byte> rest(size_t at) const {
    return part(at, bytes_.size() - std::min(at, bytes_.size()), "its header");
  }

 private:
  std::span<const std::byte> bytes_;
  std::string_view name_;
};

constexpr size_t info_at = 14;

Field make_field(uint32_t mask, const BmpFile& file) {
  const int shift = mask == 0 ? 0 : std::countr_zero(mask);
  const uint32_t most = mask >> shift;
  if (most == 0 || most > 255 || (most & (most + 1)) != 0) {
    fail(MINIMAX_UNSUPPORTED, file.name(), ": BMP with colour mask ", mask,
         ", expected 1 to 8 bits side by side");
  }
  return {shift, most};
}

// Where a pixel's colours lie when the file does not say: 5 bits each, or a byte each.
std::array<uint32_t, 3> usual_masks(size_t bits) {
  if (bits == 16) return {0x7c00, 0x03e0, 0x001f};
  return {0xff0000, 0x00ff00, 0x0000ff};
}

// Behind a header of 40 bytes, otherwise at its end: the same place.
std::array<Field, 3> read_fields(const BmpFile& file, const Layout& layout) {
  std::array<uint32_t, 3> masks = usual_masks(layout.bits);
  if (layout.compression == bit_fields) {
    std::array<uint32_t, 3> written;
    for (size_t c = 0; c < 3; ++c) written[c] = file.number(info_at + 40 + 4 * c, 4);
    const bool is_silent = written == std::array<uint32_t, 3>{};
    if (!is_silent) masks = written;
  }
  return {make_field(masks[0], file), make_field(masks[1], file), make_field(masks[2], file)};
}

// Indices beyond the palette are grey.
std::array<Colour, 256> read_palette(const BmpFile& file, size_t at, size_t entry_size,
                                     size_t count) {
  std::array<Colour, 256> palette;
  for (size_t i = 0; i < palette.size(); ++i) palette[i].fill(static_cast<uint8_t>(i));
  for (size_t i = 0; i < std::min(count, palette.size()); ++i) {
    const uint32_t colour = file.number(at + i * entry_size, 3);
    palette[i] = {static_cast<uint8_t>(colour >> 16), static_cast<uint8_t>(colour >> 8),
                  static_cast<uint8_t>(colour)};
  }
  return palette;
}

void check_kind(const BmpFile& file, const Layout& layout) {
  const size_t bits = layout.bits;
  require_file(bits == 1 || bits == 4 || bits == 8 || bits == 16 || bits == 24 || bits == 32,
               file.name(), ": BMP of ", bits, " bits a pixel, expected 1, 4, 8, 16, 24 or 32");
  if (layout.compression > bit_fields) {
    fail(MINIMAX_UNSUPPORTED, file.name(), ": BMP of compression ", layout.compression,
         ", expected 0 to 3");
  }
  const size_t expected = layout.compression == runs_of_8   ? 8
                          : layout.compression == runs_of_4 ? 4
                                                            : bits;
  require_file(bits == expected && (layout.compression != bit_fields || bits >= 16), file.name(),
               ": BMP of ", bits, " bits a pixel and compression ", layout.compression);
}

Layout read_layout(const BmpFile& file) {
  const size_t info_size = file.number(info_at, 4);
  const bool is_oldest = info_size == 12;
  Layout layout{};
  layout.bits = file.number(info_at + (is_oldest ? 10 : 14), 2);
  layout.compression = is_oldest ? uint32_t{none} : file.number(info_at + 16, 4);
  layout.is_upper_row_first = !is_oldest && file.number(info_at + 8, 4) >> 31 != 0;
  check_kind(file, layout);

  size_t end = info_at + info_size, pixels_at = file.number(10, 4);
  if (layout.compression == bit_fields && info_size == 40) end += 12;
  if (layout.bits >= 16) {
    layout.fields = read_fields(file, layout);
  } else {
    const size_t written = is_oldest ? 0 : file.number(info_at + 32, 4);
    const size_t count = written != 0 ? written : size_t{1} << layout.bits;
    require_file(count <= 65536, file.name(), ": BMP palette of ", count,
                 " colours, expected 65536 or fewer");
    const size_t entry_size = is_oldest ? 3 : 4;
    layout.palette = read_palette(file, end, entry_size, count);
    if (pixels_at == end) pixels_at = 0;  // the palette was forgotten
    end += count * entry_size;
  }
  layout.pixels = file.rest(pixels_at != 0 ? pixels_at : end);
  return layout;
}

// A row of indices into the palette, or of colours.
void convert_row(const Layout& layout, const std::byte* from, int64_t width, uint8_t* to) {
  const size_t bits = layout.bits, pixel_bytes = bits / 8;
  for (size_t x = 0; x < static_cast<size_t>(width); ++x, to += 3) {
    if (bits < 16) {
      const size_t at = x * bits, index = static_cast<size_t>(from[at / 8]) >> (8 - bits - at % 8);
      std::ranges::copy(layout.palette[index & ((size_t{1} << bits) - 1)], to);
      continue;
    }
    uint32_t pixel = 0;
    for (size_t i = pixel_bytes; i-- > 0;) {
      pixel = pixel << 8 | static_cast<uint32_t>(from[x * pixel_bytes + i]);
    }
    for (size_t c = 0; c < 3; ++c) to[c] = layout.fields[c].byte(pixel);
  }
}

// One index a byte, in the order of the file. Commands are pairs of bytes: a count and what to repeat,
// or 0 and one of end of row, end of picture, skip, or a count of indices that follow.
class Runs {
 public:
  Runs(const BmpFile& file, const Layout& layout, PixelSize size)
      : file_(file),
        rest_(layout.pixels),
        is_of_4_(layout.compression == runs_of_4),
        width_(static_cast<size_t>(size.width)),
        indices_(static_cast<size_t>(size.width * size.height)) {}

  std::vector<std::byte> decode() {
    while (at_ < indices_.size()) {
      const size_t count = take(), value = take();
      if (count > 0) {
        repeat(count, value);
      } else if (value == 0) {
        end_row();
      } else if (value == 1) {
        fail(MINIMAX_BAD_FILE, file_.name(), ": ends after ", at_, " of ", indices_.size(),
             " pixels");
      } else if (value == 2) {
        const size_t right = take(), up = take();
        at_ = std::min(at_ + right + up * width_, indices_.size());
        x_ = at_ % width_;
      } else {
        copy(value);
      }
    }
    return std::move(indices_);
  }

 private:
  size_t take() {
    require_file(taken_ < rest_.size(), file_.name(), ": ends within its pixels");
    return static_cast<size_t>(rest_[taken_++]);
  }
  void put(size_t index) {
    if (at_ < indices_.size()) indices_[at_++] = static_cast<std::byte>(index);
  }
  size_t half_of(size_t value, size_t i) const {
    if (!is_of_4_) return value;
    return i % 2 == 0 ? value >> 4 : value & 15;
  }
  void end_row() {
    at_ = std::min((at_ + width_ - 1) / width_ * width_, indices_.size());
    x_ = 0;
  }
  // What does not fit into the row is dropped.
  void repeat(size_t count, size_t value) {
    count = std::min(count, width_ - std::min(x_, width_));
    for (size_t i = 0; i < count; ++i) put(half_of(value, i));
    x_ += count;
  }
  void copy(size_t count) {
    const size_t start = taken_;
    for (size_t i = 0, value = 0; i < count; ++i) {
      if (!is_of_4_ || i % 2 == 0) value = take();
      put(half_of(value, i));
    }
    x_ += count;
    if ((taken_ - start) % 2 != 0 && taken_ < rest_.size()) ++taken_;  // to an even place
  }

  const BmpFile& file_;
  std::span<const std::byte> rest_;
  bool is_of_4_;
  size_t width_, taken_ = 0, at_ = 0, x_ = 0;
  std::vector<std::byte> indices_;
};

}  // namespace

std::vector<uint8_t> decode_bmp(std::span<const std::byte> bytes, PixelSize size,
                                std::string_view name) {
  const BmpFile file(bytes, name);
  Layout layout = read_layout(file);
  std::vector<std::byte> indices;
  size_t stride = (static_cast<size_t>(size.width) * layout.bits + 31) / 32 * 4;
  if (layout.compression == runs_of_8 || layout.compression == runs_of_4) {
    indices = Runs(file, layout, size).decode();
    layout.pixels = indices;
    layout.bits = 8;
    stride = static_cast<size_t>(size.width);
  }
  const size_t row_bytes = (static_cast<size_t>(size.width) * layout.bits + 7) / 8;
  const size_t needed = stride * static_cast<size_t>(size.height - 1) + row_bytes;
  require_file(layout.pixels.size() >= needed, name, ": has ", layout.pixels.size(),
               " bytes of pixels, expected ", needed);

  std::vector<uint8_t> rgb(static_cast<size_t>(size.width * size.height) * 3);
  for (int64_t y = 0; y < size.height; ++y) {
    const int64_t row = layout.is_upper_row_first ? y : size.height - 1 - y;
    convert_row(layout, layout.pixels.data() + static_cast<size_t>(row) * stride, size.width,
                rgb.data() + y * size.width * 3);
  }
  return rgb;
}

}  // namespace minimax
