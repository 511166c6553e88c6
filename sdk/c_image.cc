// SPDX-License-Identifier: Apache-2.0
// minimax.h, section 4: pictures.
#include <cstring>

#include "minimax.h"
#include "sdk/guard.h"
#include "sdk/handles.h"
#include "sdk/structs.h"

using minimax::guard;
using minimax::model_of;
using minimax::require;

namespace {

const minimax::Image& image_of(const minimax_image* image) {
  require(image, "image is NULL");
  return *image->image;
}

void give(minimax::Image image, minimax_image** out_image) {
  *out_image = new minimax_image{std::make_shared<const minimax::Image>(std::move(image))};
}

}  // namespace

size_t minimax_tile_plan_init(minimax_tile_plan* plan, size_t struct_size) {
  return minimax::init_struct(plan, struct_size);
}

size_t minimax_image_cache_stats_init(minimax_image_cache_stats* stats, size_t struct_size) {
  return minimax::init_struct(stats, struct_size);
}

size_t minimax_image_span_init(minimax_image_span* span, size_t struct_size) {
  return minimax::init_struct(span, struct_size);
}

minimax_status minimax_image_plan(const minimax_engine* engine, int64_t width, int64_t height,
                                  minimax_tile_plan* out_plan) {
  return guard([&] {
    const minimax::Model& model = model_of(engine);
    require(out_plan, "out_plan is NULL");
    const minimax::TilePlan plan = model.pictures().plan({width, height});
    minimax_tile_plan out;
    minimax::init_struct(&out);
    out.canvas_width = plan.resolution.width;
    out.canvas_height = plan.resolution.height;
    out.resized_width = plan.resized.width;
    out.resized_height = plan.resized.height;
    out.paste_x = plan.paste_x;
    out.paste_y = plan.paste_y;
    out.tile_columns = plan.tile_columns;
    out.tile_rows = plan.tile_rows;
    out.tile_count = plan.tile_count();
    out.kept_columns = plan.kept_columns;
    out.kept_rows = plan.kept_rows;
    out.token_count = plan.token_count;
    minimax::write_struct(out, out_plan, "out_plan");
  });
}

minimax_status minimax_image_from_file(const char* path, minimax_image** out_image) {
  return guard([&] {
    require(path, "path is NULL");
    require(out_image, "out_image is NULL");
    give(minimax::Image::read(path), out_image);
  });
}

minimax_status minimax_image_from_memory(const void* bytes, size_t size,
                                         minimax_image** out_image) {
  return guard([&] {
    require(bytes || size == 0, "bytes is NULL with size ", size);
    require(out_image, "out_image is NULL");
    give(minimax::Image::decode({static_cast<const std::byte*>(bytes), size}, "picture"),
         out_image);
  });
}

minimax_status minimax_image_from_pixels(const uint8_t* rgb, int64_t width, int64_t height,
                                         size_t stride, minimax_image** out_image) {
  return guard([&] {
    require(rgb, "rgb is NULL");
    require(out_image, "out_image is NULL");
    give(minimax::Image::from_rgb(rgb, width, height, stride), out_image);
  });
}

void minimax_image_free(minimax_image* image) {
  delete image;
}

minimax_status minimax_image_size(const minimax_image* image, int64_t* out_width,
                                  int64_t* out_height) {
  return guard([&] {
    const minimax::PixelSize size = image_of(image).size();
    if (out_width) *out_width = size.width;
    if (out_height) *out_height = size.height;
  });
}

minimax_status minimax_image_id(const minimax_image* image, uint8_t* out_id) {
  return guard([&] {
    require(out_id, "out_id is NULL");
    const minimax::ImageId& id = image_of(image).id();
    std::memcpy(out_id, id.data(), id.size());
  });
}

minimax_status minimax_engine_encode_image(minimax_engine* engine, const minimax_image* image,
                                           minimax_progress_fn progress, void* user) {
  return guard([&] {
    const minimax::Model& model = model_of(engine);
    const auto told = [&](int64_t done, int64_t total) {
      return progress &&
             progress(user, static_cast<uint64_t>(done), static_cast<uint64_t>(total)) != 0;
    };
    model.pictures().encoded(image_of(image), told, nullptr);
  });
}

minimax_status minimax_engine_get_image_cache_stats(const minimax_engine* engine,
                                                    minimax_image_cache_stats* out_stats) {
  return guard([&] {
    const minimax::PictureCacheStats stats = model_of(engine).pictures().stats();
    require(out_stats, "out_stats is NULL");
    minimax_image_cache_stats out;
    minimax::init_struct(&out);
    out.image_count = stats.entry_count;
    out.bytes = stats.bytes;
    out.hits = stats.hits;
    out.misses = stats.misses;
    out.evictions = stats.evictions;
    minimax::write_struct(out, out_stats, "out_stats");
  });
}

minimax_status minimax_engine_clear_image_cache(minimax_engine* engine) {
  return guard([&] { model_of(engine).pictures().clear_cache(); });
}
