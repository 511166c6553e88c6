// SPDX-License-Identifier: Apache-2.0
// Pictures that are damaged, lie about themselves or ask for more than there is: each is refused with a
// status and a sentence, or decoded within its limits, and nothing is printed.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <limits>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "vision/image.h"

namespace minimax {
namespace {

enum class Expected { refused, either };  // either: refused or decoded, as long as it is orderly

struct Hostile {
  std::string name, file;
  Expected expected = Expected::refused;
};

// ---- Ingredients ----

std::string golden(const std::string& name) {
  std::ifstream file(MINIMAX_SOURCE_DIR "/tests/golden/pil/files/" + name, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(file), {}};
  EXPECT_FALSE(bytes.empty()) << name;
  return bytes;
}

std::string big(uint64_t number, int size) {
  std::string bytes;
  for (int i = size - 1; i >= 0; --i) bytes += static_cast<char>(number >> 8 * i);
  return bytes;
}

std::string little(uint64_t number, int size) {
  std::string bytes = big(number, size);
  std::ranges::reverse(bytes);
  return bytes;
}

uint32_t crc32(std::string_view bytes) {
  uint32_t crc = ~0u;
  for (const char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return ~crc;
}

std::string png_chunk(const std::string& type, const std::string& data) {
  return big(data.size(), 4) + type + data + big(crc32(type + data), 4);
}

const std::string png_signature("\x89PNG\r\n\x1a\n", 8);
const std::string no_pixels("\x78\x9c\x03\0\0\0\0\x01", 8);  // zlib, of nothing

std::string png(uint64_t width, uint64_t height, int bits, int colours, const std::string& between,
                const std::string& data = no_pixels) {
  const std::string header =
      big(width, 4) + big(height, 4) + static_cast<char>(bits) + static_cast<char>(colours);
  return png_signature + png_chunk("IHDR", header + std::string(3, '\0')) + between +
         png_chunk("IDAT", data) + png_chunk("IEND", "");
}

std::string jpeg_segment(int marker, const std::string& data) {
  return '\xff' + std::string(1, static_cast<char>(marker)) + big(data.size() + 2, 2) + data;
}

// A grey frame without tables.
std::string jpeg(uint64_t width, uint64_t height, const std::string& before_scan,
                 const std::string& data, int frame = 0xc0) {
  const std::string sides = big(height, 2) + big(width, 2);
  return "\xff\xd8" + before_scan +
         jpeg_segment(frame, '\x08' + sides + std::string("\x01\x01\x11\0", 4)) +
         jpeg_segment(0xda, std::string("\x01\x01\0\0\x3f\0", 6)) + data + "\xff\xd9";
}

std::string riff(const std::string& chunks) {
  return "RIFF" + little(chunks.size() + 4, 4) + "WEBP" + chunks;
}

std::string riff_chunk(const std::string& type, const std::string& data) {
  return type + little(data.size(), 4) + data + std::string(data.size() % 2, '\0');
}

std::string bmp(int32_t width, int32_t height, int bits, int compression, const std::string& pixels,
                uint64_t start = 54, uint64_t colours = 0) {
  return "BM" + little(54 + pixels.size(), 4) + little(0, 4) + little(start, 4) + little(40, 4) +
         little(static_cast<uint32_t>(width), 4) + little(static_cast<uint32_t>(height), 4) +
         little(1, 2) + little(static_cast<uint64_t>(bits), 2) +
         little(static_cast<uint64_t>(compression), 4) + std::string(12, '\0') +
         little(colours, 4) + little(0, 4) + pixels;
}

std::string replaced(std::string bytes, size_t at, const std::string& with) {
  return bytes.replace(at, with.size(), with);
}

// EXIF behind its prefix: little-endian, its directory at `directory`.
std::string exif(uint64_t directory, const std::string& entries) {
  return std::string("II*\0", 4) + little(directory, 4) + entries;
}

// A sound picture with an APP1 segment.
std::string jpeg_with(const std::string& segment) {
  return golden("420.jpg").insert(2, jpeg_segment(0xe1, segment));
}

// ---- The pictures ----

void add_cut_off(std::vector<Hostile>& all) {
  for (const std::string name : {"rgb.png", "interlaced.png", "420.jpg", "progressive.jpg",
                                 "lossy_alpha.webp", "lossless.webp", "rgb.bmp", "runs_8.bmp"}) {
    const std::string file = golden(name);
    for (const int percent : {1, 4, 10, 30, 55, 80, 97}) {
      const size_t size = file.size() * static_cast<size_t>(percent) / 100;
      all.push_back({text(name, " cut off at ", percent, " %"), file.substr(0, size)});
    }
  }
}

void add_wrong_formats(std::vector<Hostile>& all) {
  all.push_back({"nothing", ""});
  all.push_back({"one byte", "\x89"});
  all.push_back({"text", "this is no picture"});
  all.push_back({"zeros", std::string(4096, '\0')});
  all.push_back({"GIF", std::string("GIF89a\x01\0\x01\0\0\0\0;", 14)});
  all.push_back({"TIFF", std::string("II*\0\x08\0\0\0\0\0", 10)});
  all.push_back({"PPM", "P6 1 1 255\nabc"});
  all.push_back({"Radiance", "#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 1 +X 1\n\x01\x01\x01\x01"});
  all.push_back({"OpenEXR", std::string("\x76\x2f\x31\x01\x02\0\0\0", 8)});
  all.push_back({"JPEG 2000", std::string("\0\0\0\x0cjP  \r\n\x87\n", 12)});
  all.push_back({"PNG signature alone", png_signature});
  all.push_back({"JPEG signature alone", "\xff\xd8\xff"});
  all.push_back({"RIFF of another kind", "RIFF" + little(4, 4) + "WAVE"});
  all.push_back({"WebP without chunks", riff("")});
  all.push_back({"BM alone", "BM"});
}

void add_sides(std::vector<Hostile>& all) {
  constexpr uint64_t most = 0x7fffffff;
  all.push_back({"PNG 0 wide", png(0, 5, 8, 2, "")});
  all.push_back({"PNG 0 high", png(5, 0, 8, 2, "")});
  all.push_back({"PNG 2^31 - 1 each way", png(most, most, 8, 2, "")});
  all.push_back({"PNG 2^32 - 1 each way", png(0xffffffff, 0xffffffff, 16, 6, "")});
  all.push_back({"PNG 65500 each way, bits", png(65500, 65500, 1, 0, "")});
  all.push_back({"PNG 10000 each way of nothing", png(10000, 10000, 8, 6, "")});
  all.push_back({"PNG high", png(1, most, 8, 0, "")});
  all.push_back({"JPEG 0 wide", jpeg(0, 5, "", "x")});
  all.push_back({"JPEG 0 high", jpeg(5, 0, "", "x")});
  all.push_back({"JPEG 65535 each way", jpeg(65535, 65535, "", "x")});
  all.push_back({"JPEG 10000 each way of nothing", jpeg(10000, 10000, "", "x", 0xc2)});
  all.push_back({"BMP 0 wide", bmp(0, 5, 24, 0, "")});
  all.push_back({"BMP negative width", bmp(-5, 5, 24, 0, std::string(100, 'x'))});
  all.push_back({"BMP least height", bmp(1, std::numeric_limits<int32_t>::min(), 24, 0, "xxx")});
  all.push_back({"BMP 2^31 - 1 each way", bmp(most, most, 32, 0, "xxxx")});
  all.push_back({"BMP 10000 each way of nothing", bmp(10000, 10000, 24, 0, "xxxx")});
  const std::string canvas = std::string(4, '\0') + "\xff\xff\xff\xff\xff\xff";
  all.push_back({"WebP canvas of 2^24", riff(riff_chunk("VP8X", canvas))});
  all.push_back({"WebP frame of another size than its canvas",
                 riff(riff_chunk("VP8X", canvas) + golden("lossless.webp").substr(12))});
  all.push_back({"WebP lossless 16384 each way",
                 riff(riff_chunk("VP8L", "/\xff\xff\xff\x0f" + std::string(20, '\0')))});
  all.push_back(
      {"WebP lossy of 0", riff(riff_chunk("VP8 ", std::string("\x10\0\0\x9d\x01*\0\0\0\0", 10)))});
}

// Sound PNG files that unfold to far more than their bytes.
void add_bombs(std::vector<Hostile>& all) {
  const std::string stored_zeros("\x78\x01\x01\x05\0\xfa\xff\0\0\0\0\0\0\x05\0\x01", 16);
  all.push_back({"PNG of less data than pixels", png(40, 40, 8, 2, "", stored_zeros)});
  all.push_back(
      {"PNG of more data than pixels", png(1, 1, 8, 0, "", stored_zeros), Expected::either});
  all.push_back({"JPEG of 5000 scans", [] {
                   const std::string file = golden("progressive.jpg");
                   const size_t scan = file.rfind("\xff\xda");
                   const std::string last = file.substr(scan, file.size() - 2 - scan);
                   std::string bomb = file.substr(0, file.size() - 2);
                   for (int i = 0; i < 5000; ++i) bomb += last;
                   return bomb + "\xff\xd9";
                 }()});
  all.push_back(
      {"animated WebP", riff(riff_chunk("VP8X", std::string("\x02\0\0\0\x12\0\0\x0a\0\0", 10)) +
                             riff_chunk("ANIM", std::string(6, '\0')))});
  const std::string run = std::string("\xff\0", 2);
  all.push_back({"BMP of runs that end at once",
                 bmp(9000, 9000, 8, 1, std::string(1024, 'p') + std::string("\0\x01", 2), 1078)});
  all.push_back({"BMP of runs beyond its rows",
                 bmp(3, 3, 8, 1, std::string(1024, 'p') + run + run + run, 1078)});
}

void add_structures(std::vector<Hostile>& all) {
  const std::string sound = golden("rgb.png");
  const std::string header = sound.substr(8, 25), rest = sound.substr(33);
  all.push_back({"PNG chunk of 2^32 - 1 bytes", replaced(sound, 33, "\xff\xff\xff\xff")});
  all.push_back({"PNG header of 12 bytes", replaced(sound, 8, big(12, 4))});
  all.push_back({"PNG without header", png_signature + rest});
  all.push_back({"PNG of two headers", png_signature + header + header + rest});
  all.push_back({"PNG without data", png_signature + header + png_chunk("IEND", "")});
  all.push_back({"PNG of a wrong checksum", replaced(sound, 29, "\1\2\3\4")});
  all.push_back({"PNG data of a wrong checksum", replaced(sound, sound.size() - 16, "\1\2\3\4")});
  all.push_back({"PNG of 3 bits", png(5, 5, 3, 0, "")});
  all.push_back({"PNG of colours 5", png(5, 5, 8, 5, "")});
  all.push_back({"PNG of colours 200", png(5, 5, 8, 200, "")});
  all.push_back({"PNG palette without one", png(2, 2, 8, 3, "")});
  all.push_back({"PNG palette of 5 bytes", png(2, 2, 8, 3, png_chunk("PLTE", "12345"))});
  all.push_back({"PNG data that are no zlib", png(2, 2, 8, 2, "", "no zlib at all")});
  all.push_back(
      {"PNG profile that is none", png(19, 11, 8, 2, png_chunk("iCCP", "x")), Expected::either});

  const std::string jpg = golden("420.jpg");
  const size_t scan = jpg.find("\xff\xda"), frame = jpg.find("\xff\xc0");
  all.push_back({"JPEG segment of length 0", replaced(jpg, 4, big(0, 2))});
  all.push_back({"JPEG segment of length 1", replaced(jpg, 4, big(1, 2))});
  all.push_back({"JPEG segment of length 65535", replaced(jpg, 4, big(65535, 2))});
  all.push_back({"JPEG of bytes between segments", std::string(jpg).insert(20, "xx")});
  all.push_back({"JPEG without frame", jpg.substr(0, 2) + jpg.substr(scan)});
  all.push_back({"JPEG without scan", jpg.substr(0, scan) + "\xff\xd9"});
  all.push_back({"JPEG of two frames", std::string(jpg).insert(frame, jpg.substr(frame, 19))});
  all.push_back({"JPEG of 12 bits", replaced(jpg, frame + 4, "\x0c")});
  all.push_back({"JPEG of 2 channels", replaced(jpg, frame + 9, "\x02")});
  all.push_back({"JPEG of 200 channels", replaced(jpg, frame + 9, "\xc8")});
  all.push_back({"JPEG without losses", replaced(jpg, frame + 1, "\xc3")});
  all.push_back({"JPEG of arithmetic codes", replaced(jpg, frame + 1, "\xc9")});
  all.push_back({"JPEG without tables", jpeg(8, 8, "", "xxxx")});
  all.push_back({"JPEG that is filled up", std::string(jpg).insert(scan, std::string(3000, '\xff')),
                 Expected::either});

  const std::string webp = golden("lossless.webp");
  all.push_back({"WebP of 2^32 - 1 bytes", replaced(webp, 4, "\xff\xff\xff\xff")});
  all.push_back({"WebP chunk of 2^32 - 1 bytes", replaced(webp, 16, "\xff\xff\xff\xff")});
  all.push_back({"WebP with a header of 3 bytes", riff(riff_chunk("VP8X", "abc"))});
  all.push_back({"WebP lossless of another signature", replaced(webp, 20, "x")});
  all.push_back({"WebP lossy of another start code", replaced(golden("lossy.webp"), 23, "xxx")});

  all.push_back({"BMP header of 1000 bytes", replaced(golden("rgb.bmp"), 14, little(1000, 4))});
  all.push_back({"BMP header of 41 bytes", replaced(golden("rgb.bmp"), 14, little(41, 4))});
  all.push_back({"BMP of 7 bits", bmp(2, 2, 7, 0, std::string(100, 'x'))});
  all.push_back({"BMP of compression 77", bmp(2, 2, 24, 77, std::string(100, 'x'))});
  all.push_back({"BMP of an embedded JPEG", bmp(2, 2, 24, 4, golden("420.jpg"))});
  all.push_back({"BMP of 24 bits in runs", bmp(2, 2, 24, 1, std::string(100, 'x'))});
  all.push_back({"BMP of 2^32 - 1 colours", bmp(2, 2, 8, 0, std::string(9, 'x'), 54, 0xffffffff)});
  all.push_back(
      {"BMP whose pixels begin beyond its end", bmp(2, 2, 24, 0, std::string(99, 'x'), 1u << 31)});
  all.push_back({"BMP of 11 bits of red", bmp(2, 2, 32, 3,
                                              little(0x7ff00000, 4) + little(0xff00, 4) +
                                                  little(0xff, 4) + std::string(99, 'x'),
                                              66)});
  all.push_back(
      {"BMP of red with a gap",
       bmp(2, 2, 32, 3,
           little(0x5000000, 4) + little(0xff00, 4) + little(0xff, 4) + std::string(99, 'x'), 66)});
}

// What EXIF and XMP say is passed over where it makes no sense; these pictures are sound.
void add_exif(std::vector<Hostile>& all) {
  const std::string prefix("Exif\0\0", 6);
  const std::string six = little(0x112, 2) + little(3, 2) + little(1, 4) + little(6, 4);
  const std::vector<std::pair<std::string, std::string>> kinds{
      {"nothing", ""},
      {"three bytes", "II*"},
      {"another byte order", "XX*" + std::string(20, '\0')},
      {"a directory beyond its end", exif(0xfffffff0, "")},
      {"a directory within its head", exif(0, six)},
      {"a directory that names itself", exif(8, little(0, 2) + little(8, 4))},
      {"65535 entries", exif(8, little(65535, 2) + six)},
      {"half an entry", exif(8, little(1, 2) + six.substr(0, 6))},
      {"2^32 - 1 values",
       exif(8, little(1, 2) + little(0x112, 2) + little(3, 2) + "\xff\xff\xff\xff" + little(6, 4))},
      {"a value of text",
       exif(8, little(1, 2) + little(0x112, 2) + little(2, 2) + little(1, 4) + little(6, 4))},
      {"orientation 0", exif(8, little(1, 2) + six.substr(0, 8) + little(0, 4))},
      {"orientation 9", exif(8, little(1, 2) + six.substr(0, 8) + little(9, 4))},
      {"orientation 65535", exif(8, little(1, 2) + six.substr(0, 8) + little(65535, 4))},
  };
  for (const auto& [name, data] : kinds) {
    all.push_back({"JPEG with EXIF of " + name, jpeg_with(prefix + data), Expected::either});
    all.push_back({"PNG with EXIF of " + name,
                   golden("rgb.png").insert(33, png_chunk("eXIf", data)), Expected::either});
  }
  const std::string xmp("http://ns.adobe.com/xap/1.0/\0", 29);
  all.push_back(
      {"JPEG with XMP that ends early", jpeg_with(xmp + "tiff:Orientation=\""), Expected::either});
  all.push_back({"JPEG with XMP of nonsense",
                 jpeg_with(xmp + "tiff:Orientation=\"xtiff:Orientation>"), Expected::either});
}

// Sound files with bytes changed at random.
void add_flipped(std::vector<Hostile>& all) {
  std::mt19937 generator(1);
  for (const std::string name :
       {"rgb.png", "palette_alpha.png", "420.jpg", "progressive.jpg", "cmyk.jpg",
        "lossy_alpha.webp", "lossless.webp", "runs_4.bmp", "palette_few.bmp"}) {
    for (int i = 0; i < 12; ++i) {
      std::string file = golden(name);
      for (int change = 0; change < 1 + i % 4; ++change) {
        file[generator() % file.size()] = static_cast<char>(generator());
      }
      all.push_back({text(name, " changed, number ", i), file, Expected::either});
    }
  }
}

std::vector<Hostile> hostile_pictures() {
  std::vector<Hostile> all;
  add_cut_off(all);
  add_wrong_formats(all);
  add_sides(all);
  add_bombs(all);
  add_structures(all);
  add_exif(all);
  add_flipped(all);
  return all;
}

// ---- What must hold ----

// While it lives, what is written to standard output and error goes to a file.
class Captured {
 public:
  Captured() : file_(std::tmpfile()), streams_{::dup(1), ::dup(2)} {
    std::fflush(stdout);
    for (const int stream : {1, 2}) ::dup2(::fileno(file_), stream);
  }
  ~Captured() {
    for (const int stream : {1, 2}) {
      ::dup2(streams_[stream - 1], stream);
      ::close(streams_[stream - 1]);
    }
    std::fclose(file_);
  }
  long size() const { return ::lseek(::fileno(file_), 0, SEEK_END); }

 private:
  std::FILE* file_;
  int streams_[2];
};

int64_t peak_megabytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;
}

std::optional<Error> error_of(const std::string& file) {
  try {
    const Image image = Image::decode(std::as_bytes(std::span(file)), "picture");
    EXPECT_EQ(image.pixels().size(),
              static_cast<size_t>(image.size().width * image.size().height * 3));
    return std::nullopt;
  } catch (const Error& error) {
    return error;
  }
}

void expect_a_sentence(const Error& error) {
  const std::string& sentence = error.message();
  EXPECT_TRUE(error.status() == MINIMAX_BAD_FILE || error.status() == MINIMAX_UNSUPPORTED)
      << sentence;
  EXPECT_TRUE(sentence.starts_with("picture: ")) << sentence;
  EXPECT_GT(sentence.size(), 20u) << sentence;
  EXPECT_LT(sentence.size(), 200u) << sentence;
  EXPECT_TRUE(std::ranges::all_of(sentence, [](char c) { return c >= ' ' && c <= '~'; }))
      << sentence;
  EXPECT_NE(sentence.back(), '.') << sentence;
}

TEST(HostileImages, AreRefusedWithASentenceOrDecodedInSilence) {
  const std::vector<Hostile> pictures = hostile_pictures();
  EXPECT_GE(pictures.size(), 120u);
  error_of(golden("rgb.png"));  // OpenCV is in memory
  const int64_t before = peak_megabytes();
  for (const Hostile& picture : pictures) {
    SCOPED_TRACE(picture.name);
    long printed;
    std::optional<Error> error;
    {
      const Captured captured;
      error = error_of(picture.file);
      printed = captured.size();
    }
    EXPECT_EQ(printed, 0);
    EXPECT_TRUE(error.has_value() || picture.expected == Expected::either);
    if (error) expect_a_sentence(*error);
  }
  EXPECT_LT(peak_megabytes() - before, 400);
}

TEST(HostileImages, OfBrokenExifAreUpright) {
  std::vector<Hostile> pictures;
  add_exif(pictures);
  for (const Hostile& picture : pictures) {
    SCOPED_TRACE(picture.name);
    const Image image = Image::decode(std::as_bytes(std::span(picture.file)), "picture");
    const bool is_turned = picture.name.ends_with("65535 entries");  // the first of them is there
    EXPECT_EQ(image.size(), is_turned ? (PixelSize{11, 19}) : (PixelSize{19, 11}));
  }
}

TEST(HostileImages, DoNotSilenceOtherThreads) {
  const Captured captured;
  error_of(golden("420.jpg").substr(0, 400) + "\xff\xd9");
  EXPECT_EQ(::write(2, "heard", 5), 5);
  EXPECT_EQ(captured.size(), 5);
}

TEST(HostilePixels, AreRefused) {
  const std::vector<uint8_t> pixels(300);
  constexpr int64_t most = std::numeric_limits<int64_t>::max();
  struct Call {
    const uint8_t* pixels;
    int64_t width, height;
    size_t stride;
    minimax_status status;
  };
  for (const Call& call : {Call{nullptr, 10, 10, 30, MINIMAX_INVALID_ARGUMENT},
                           {pixels.data(), 0, 10, 30, MINIMAX_INVALID_ARGUMENT},
                           {pixels.data(), 10, 0, 30, MINIMAX_INVALID_ARGUMENT},
                           {pixels.data(), -1, 10, 30, MINIMAX_INVALID_ARGUMENT},
                           {pixels.data(), 10, -most - 1, 30, MINIMAX_INVALID_ARGUMENT},
                           {pixels.data(), 10, 10, 29, MINIMAX_INVALID_ARGUMENT},
                           {pixels.data(), 10, 10, 0, MINIMAX_INVALID_ARGUMENT},
                           {pixels.data(), most, most, SIZE_MAX, MINIMAX_UNSUPPORTED},
                           {pixels.data(), most, 1, SIZE_MAX, MINIMAX_UNSUPPORTED},
                           {pixels.data(), 1, most, 3, MINIMAX_UNSUPPORTED},
                           {pixels.data(), 65536, 65536, 200000, MINIMAX_UNSUPPORTED}}) {
    SCOPED_TRACE(text(call.width, " x ", call.height, ", stride ", call.stride));
    try {
      Image::from_rgb(call.pixels, call.width, call.height, call.stride);
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.status(), call.status) << error.message();
    }
  }
}

}  // namespace
}  // namespace minimax
