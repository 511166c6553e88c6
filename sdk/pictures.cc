// SPDX-License-Identifier: Apache-2.0
#include "sdk/pictures.h"

#include <algorithm>

#include "base/error.h"
#include "base/log.h"

namespace minimax {

Pictures::Tower::Tower(const std::filesystem::path& path, const VisionConfig& config,
                       Engine& engine, Backend& backend)
    : threads(engine.options().thread_count),
      source(engine.open_more_weights(path, backend, threads)),
      encoder(config, *source, backend) {
}

Pictures::Pictures(const std::filesystem::path& path, Engine& engine, size_t cache_limit_bytes)
    : path_(path), engine_(engine), limit_bytes_(cache_limit_bytes) {
}

const VisionConfig& Pictures::config() const {
  if (!engine_.config().has_vision) {
    fail(MINIMAX_UNSUPPORTED, path_.string(), ": this model takes no pictures (no vision_config)");
  }
  const std::lock_guard lock(config_mutex_);
  if (!config_) config_ = read_vision_config(path_);
  return *config_;
}

TilePlan Pictures::plan(PixelSize size) const {
  return plan_tiles(size, config().tiles);
}

std::shared_ptr<const EncodedPicture> Pictures::encoded(const Image& image,
                                                        const TileProgress& progress,
                                                        bool* was_cached) {
  std::shared_ptr<const EncodedPicture> picture = find(image.id());
  std::unique_lock lock(tower_mutex_, std::defer_lock);
  if (!picture) {
    lock.lock();
    picture = find(image.id());  // whoever held the lock may have made it
  }
  const bool is_kept = picture != nullptr;
  count(is_kept);
  if (was_cached) *was_cached = is_kept;
  if (is_kept) return picture;
  picture = encode(image, progress);
  keep(picture);
  return picture;
}

std::shared_ptr<const EncodedPicture> Pictures::encode(const Image& image,
                                                       const TileProgress& progress) {
  const TilePlan tiles = plan(image.size());
  const VisionConfig& sizes = config();
  auto picture = std::make_shared<EncodedPicture>();
  engine_.use_device([&](Backend& backend) {
    if (!tower_) {
      tower_ = std::make_unique<Tower>(path_, sizes, engine_, backend);
      log(MINIMAX_LOG_INFO, path_.string(), ": the vision tower is loaded, ",
          tower_->source->byte_count(), " bytes");
    }
    engine_.reserve_at_least(VisionEncoder::step_limits(sizes, backend));
    const DType act = backend.activation_type();
    const Shape shape{tiles.token_count, sizes.output_width};
    picture->id = image.id();
    picture->memory =
        Buffer(backend.memory(), static_cast<size_t>(shape.element_count()) * size_of(act));
    picture->rows = picture->memory.tensor(act, shape);
    tower_->encoder.encode(image, tiles, tower_->threads, progress, picture->rows);
  });
  return picture;
}

std::shared_ptr<const EncodedPicture> Pictures::find(const ImageId& id) {
  const std::lock_guard lock(cache_mutex_);
  const auto found = std::find_if(kept_.begin(), kept_.end(),
                                  [&](const auto& picture) { return picture->id == id; });
  if (found == kept_.end()) return nullptr;
  kept_.splice(kept_.begin(), kept_, found);
  return kept_.front();
}

void Pictures::count(bool was_kept) {
  const std::lock_guard lock(cache_mutex_);
  ++(was_kept ? stats_.hits : stats_.misses);
}

void Pictures::keep(std::shared_ptr<const EncodedPicture> picture) {
  const std::lock_guard lock(cache_mutex_);
  const size_t bytes = picture->memory.size_bytes();
  if (bytes > limit_bytes_) return;
  while (stats_.bytes + bytes > limit_bytes_) drop_oldest();
  kept_.push_front(std::move(picture));
  stats_.bytes += bytes;
  stats_.entry_count = kept_.size();
}

void Pictures::drop_oldest() {
  stats_.bytes -= kept_.back()->memory.size_bytes();
  kept_.pop_back();
  ++stats_.evictions;
  stats_.entry_count = kept_.size();
}

PictureCacheStats Pictures::stats() const {
  const std::lock_guard lock(cache_mutex_);
  return stats_;
}

void Pictures::clear_cache() {
  const std::lock_guard lock(cache_mutex_);
  kept_.clear();
  stats_.bytes = 0;
  stats_.entry_count = 0;
}

}  // namespace minimax
