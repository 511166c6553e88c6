/* SPDX-License-Identifier: Apache-2.0
 * Section 4 of the header: pictures by themselves, from files, memory and pixels into the cache. */
#include "abi_fixture.h"

enum { ID_SIZE = 32, FILE_ROOM = 1 << 20 };

static minimax_engine *engine, *text_only;

/* 5 x 3 pixels, each another one. */
enum { WIDTH = 5, HEIGHT = 3, ROW = 3 * WIDTH };
static uint8_t pixels[HEIGHT * ROW];

static minimax_image* image_of(const uint8_t* rgb, int64_t width, int64_t height, size_t stride) {
  minimax_image* image = NULL;
  CHECK_OK(minimax_image_from_pixels(rgb, width, height, stride, &image));
  CHECK(image != NULL);
  return image;
}

/* The id of an image, which is freed. */
static void take_id(minimax_image* image, uint8_t* out_id) {
  memset(out_id, 0, ID_SIZE);
  CHECK_OK(minimax_image_id(image, out_id));
  minimax_image_free(image);
}

static void check_same(minimax_image* image, minimax_image* other, int expected) {
  uint8_t id[ID_SIZE], other_id[ID_SIZE];
  take_id(image, id);
  take_id(other, other_id);
  CHECK_EQ(memcmp(id, other_id, ID_SIZE) == 0, expected);
}

static size_t read_bytes(const char* path, unsigned char* bytes) {
  FILE* file = fopen(path, "rb");
  CHECK(file != NULL);
  const size_t size = fread(bytes, 1, FILE_ROOM, file);
  CHECK(size > 0 && size < FILE_ROOM);
  CHECK(fclose(file) == 0);
  return size;
}

static void null_pointers(void) {
  const minimax_status invalid = MINIMAX_INVALID_ARGUMENT;
  minimax_image *none = UNTOUCHED, *image = create_picture(0);
  minimax_tile_plan plan;
  minimax_image_cache_stats stats;
  int64_t width = -7;
  uint8_t id[ID_SIZE];
  minimax_tile_plan_init(&plan, sizeof plan);
  minimax_image_cache_stats_init(&stats, sizeof stats);
  CHECK_FAILS(minimax_image_from_file(NULL, &none), invalid);
  CHECK_SAYS("path");
  CHECK_FAILS(minimax_image_from_file(DEMO_PICTURES "001_scene.png", NULL), invalid);
  CHECK_SAYS("out_image");
  CHECK_FAILS(minimax_image_from_memory(NULL, 9, &none), invalid);
  CHECK_SAYS("bytes is NULL with size 9");
  CHECK_FAILS(minimax_image_from_memory("a", 1, NULL), invalid);
  CHECK_FAILS(minimax_image_from_pixels(NULL, WIDTH, HEIGHT, ROW, &none), invalid);
  CHECK_SAYS("rgb");
  CHECK_FAILS(minimax_image_from_pixels(pixels, WIDTH, HEIGHT, ROW, NULL), invalid);
  CHECK_FAILS(minimax_image_size(NULL, &width, NULL), invalid);
  CHECK_SAYS("image is NULL");
  CHECK_FAILS(minimax_image_id(NULL, id), invalid);
  CHECK_FAILS(minimax_image_id(image, NULL), invalid);
  CHECK_FAILS(minimax_image_plan(NULL, 112, 112, &plan), invalid);
  CHECK_FAILS(minimax_image_plan(engine, 112, 112, NULL), invalid);
  CHECK_FAILS(minimax_engine_encode_image(NULL, image, NULL, NULL), invalid);
  CHECK_FAILS(minimax_engine_encode_image(engine, NULL, NULL, NULL), invalid);
  CHECK_FAILS(minimax_engine_get_image_cache_stats(NULL, &stats), invalid);
  CHECK_FAILS(minimax_engine_get_image_cache_stats(engine, NULL), invalid);
  CHECK_FAILS(minimax_engine_clear_image_cache(NULL), invalid);
  CHECK(none == UNTOUCHED && width == -7 && plan.token_count == 0 && stats.misses == 0);
  minimax_image_free(image);
  minimax_image_free(NULL);
}

