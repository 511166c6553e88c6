// SPDX-License-Identifier: Apache-2.0
// Turns a picture into patches on request and says how long it took: one side of peer_images.py.
//
//   image_bench SIDE THREADS
//
// The picture has SIDE x SIDE pixels: pixel (x, y) is (x * 7 + y * 3, x * 2 + y * 11, x ^ y) modulo 256.
// Reads commands from standard input: "time" prints wall and processor seconds of one run and the number
// of patches; "patches FILE" writes the f32 numbers of a run to a file.
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/thread_pool.h"
#include "vision/tiles.h"

namespace {

using minimax::Image;
using minimax::PixelNorm;
using minimax::ThreadPool;
using minimax::TileLayout;
using minimax::TilePlan;

constexpr PixelNorm clip_norm{{0.48145466f, 0.4578275f, 0.40821073f},
                              {0.26862954f, 0.26130258f, 0.27577711f}};

TileLayout released_layout() {
  TileLayout layout{{}, 336, 14};
  for (int64_t a = 1; a <= 6; ++a) {
    const int64_t most = a <= 3 ? 6 : a == 4 ? 4 : 3;
    for (int64_t b = 1; b <= most; ++b) layout.resolutions.push_back({336 * a, 336 * b});
  }
  return layout;
}

Image make_picture(int64_t side) {
  std::vector<uint8_t> pixels;
  pixels.reserve(static_cast<size_t>(side * side * 3));
  for (int64_t y = 0; y < side; ++y) {
    for (int64_t x = 0; x < side; ++x) {
      for (const int64_t value : {x * 7 + y * 3, x * 2 + y * 11, x ^ y}) {
        pixels.push_back(static_cast<uint8_t>(value));
      }
    }
  }
  return Image::from_rgb(pixels.data(), side, side, static_cast<size_t>(side) * 3);
}

double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// The plan, the memory for the patches and their first touch belong to the job, as they do for a caller.
std::vector<float> preprocess(const Image& image, const TileLayout& layout, ThreadPool& threads) {
  const TilePlan plan = minimax::plan_tiles(image.size(), layout);
  std::vector<float> patches(
      static_cast<size_t>(plan.tile_count() * layout.tile_size * layout.tile_size * 3));
  minimax::make_patches(image, plan, layout, clip_norm, threads, patches);
  return patches;
}

void print_time(const Image& image, const TileLayout& layout, ThreadPool& threads) {
  const auto wall = std::chrono::steady_clock::now();
  const double processor = processor_seconds();
  const std::vector<float> patches = preprocess(image, layout, threads);
  const double processor_used = processor_seconds() - processor;
  const std::chrono::duration<double> wall_used = std::chrono::steady_clock::now() - wall;
  std::cout << wall_used.count() << ' ' << processor_used << ' '
            << patches.size() / static_cast<size_t>(3 * layout.patch_size * layout.patch_size)
            << std::endl;
}

void write_patches(const Image& image, const TileLayout& layout, ThreadPool& threads,
                   const std::string& path) {
  const std::vector<float> patches = preprocess(image, layout, threads);
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(patches.data()),
             static_cast<std::streamsize>(patches.size() * sizeof(float)));
  std::cout << "written" << std::endl;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::cerr << "usage: image_bench SIDE THREADS\n";
    return 2;
  }
  const Image image = make_picture(std::atoi(argv[1]));
  const TileLayout layout = released_layout();
  ThreadPool threads(std::atoi(argv[2]));
  for (std::string command; std::cin >> command;) {
    if (command == "time") print_time(image, layout, threads);
    if (command == "patches" && std::cin >> command) write_patches(image, layout, threads, command);
  }
  return 0;
} catch (const minimax::Error& error) {
  std::cerr << error.message() << '\n';
  return 1;
}
