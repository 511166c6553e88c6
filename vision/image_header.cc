// SPDX-License-Identifier: Apache-2.0
#include "vision/image_header.h"

#include <algorithm>
#include <optional>
#include <string>

#include "base/error.h"

namespace minimax {
namespace {

// Whoever makes a JPEG of more scans wants to keep its readers busy.
constexpr int most_scans = 100;

enum class Endian { little, big };

// Bytes with a name for errors. Immutable.
class Bytes {
 public:
  Bytes(std::string_view bytes, std::string_view name) : bytes_(bytes), name_(name) {}

  size_t size() const { return bytes_.size(); }
  std::string_view name() const { return name_; }

  // Refuses what lies beyond the end; `what` is cut off there.
  std::string_view part(size_t at, size_t size, std::string_view what) const {
    if (at > bytes_.size() || size > bytes_.size() - at) {
      fail(MINIMAX_BAD_FILE, name_, ": ends at byte ", bytes_.size(), " within ", what);
    }
    return bytes_.substr(at, size);
  }
  std::string_view rest(size_t at) const { return bytes_.substr(std::min(at, bytes_.size())); }

 private:
  std::string_view bytes_, name_;
};

uint8_t byte_at(std::string_view bytes, size_t at) {
  return static_cast<uint8_t>(bytes[at]);
}

// size bytes as a number; they are there.
uint32_t number_at(std::string_view bytes, size_t at, size_t size, Endian endian) {
  uint32_t number = 0;
  for (size_t i = 0; i < size; ++i) {
    number = number << 8 | byte_at(bytes, at + (endian == Endian::big ? i : size - 1 - i));
  }
  return number;
}

uint32_t big(std::string_view bytes, size_t at, size_t size) {
  return number_at(bytes, at, size, Endian::big);
}

uint32_t little(std::string_view bytes, size_t at, size_t size) {
  return number_at(bytes, at, size, Endian::little);
}

void check_size(const PixelSize& size, const Bytes& file) {
  require_file(size.width > 0 && size.height > 0, file.name(), ": picture has ", size.width, " x ",
               size.height, " pixels, expected 1 or more each way");
}

// ---- Orientation ----

std::optional<Orientation> orientation_of(uint32_t number) {
  if (number < 1 || number > 8) return std::nullopt;
  return static_cast<Orientation>(number);
}

// The value of an entry of 12 bytes, if it is a whole number.
std::optional<uint32_t> entry_value(std::string_view entry, Endian endian) {
  constexpr uint32_t type_u16 = 3, type_u32 = 4;
  const uint32_t type = number_at(entry, 2, 2, endian);
  const uint32_t count = number_at(entry, 4, 4, endian);
  if (type == type_u16 && (count == 1 || count == 2)) return number_at(entry, 8, 2, endian);
  if (type == type_u32 && count == 1) return number_at(entry, 8, 4, endian);
  return std::nullopt;
}

// EXIF is a TIFF file without a picture. Only its first directory is looked at, each entry once.
std::optional<uint32_t> exif_orientation(std::string_view exif) {
  constexpr std::string_view prefix("Exif\0\0", 6);
  for (int i = 0; i < 2 && exif.starts_with(prefix); ++i) exif.remove_prefix(prefix.size());
  if (exif.size() < 8) return std::nullopt;
  const bool is_little = exif.starts_with("II");
  if (!is_little && !exif.starts_with("MM")) return std::nullopt;
  const Endian endian = is_little ? Endian::little : Endian::big;
  if (big(exif, 2, 2) != 42 && little(exif, 2, 2) != 42) return std::nullopt;
  const size_t directory = number_at(exif, 4, 4, endian);
  if (directory > exif.size() || exif.size() - directory < 2) return std::nullopt;

  constexpr size_t entry_size = 12;
  constexpr uint32_t orientation_tag = 0x112;
  const size_t count = std::min<size_t>(number_at(exif, directory, 2, endian),
                                        (exif.size() - directory - 2) / entry_size);
  std::optional<uint32_t> found;
  for (size_t i = 0; i < count; ++i) {
    const std::string_view entry = exif.substr(directory + 2 + i * entry_size, entry_size);
    if (number_at(entry, 0, 2, endian) != orientation_tag) continue;
    if (const auto value = entry_value(entry, endian)) found = value;
  }
  return found;
}

// XMP is XML; the property is an attribute or an element of this name.
std::optional<uint32_t> xmp_orientation(std::string_view xmp) {
  constexpr std::string_view name = "tiff:Orientation";
  for (size_t at = xmp.find(name); at != xmp.npos; at = xmp.find(name, at + 1)) {
    std::string_view value = xmp.substr(at + name.size());
    if (value.starts_with("=\"")) {
      value.remove_prefix(2);
    } else if (value.starts_with(">")) {
      value.remove_prefix(1);
    } else {
      continue;
    }
    if (!value.empty() && value[0] >= '0' && value[0] <= '9') {
      return static_cast<uint32_t>(value[0] - '0');
    }
  }
  return std::nullopt;
}

// What EXIF says counts, even if it is nonsense; XMP is asked only where EXIF is silent.
Orientation choose_orientation(std::string_view exif, std::string_view xmp) {
  std::optional<uint32_t> number = exif_orientation(exif);
  if (!number) number = xmp_orientation(xmp);
  return orientation_of(number.value_or(1)).value_or(Orientation::upright);
}

// ---- PNG ----

constexpr std::string_view png_signature("\x89PNG\r\n\x1a\n", 8);

struct PngParts {
  std::string_view header, exif, xmp;
  size_t data_bytes = 0;  // compressed
};

// An international text chunk that is not compressed: its text, if the keyword is XMP's.
std::string_view xmp_of_text(std::string_view chunk) {
  constexpr std::string_view keyword("XML:com.adobe.xmp\0\0\0",
                                     20);  // and two flags of compression
  if (!chunk.starts_with(keyword)) return {};
  chunk.remove_prefix(keyword.size());
  for (int i = 0; i < 2; ++i) {  // a language and a translated keyword
    const size_t end = chunk.find('\0');
    if (end == chunk.npos) return {};
    chunk.remove_prefix(end + 1);
  }
  return chunk;
}

PngParts png_parts(const Bytes& file) {
  PngParts parts;
  for (size_t at = png_signature.size();;) {
    const std::string_view head = file.part(at, 8, "a chunk's head");
    const uint32_t size = big(head, 0, 4);
    const std::string_view type = head.substr(4);
    const bool is_first = at == png_signature.size();
    require_file(is_first == (type == "IHDR"), file.name(),
                 ": chunk IHDR is not the first or not alone");
    const std::string_view chunk = file.part(at + 8, size_t{size} + 4, "a chunk").substr(0, size);
    if (type == "IHDR") parts.header = chunk;
    if (type == "IDAT") parts.data_bytes += chunk.size();
    if (type == "eXIf") parts.exif = chunk;
    if (type == "iTXt" && parts.xmp.empty()) parts.xmp = xmp_of_text(chunk);
    if (type == "IEND") return parts;
    at += 12 + size_t{size};
  }
}

// Of a pixel; 0 for a kind that PNG does not have.
uint64_t png_pixel_bits(uint8_t bits, uint8_t colours) {
  constexpr uint8_t channels[] = {1, 0, 3, 1,
                                  2, 0, 4};  // grey, -, RGB, palette, grey and alpha, -, RGBA
  return colours < sizeof channels ? uint64_t{bits} * channels[colours] : 0;
}

// Deflate makes at most 1032 bytes of one, so that less cannot be a whole picture.
void check_png_data(const Bytes& file, PixelSize size, uint64_t pixel_bits, size_t data_bytes) {
  constexpr uint64_t largest_ratio = 1032;
  const uint64_t row_bytes = 1 + (static_cast<uint64_t>(size.width) * pixel_bits + 7) / 8;
  const uint64_t most_bytes = (uint64_t{data_bytes} + 1) * largest_ratio;
  require_file(row_bytes <= most_bytes / static_cast<uint64_t>(size.height), file.name(), ": ",
               data_bytes, " bytes of data cannot hold ", size.width, " x ", size.height,
               " pixels");
}

ImageHeader read_png(const Bytes& file) {
  constexpr uint8_t grey = 0;
  const PngParts parts = png_parts(file);
  require_file(parts.header.size() == 13, file.name(), ": chunk IHDR has ", parts.header.size(),
               " bytes, expected 13");
  const uint8_t bits = byte_at(parts.header, 8), colours = byte_at(parts.header, 9);
  ImageHeader header{ImageFormat::png, {big(parts.header, 0, 4), big(parts.header, 4, 4)}};
  check_size(header.size, file);
  check_png_data(file, header.size, png_pixel_bits(bits, colours), parts.data_bytes);
  header.orientation = choose_orientation(parts.exif, parts.xmp);
  header.is_grey16 = bits == 16 && colours == grey;
  return header;
}

// ---- JPEG ----

constexpr std::string_view jpeg_signature("\xff\xd8\xff", 3);

struct JpegParts {
  std::string_view frame;  // a start-of-frame segment behind its length
  std::string exif;        // of all its segments
  std::string_view xmp;
  int scan_count = 0;
};

// Between segments: the marker there. Fill bytes are passed over.
uint8_t next_marker(const Bytes& file, size_t& at) {
  require_file(byte_at(file.part(at, 2, "a marker"), 0) == 0xff, file.name(), ": byte ", at,
               " begins no marker");
  while (byte_at(file.part(at, 2, "a marker"), 1) == 0xff) ++at;
  at += 2;
  return byte_at(file.part(at - 1, 1, "a marker"), 0);
}

// Within a scan: where its coded data end, at a marker that is neither a stuffed byte nor a restart.
size_t end_of_scan(const Bytes& file, size_t at) {
  for (;;) {
    const size_t mark = file.rest(at).find('\xff');
    if (mark == std::string_view::npos) {
      fail(MINIMAX_BAD_FILE, file.name(), ": ends at byte ", file.size(), " within a scan");
    }
    at += mark;
    const uint8_t next = byte_at(file.part(at, 2, "a scan"), 1);
    const bool is_restart = next >= 0xd0 && next <= 0xd7;
    if (next == 0xff) {
      ++at;
    } else if (next == 0 || is_restart) {
      at += 2;
    } else {
      return at;
    }
  }
}

bool is_frame(uint8_t marker) {
  const bool is_table = marker == 0xc4 || marker == 0xc8 || marker == 0xcc;
  return marker >= 0xc0 && marker <= 0xcf && !is_table;
}

void take_frame(const Bytes& file, uint8_t marker, std::string_view segment, JpegParts& parts) {
  const bool is_decoded = marker == 0xc0 || marker == 0xc1 || marker == 0xc2;
  if (!is_decoded) {
    fail(MINIMAX_UNSUPPORTED, file.name(), ": JPEG of a kind that is not decoded (SOF",
         marker - 0xc0, "), expected baseline, extended or progressive");
  }
  require_file(parts.frame.empty(), file.name(),
               ": a second frame begins in a JPEG of one picture");
  require_file(segment.size() >= 6, file.name(), ": the frame's segment has ", segment.size(),
               " bytes, expected 6 or more");
  parts.frame = segment;
}

void take_application_data(std::string_view segment, JpegParts& parts) {
  constexpr std::string_view exif("Exif\0\0", 6), xmp("http://ns.adobe.com/xap/1.0/\0", 29);
  if (segment.starts_with(exif)) parts.exif += segment.substr(parts.exif.empty() ? 0 : exif.size());
  if (segment.starts_with(xmp)) parts.xmp = segment.substr(xmp.size());
}

JpegParts jpeg_parts(const Bytes& file) {
  constexpr uint8_t end_of_image = 0xd9, start_of_scan = 0xda, application_1 = 0xe1;
  JpegParts parts;
  for (size_t at = 2;;) {
    const uint8_t marker = next_marker(file, at);
    if (marker == end_of_image) return parts;
    if (marker == 0x01) continue;  // has no segment
    const size_t size = big(file.part(at, 2, "a segment"), 0, 2);
    require_file(size >= 2, file.name(), ": segment at byte ", at, " has length ", size,
                 ", expected 2 or more");
    const std::string_view segment = file.part(at, size, "a segment").substr(2);
    at += size;
    if (is_frame(marker)) take_frame(file, marker, segment, parts);
    if (marker == application_1) take_application_data(segment, parts);
    if (marker != start_of_scan) continue;
    require_file(!parts.frame.empty(), file.name(),
                 ": a scan begins before the frame is described");
    if (++parts.scan_count > most_scans) {
      fail(MINIMAX_UNSUPPORTED, file.name(), ": JPEG has more than ", most_scans, " scans");
    }
    at = end_of_scan(file, at);
  }
}

// Each block of 8 x 8 pixels takes a bit or more.
void check_jpeg_data(const Bytes& file, PixelSize size) {
  require_file(static_cast<uint64_t>(size.width * size.height) / 64 <= uint64_t{file.size()} * 8,
               file.name(), ": ", file.size(), " bytes cannot hold ", size.width, " x ",
               size.height, " pixels");
}

ImageHeader read_jpeg(const Bytes& file) {
  const JpegParts parts = jpeg_parts(file);
  require_file(parts.scan_count > 0, file.name(), ": no scan before the end of the picture");
  const int precision = byte_at(parts.frame, 0), channels = byte_at(parts.frame, 5);
  if (precision != 8) {
    fail(MINIMAX_UNSUPPORTED, file.name(), ": JPEG of ", precision, " bits, expected 8");
  }
  require_file(channels == 1 || channels == 3 || channels == 4, file.name(), ": JPEG of ", channels,
               " channels, expected 1, 3 or 4");
  ImageHeader header{ImageFormat::jpeg, {big(parts.frame, 3, 2), big(parts.frame, 1, 2)}};
  check_size(header.size, file);
  check_jpeg_data(file, header.size);
  header.orientation = choose_orientation(parts.exif, parts.xmp);
  return header;
}

// ---- WebP ----

struct WebpParts {
  std::string_view extended, lossy, lossless, exif, xmp;
};

WebpParts webp_parts(const Bytes& file) {
  const size_t end = size_t{8} + little(file.part(4, 4, "the RIFF header"), 0, 4);
  file.part(0, end, "the RIFF chunk");
  WebpParts parts;
  for (size_t at = 12; at + 8 <= end;) {
    const std::string_view head = file.part(at, 8, "a chunk's head");
    const size_t size = little(head, 4, 4);
    require_file(size <= end - at - 8, file.name(), ": chunk at byte ", at, " has ", size,
                 " bytes, more than the ", end - at - 8, " that remain");
    const std::string_view chunk = file.part(at + 8, size, "a chunk"), type = head.substr(0, 4);
    if (type == "VP8X") parts.extended = chunk;
    if (type == "VP8 ") parts.lossy = chunk;
    if (type == "VP8L") parts.lossless = chunk;
    if (type == "EXIF" && parts.exif.empty()) parts.exif = chunk;
    if (type == "XMP " && parts.xmp.empty()) parts.xmp = chunk;
    at += 8 + size + size % 2;
  }
  return parts;
}

PixelSize lossy_size(const Bytes& file, std::string_view chunk) {
  constexpr std::string_view start_code("\x9d\x01\x2a", 3);
  require_file(chunk.size() >= 10 && chunk.substr(3, 3) == start_code, file.name(),
               ": chunk VP8 begins no key frame");
  return {little(chunk, 6, 2) & 0x3fff, little(chunk, 8, 2) & 0x3fff};
}

PixelSize lossless_size(const Bytes& file, std::string_view chunk) {
  require_file(chunk.size() >= 5 && chunk[0] == 0x2f, file.name(),
               ": chunk VP8L does not begin as it should");
  const uint32_t bits = little(chunk, 1, 4);
  return {(bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1};
}

void check_extended(const Bytes& file, std::string_view chunk, PixelSize size) {
  constexpr uint8_t animation = 0x02;
  require_file(chunk.size() >= 10, file.name(), ": chunk VP8X has ", chunk.size(),
               " bytes, expected 10");
  if (byte_at(chunk, 0) & animation) fail(MINIMAX_UNSUPPORTED, file.name(), ": animated WebP");
  const PixelSize canvas{little(chunk, 4, 3) + int64_t{1}, little(chunk, 7, 3) + int64_t{1}};
  require_file(size.width == 0 || canvas == size, file.name(), ": canvas of ", canvas.width, " x ",
               canvas.height, " pixels holds a picture of ", size.width, " x ", size.height);
}

ImageHeader read_webp(const Bytes& file) {
  const WebpParts parts = webp_parts(file);
  ImageHeader header{ImageFormat::webp, {0, 0}};
  if (!parts.lossy.empty()) {
    header.size = lossy_size(file, parts.lossy);
  } else if (!parts.lossless.empty()) {
    header.size = lossless_size(file, parts.lossless);
  }
  if (!parts.extended.empty()) check_extended(file, parts.extended, header.size);
  require_file(!parts.lossy.empty() || !parts.lossless.empty(), file.name(),
               ": no chunk VP8 or VP8L");
  check_size(header.size, file);
  header.orientation = choose_orientation(parts.exif, parts.xmp);
  return header;
}

// ---- BMP ----

int64_t without_sign(uint32_t number) {
  return std::abs(static_cast<int64_t>(static_cast<int32_t>(number)));
}

ImageHeader read_bmp(const Bytes& file) {
  constexpr uint32_t oldest = 12;  // its sides have 16 bits
  const uint32_t info_size = little(file.part(14, 4, "the BMP header"), 0, 4);
  const bool is_known = info_size == oldest || info_size == 40 || info_size == 52 ||
                        info_size == 56 || info_size == 64 || info_size == 108 || info_size == 124;
  require_file(is_known, file.name(), ": BMP header of ", info_size,
               " bytes, expected 12, 40 or more");
  const std::string_view info = file.part(14, info_size, "the BMP header");
  ImageHeader header{ImageFormat::bmp, {little(info, 4, 2), little(info, 6, 2)}};
  if (info_size != oldest) {
    header.size = {static_cast<int32_t>(little(info, 4, 4)), without_sign(little(info, 8, 4))};
  }
  check_size(header.size, file);
  return header;
}

ImageHeader read_any(const Bytes& file) {
  const std::string_view bytes = file.rest(0);
  if (bytes.starts_with(png_signature)) return read_png(file);
  if (bytes.starts_with(jpeg_signature)) return read_jpeg(file);
  if (bytes.starts_with("RIFF") && file.rest(8).starts_with("WEBP")) return read_webp(file);
  if (bytes.starts_with("BM")) return read_bmp(file);
  fail(MINIMAX_BAD_FILE, file.name(), ": neither PNG nor JPEG, WebP or BMP");
}

}  // namespace

ImageHeader read_image_header(std::span<const std::byte> file, std::string_view name) {
  const Bytes bytes({reinterpret_cast<const char*>(file.data()), file.size()}, name);
  return read_any(bytes);
}

}  // namespace minimax