static void files_that_are_no_pictures(void) {
  minimax_image* none = UNTOUCHED;
  CHECK_FAILS(minimax_image_from_file("no_such_picture.png", &none), MINIMAX_NOT_FOUND);
  CHECK_SAYS("no_such_picture.png");
  CHECK_FAILS(minimax_image_from_file("", &none), MINIMAX_NOT_FOUND);
  CHECK_FAILS(minimax_image_from_file(DEMO_MODEL "/config.json", &none), MINIMAX_BAD_FILE);
  CHECK_SAYS("config.json");
  make_folder("no_picture");
  check_call(__FILE__, __LINE__, "a folder", minimax_image_from_file("no_picture", &none),
             MINIMAX_IO_ERROR, MINIMAX_BAD_FILE);
  CHECK(none == UNTOUCHED);
}

static void bytes_that_are_no_pictures(void) {
  static unsigned char bytes[FILE_ROOM];
  const size_t size = read_bytes(DEMO_PICTURES "001_scene.png", bytes);
  minimax_image* none = UNTOUCHED;
  CHECK_FAILS(minimax_image_from_memory(NULL, 0, &none), MINIMAX_BAD_FILE);
  CHECK_FAILS(minimax_image_from_memory("GIF89a", 6, &none), MINIMAX_BAD_FILE);
  for (size_t part = 1; part < 8; ++part) {
    CHECK_FAILS(minimax_image_from_memory(bytes, size * part / 8, &none), MINIMAX_BAD_FILE);
  }
  bytes[0] ^= 1;
  CHECK_FAILS(minimax_image_from_memory(bytes, size, &none), MINIMAX_BAD_FILE);
  CHECK(none == UNTOUCHED);
}

static void pixels_are_refused(void) {
  const minimax_status invalid = MINIMAX_INVALID_ARGUMENT, unsupported = MINIMAX_UNSUPPORTED;
  minimax_image* none = UNTOUCHED;
  CHECK_FAILS(minimax_image_from_pixels(pixels, 0, HEIGHT, ROW, &none), invalid);
  CHECK_SAYS("0 x 3");
  CHECK_FAILS(minimax_image_from_pixels(pixels, WIDTH, 0, ROW, &none), invalid);
  CHECK_FAILS(minimax_image_from_pixels(pixels, -WIDTH, HEIGHT, ROW, &none), invalid);
  CHECK_SAYS("-5 x 3");
  CHECK_FAILS(minimax_image_from_pixels(pixels, WIDTH, INT64_MIN, ROW, &none), invalid);
  CHECK_FAILS(minimax_image_from_pixels(pixels, WIDTH, HEIGHT, ROW - 1, &none), invalid);
  CHECK_SAYS("stride is 14 bytes, expected 15");
  CHECK_FAILS(minimax_image_from_pixels(pixels, WIDTH, HEIGHT, 0, &none), invalid);
  CHECK_FAILS(minimax_image_from_pixels(pixels, 65537, 1, 3 * 65537, &none), unsupported);
  CHECK_SAYS("65537 x 1");
  CHECK_FAILS(minimax_image_from_pixels(pixels, 1, INT64_MAX, 3, &none), unsupported);
  CHECK_FAILS(minimax_image_from_pixels(pixels, 20000, 20000, 60000, &none), unsupported);
  CHECK(none == UNTOUCHED);
}

static void a_file_is_what_its_bytes_are(void) {
  static unsigned char bytes[FILE_ROOM];
  const size_t size = read_bytes(DEMO_PICTURES "003_scene.png", bytes);
  minimax_image *from_file = NULL, *from_memory = NULL, *other = NULL;
  int64_t width = 0, height = 0, only_height = 0;
  CHECK_OK(minimax_image_from_file(DEMO_PICTURES "003_scene.png", &from_file));
  CHECK_OK(minimax_image_from_memory(bytes, size, &from_memory));
  CHECK_OK(minimax_image_from_file(DEMO_PICTURES "021_scene.png", &other));
  memset(bytes, 0, size); /* the image keeps nothing of them */
  CHECK_OK(minimax_image_size(from_memory, &width, &height));
  CHECK_OK(minimax_image_size(from_file, NULL, &only_height));
  CHECK_OK(minimax_image_size(from_file, NULL, NULL));
  CHECK(width == 200 && height == 120 && only_height == 120);
  check_same(from_file, other, 0);
  CHECK_OK(minimax_image_from_file(DEMO_PICTURES "003_scene.png", &from_file));
  check_same(from_file, from_memory, 1);
}

