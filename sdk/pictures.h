// SPDX-License-Identifier: Apache-2.0
// Pictures of one model: the vision tower, loaded when the first is met, and a cache of what it made of
// them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <list>
#include <memory>
#include <mutex>
#include <optional>

#include "engine/engine.h"
#include "vision/vision_encoder.h"

namespace minimax {

// Immutable; lives in the device's memory.
struct EncodedPicture {
  ImageId id;
  Buffer memory;
  Tensor rows;  // [N, W] act
};

// A picture in the history of a session.
struct PictureSpan {
  int64_t position;
  int64_t token_count;  // that were fed
  ImageId id;
  int64_t first_row = 0;  // more when its beginning was not fed
};

struct PictureCacheStats {
  uint64_t entry_count = 0, bytes = 0;
  uint64_t hits = 0, misses = 0, evictions = 0;
};

// Any thread; one picture is encoded at a time. Encoded pictures must not outlive the engine.
class Pictures {
 public:
  // cache_limit_bytes: of encoded pictures; those in use elsewhere may live on beyond it.
  Pictures(const std::filesystem::path& path, Engine& engine, size_t cache_limit_bytes);

  // What a picture of that size becomes. MINIMAX_UNSUPPORTED when the model takes none.
  TilePlan plan(PixelSize size) const;
  // From the cache, or made now; the tower is loaded when it is needed first. was_cached may be
  // nullptr. MINIMAX_CANCELLED when progress says so.
  std::shared_ptr<const EncodedPicture> encoded(const Image& image, const TileProgress& progress,
                                                bool* was_cached);
  PictureCacheStats stats() const;
  void clear_cache();

 private:
  // The tower with all that it needs.
  struct Tower {
    Tower(const std::filesystem::path& path, const VisionConfig& config, Engine& engine,
          Backend& backend);
    ThreadPool threads;
    std::unique_ptr<WeightSource> source;
    VisionEncoder encoder;
  };
  const VisionConfig& config() const;
  std::shared_ptr<const EncodedPicture> find(const ImageId& id);
  std::shared_ptr<const EncodedPicture> encode(const Image& image, const TileProgress& progress);
  void count(bool was_kept);
  void keep(std::shared_ptr<const EncodedPicture> picture);
  void drop_oldest();

  const std::filesystem::path path_;
  Engine& engine_;
  const size_t limit_bytes_;

  mutable std::mutex config_mutex_;  // guards config_
  mutable std::optional<VisionConfig> config_;

  std::mutex tower_mutex_;  // guards tower_, held while a picture is encoded
  std::unique_ptr<Tower> tower_;

  mutable std::mutex cache_mutex_;                         // guards what follows
  std::list<std::shared_ptr<const EncodedPicture>> kept_;  // the last used first; they are few
  PictureCacheStats stats_;
};

}  // namespace minimax