/* The last row ends where its pixels do; what lies between the rows does not count. */
static void a_stride_leaves_gaps(void) {
  enum { STRIDE = ROW + 6 };
  uint8_t* wide = malloc((HEIGHT - 1) * STRIDE + ROW);
  CHECK(wide != NULL);
  memset(wide, 0xA5, (HEIGHT - 1) * STRIDE + ROW);
  for (size_t y = 0; y < HEIGHT; ++y) memcpy(wide + y * STRIDE, pixels + y * ROW, ROW);
  minimax_image* image = image_of(wide, WIDTH, HEIGHT, STRIDE);
  free(wide);
  check_same(image, image_of(pixels, WIDTH, HEIGHT, ROW), 1);
  check_same(image_of(pixels, WIDTH, 1, (size_t)-1), image_of(pixels, WIDTH, 1, ROW), 1);
}

static void other_pixels_are_another_picture(void) {
  uint8_t changed[sizeof pixels];
  memcpy(changed, pixels, sizeof pixels);
  changed[sizeof pixels - 1] ^= 1;
  check_same(image_of(changed, WIDTH, HEIGHT, ROW), image_of(pixels, WIDTH, HEIGHT, ROW), 0);
  check_same(image_of(pixels, HEIGHT, WIDTH, 3 * HEIGHT), image_of(pixels, WIDTH, HEIGHT, ROW), 0);
  check_same(image_of(pixels, WIDTH, 2, ROW), image_of(pixels, WIDTH, HEIGHT, ROW), 0);
}

/* The simplest of the formats, written by hand: blue first, the lowest row first, rows of 4 bytes. */
static void a_bitmap_is_its_pixels(void) {
  enum { HEADER = 54, PADDED = 16, SIZE = HEADER + HEIGHT * PADDED };
  unsigned char bmp[SIZE] = {'B', 'M', SIZE};
  bmp[10] = HEADER, bmp[14] = 40, bmp[18] = WIDTH, bmp[22] = HEIGHT, bmp[26] = 1, bmp[28] = 24;
  for (size_t i = 0; i < sizeof pixels; ++i) {
    const size_t y = i / ROW, x = i % ROW / 3, channel = i % 3;
    bmp[HEADER + (HEIGHT - 1 - y) * PADDED + x * 3 + 2 - channel] = pixels[i];
  }
  minimax_image* image = NULL;
  CHECK_OK(minimax_image_from_memory(bmp, SIZE, &image));
  check_same(image, image_of(pixels, WIDTH, HEIGHT, ROW), 1);
}

static void plans_count_tokens(void) {
  static const int64_t known[][3] = {{224, 112, 200}, {112, 224, 208}, {200, 120, 234},
                                     {300, 100, 264}, {112, 112, 136}, {104, 78, 118}};
  for (size_t i = 0; i < sizeof known / sizeof *known; ++i) {
    minimax_tile_plan plan;
    minimax_tile_plan_init(&plan, sizeof plan);
    CHECK_OK(minimax_image_plan(engine, known[i][0], known[i][1], &plan));
    CHECK_EQ(plan.token_count, known[i][2]);
    CHECK_EQ(plan.token_count, 8 * 8 + (plan.kept_columns + 1) * plan.kept_rows);
    CHECK_EQ(plan.tile_count, plan.tile_columns * plan.tile_rows + 1);
    CHECK_EQ(plan.canvas_width, plan.tile_columns * 112);
    CHECK_EQ(plan.canvas_height, plan.tile_rows * 112);
    CHECK_EQ(plan.paste_x, (plan.canvas_width - plan.resized_width) / 2);
    CHECK_EQ(plan.paste_y, (plan.canvas_height - plan.resized_height) / 2);
  }
}

static void plans_are_refused(void) {
  static const int64_t sizes[][2] = {{0, 100},       {100, 0},         {-1, 100},
                                     {1 << 21, 100}, {100, INT64_MAX}, {INT64_MIN, INT64_MIN},
                                     {10000, 10},    {10, 10000},      {1 << 20, 1}};
  minimax_tile_plan plan;
  minimax_tile_plan_init(&plan, sizeof plan);
  CHECK_OK(minimax_image_plan(engine, 1 << 20, 1 << 20, &plan));
  minimax_tile_plan_init(&plan, sizeof plan);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) {
    CHECK_FAILS(minimax_image_plan(engine, sizes[i][0], sizes[i][1], &plan),
                MINIMAX_INVALID_ARGUMENT);
    CHECK_EQ(plan.token_count, 0);
  }
  CHECK_FAILS(minimax_image_plan(engine, 1 << 21, 100, &plan), MINIMAX_INVALID_ARGUMENT);
  CHECK_SAYS("2097152 x 100");
  CHECK_FAILS(minimax_image_plan(engine, 10000, 10, &plan), MINIMAX_INVALID_ARGUMENT);
  CHECK_SAYS("10000 x 10 pixels is too narrow");
}

static void models_say_whether_they_see(void) {
  minimax_engine_info info;
  minimax_engine_info_init(&info, sizeof info);
  CHECK_OK(minimax_engine_get_info(engine, &info));
  CHECK(info.has_vision == 1 && info.image_token >= 0);
  CHECK_OK(minimax_engine_get_info(text_only, &info));
  CHECK(info.has_vision == 0 && info.image_token == -1);
}

static void models_of_text_take_no_pictures(void) {
  minimax_image* image = create_picture(0);
  minimax_tile_plan plan;
  minimax_tile_plan_init(&plan, sizeof plan);
  CHECK_FAILS(minimax_image_plan(text_only, 112, 112, &plan), MINIMAX_UNSUPPORTED);
  CHECK_SAYS("takes no pictures");
  CHECK_EQ(plan.token_count, 0);
  CHECK_FAILS(minimax_engine_encode_image(text_only, image, NULL, NULL), MINIMAX_UNSUPPORTED);
  CHECK_SAYS("takes no pictures");
  CHECK_OK(minimax_engine_clear_image_cache(text_only));
  CHECK_EQ(cache_of(text_only).image_count, 0);
  minimax_image_free(image);
}

/* What a progress callback is told, and when it gives up. */
typedef struct watcher {
  uint64_t calls, done, total, patience;
} watcher;

static int32_t watch(void* user, uint64_t done, uint64_t total) {
  watcher* w = user;
  CHECK(done > w->done && done <= total);
  w->calls += 1;
  w->done = done;
  w->total = total;
  return w->calls >= w->patience ? 1 : 0;
}

static void progress_counts_tiles(void) {
  minimax_image* image = NULL;
  minimax_tile_plan plan;
  watcher w = {0, 0, 0, 1000}, again = w;
  minimax_tile_plan_init(&plan, sizeof plan);
  CHECK_OK(minimax_engine_clear_image_cache(engine));
  CHECK_OK(minimax_image_from_file(DEMO_PICTURES "001_scene.png", &image));
  CHECK_OK(minimax_image_plan(engine, 224, 224, &plan));
  CHECK_OK(minimax_engine_encode_image(engine, image, watch, &w));
  CHECK(w.calls > 0 && w.done == w.total);
  CHECK_EQ(w.total, plan.tile_count);
  CHECK_OK(minimax_engine_encode_image(engine, image, watch, &again));
  CHECK_EQ(again.calls, 0); /* found in the cache */
  minimax_image_free(image);
}

static void who_gives_up_leaves_nothing(void) {
  minimax_image* image = NULL;
  watcher w = {0, 0, 0, 1};
  CHECK_OK(minimax_engine_clear_image_cache(engine));
  CHECK_OK(minimax_image_from_file(DEMO_PICTURES "001_scene.png", &image));
  CHECK_FAILS(minimax_engine_encode_image(engine, image, watch, &w), MINIMAX_CANCELLED);
  CHECK_EQ(w.calls, 1);
  CHECK(cache_of(engine).image_count == 0 && cache_of(engine).bytes == 0);
  CHECK_OK(minimax_engine_encode_image(engine, image, NULL, NULL));
  CHECK_EQ(cache_of(engine).image_count, 1);
  minimax_image_free(image);
}

static void encode(minimax_engine* on, uint8_t shade) {
  minimax_image* image = create_picture(shade);
  CHECK_OK(minimax_engine_encode_image(on, image, NULL, NULL));
  minimax_image_free(image);
}

static void equal_pixels_are_encoded_once(void) {
  CHECK_OK(minimax_engine_clear_image_cache(engine));
  const minimax_image_cache_stats before = cache_of(engine);
  encode(engine, 1);
  encode(engine, 2);
  encode(engine, 1);
  const minimax_image_cache_stats after = cache_of(engine);
  CHECK_EQ(after.hits - before.hits, 1);
  CHECK_EQ(after.misses - before.misses, 2);
  CHECK_EQ(after.evictions, before.evictions);
  CHECK_EQ(after.image_count, 2);
  CHECK_EQ(after.bytes, 2 * PICTURE_BYTES);
}

static void clearing_keeps_the_counts(void) {
  encode(engine, 1);
  const minimax_image_cache_stats before = cache_of(engine);
  CHECK_OK(minimax_engine_clear_image_cache(engine));
  CHECK_OK(minimax_engine_clear_image_cache(engine));
  const minimax_image_cache_stats after = cache_of(engine);
  CHECK(before.image_count > 0 && after.image_count == 0 && after.bytes == 0);
  CHECK(after.hits == before.hits && after.misses == before.misses);
  CHECK_EQ(after.evictions, before.evictions);
}

static minimax_engine* open_with_cache(int64_t bytes) {
  minimax_engine_options options;
  minimax_engine_options_init(&options, sizeof options);
  options.image_cache_bytes_limit = bytes;
  return open_demo_with(&options);
}

static void the_longest_unused_goes_first(void) {
  minimax_engine* small = open_with_cache(2 * PICTURE_BYTES + 1000);
  encode(small, 1);
  encode(small, 2);
  encode(small, 1); /* used again */
  encode(small, 3); /* in place of 2 */
  CHECK_EQ(cache_of(small).evictions, 1);
  CHECK_EQ(cache_of(small).image_count, 2);
  CHECK_EQ(cache_of(small).bytes, 2 * PICTURE_BYTES);
  CHECK_EQ(cache_of(small).hits, 1);
  encode(small, 1);
  encode(small, 3);
  CHECK_EQ(cache_of(small).hits, 3);
  encode(small, 2);
  CHECK_EQ(cache_of(small).evictions, 2);
  minimax_engine_free(small);
}

static void a_picture_larger_than_the_cache_is_not_kept(void) {
  minimax_engine* tiny = open_with_cache(1);
  encode(tiny, 1);
  encode(tiny, 1);
  CHECK(cache_of(tiny).image_count == 0 && cache_of(tiny).bytes == 0);
  CHECK(cache_of(tiny).hits == 0 && cache_of(tiny).misses == 2 && cache_of(tiny).evictions == 0);
  minimax_engine_free(tiny);
}

static void random_weights_see_too(void) {
  minimax_engine* synthetic = open_synthetic();
  encode(synthetic, 1);
  CHECK_EQ(cache_of(synthetic).bytes, PICTURE_BYTES);
  minimax_engine_free(synthetic);
}

int main(void) {
  for (size_t i = 0; i < sizeof pixels; ++i) pixels[i] = (uint8_t)(5 * i + 1);
  engine = open_demo();
  text_only = open_text_only();
  null_pointers();
  files_that_are_no_pictures();
  bytes_that_are_no_pictures();
  pixels_are_refused();
  a_file_is_what_its_bytes_are();
  a_stride_leaves_gaps();
  other_pixels_are_another_picture();
  a_bitmap_is_its_pixels();
  plans_count_tokens();
  plans_are_refused();
  models_say_whether_they_see();
  models_of_text_take_no_pictures();
  progress_counts_tiles();
  who_gives_up_leaves_nothing();
  equal_pixels_are_encoded_once();
  clearing_keeps_the_counts();
  the_longest_unused_goes_first();
  a_picture_larger_than_the_cache_is_not_kept();
  random_weights_see_too();
  minimax_engine_free(text_only);
  minimax_engine_free(engine);
  return 0;
}
