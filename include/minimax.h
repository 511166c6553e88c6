/* SPDX-License-Identifier: Apache-2.0
 *
 * libminimax: MiniMax-01 models (Text-01, VL-01, M1) inside your program.
 *
 * Two nouns carry the library. An ENGINE is a loaded model: weights and tokenizer, immutable, shared
 * by any number of threads. A SESSION is one timeline of tokens on an engine: what has been said so
 * far, and the logits after it. Around them stand a PROMPT (messages and text on their way to become
 * tokens), a SAMPLER (logits to a token) and a TEXT STREAM (tokens to whole characters). A BATCH
 * computes many sessions together.
 *
 *     minimax_engine *engine;  minimax_session *session;  minimax_prompt *prompt;
 *     if (minimax_engine_open("models/demo", NULL, &engine)) { puts(minimax_last_error()); ... }
 *     minimax_session_create(engine, NULL, &session);
 *     minimax_prompt_create(engine, &prompt);
 *     minimax_prompt_add_message(prompt, MINIMAX_ROLE_USER, NULL, "Hello!", 6);
 *     minimax_prompt_begin_reply(prompt);
 *     minimax_session_feed_prompt(session, prompt, NULL);
 *     minimax_session_generate(session, NULL, &options, &result);     // options.on_text streams
 *
 * RULES, which hold for every function unless its comment says otherwise
 *
 * Status   Whatever can fail returns a minimax_status: MINIMAX_OK (0) or why not. The calling thread's
 *          minimax_last_error() then holds one English sentence with the names and numbers at fault.
 * Failure  After an error nothing has changed: output parameters are untouched, nothing is to be freed.
 * Structs  A struct that crosses the boundary begins with struct_size. Call its _init function with the
 *          struct's sizeof, then set what you need: zero always means the default. A struct of an
 *          older, smaller version is read and filled as far as it goes; a larger one is refused if its
 *          unknown tail is not zero. _init returns the size that the library itself knows, and only
 *          that when it is given NULL.
 * Handles  Whatever was created is freed by its own _free, which accepts NULL. An engine may be freed
 *          while sessions, prompts, samplers and streams of it live: it ends with the last of them.
 * Threads  const minimax_engine *: any number of threads at once. Every other handle: one thread at a
 *          time, except where a function says "any thread".
 * Text     UTF-8 with a length in bytes; no terminating zero is needed and none is written. A length
 *          of MINIMAX_TEXT_END says that the text ends at its first zero byte.
 * Buffers  (buffer, capacity, out_count): fills the buffer and sets the count. When the capacity is too
 *          small the count needed is set, nothing else changes, and MINIMAX_BUFFER_TOO_SMALL is
 *          returned; so a NULL buffer with capacity 0 asks for the size.
 * Refusal  An option that this build, device or model cannot honour is MINIMAX_UNSUPPORTED; it is never
 *          silently ignored.
 * Silence  The library never prints, exits, raises a signal, or reads environment variables.
 *
 * Callbacks run on the thread that made the call, during that call only, and must not call back into
 * the same handle (minimax_session_cancel excepted).
 */
#ifndef MINIMAX_H
#define MINIMAX_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(MINIMAX_STATIC) || !(defined(__GNUC__) || defined(__clang__))
#define MINIMAX_API
#else
#define MINIMAX_API __attribute__((visibility("default")))
#endif

/* ---- 1 library ---------------------------------------------------------------------------------- */

#define MINIMAX_VERSION_MAJOR 0
#define MINIMAX_VERSION_MINOR 1
#define MINIMAX_VERSION_PATCH 0
#define MINIMAX_VERSION_NUMBER \
  (MINIMAX_VERSION_MAJOR * 10000 + MINIMAX_VERSION_MINOR * 100 + MINIMAX_VERSION_PATCH)

#define MINIMAX_TEXT_END ((size_t)-1)

typedef int32_t minimax_status;
enum {
  MINIMAX_OK = 0,
  MINIMAX_INVALID_ARGUMENT = 1, /* the caller's mistake: a NULL, a value out of range */
  MINIMAX_BUFFER_TOO_SMALL = 2, /* the count needed has been set */
  MINIMAX_UNSUPPORTED = 3,      /* this build, device or model cannot do that */
  MINIMAX_NOT_AVAILABLE = 4,    /* not now or not here: no tokenizer, no device, no logits yet */
  MINIMAX_NOT_FOUND = 5,        /* a file, device or name that does not exist */
  MINIMAX_IO_ERROR = 6,         /* the system could not read or write a file */
  MINIMAX_BAD_FILE = 7,         /* a file that is damaged or not what it should be */
  MINIMAX_WRONG_MODEL = 8,      /* a file or handle that belongs to another model */
  MINIMAX_OUT_OF_MEMORY = 9,    /* the sentence says of what and how much */
  MINIMAX_CONTEXT_FULL = 10,    /* the session has no room for so many tokens */
  MINIMAX_CANCELLED = 11,       /* minimax_session_cancel, or a callback that said stop */
  MINIMAX_DEVICE_ERROR = 12,    /* the device failed; sessions of that step are poisoned */
  MINIMAX_POISONED = 13,        /* an earlier error broke this session; only stats and free work */
  MINIMAX_INTERNAL_ERROR = 14   /* our mistake: please report the sentence */
};

/* The version of the library that runs: compare with MINIMAX_VERSION_NUMBER. Any thread. */
MINIMAX_API int32_t minimax_version_number(void);
/* "0.1.0". Lives for ever. */
MINIMAX_API const char *minimax_version_string(void);
/* Identifies the sources the library was built from (a commit, or "unknown"). Lives for ever. */
MINIMAX_API const char *minimax_source_id(void);
/* 1 when header and library are of one version, so that every declaration below is there, else 0. */
#define MINIMAX_VERSION_MATCHES() (minimax_version_number() == MINIMAX_VERSION_NUMBER)

/* 1 when this build on this machine has the feature, 0 when not or when the name is unknown or NULL:
 * "cpu", "cuda", "nccl", "vision", "sentencepiece", "avx2", "avx512", "avx512_bf16". */
MINIMAX_API int32_t minimax_has_feature(const char *name);

/* "MINIMAX_BAD_FILE"; "unknown status" for numbers that are none. Lives for ever. */
MINIMAX_API const char *minimax_status_name(minimax_status status);

/* The sentence of the calling thread's last failed call, "" after a call that succeeded. Valid until
 * this thread's next minimax_ call other than this one. */
MINIMAX_API const char *minimax_last_error(void);

enum { MINIMAX_LOG_ERROR = 0, MINIMAX_LOG_WARNING = 1, MINIMAX_LOG_INFO = 2, MINIMAX_LOG_DEBUG = 3 };

/* Receives a message (not zero-terminated) at one of the levels above. May be called from any thread
 * of the library, one message at a time; must not call any minimax_ function. */
typedef void (*minimax_log_fn)(void *user, int32_t level, const char *message, size_t size);

/* Sends messages of `level` and below to `log`; NULL for silence, which is the default. Any thread;
 * when it returns the previous callback is no longer running. */
MINIMAX_API minimax_status minimax_set_log(minimax_log_fn log, void *user, int32_t level);

typedef struct minimax_device_info {
  size_t struct_size;
  const char *name;          /* what engine options take: "cpu", "cuda:0"; lives for ever */
  const char *description;   /* the processor's own name; lives for ever */
  uint64_t memory_bytes;     /* all of it */
  uint64_t available_bytes;  /* free now */
  int32_t core_count;        /* processors this program may use; multiprocessors of a GPU */
} minimax_device_info;

MINIMAX_API size_t minimax_device_info_init(minimax_device_info *info, size_t struct_size);
/* Number of devices that engines can be opened on; "cpu" is always device 0. Any thread. */
MINIMAX_API minimax_status minimax_device_count(size_t *out_count);
/* MINIMAX_NOT_FOUND when index is not below the count. Any thread. */
MINIMAX_API minimax_status minimax_get_device_info(size_t index, minimax_device_info *out_info);

/* ---- 2 plan and engine -------------------------------------------------------------------------- */

/* Types of numbers. AUTO is chosen by the library as each option says. */
enum { MINIMAX_TYPE_AUTO = 0, MINIMAX_TYPE_F32 = 1, MINIMAX_TYPE_BF16 = 2, MINIMAX_TYPE_F16 = 3 };

/* Called now and then while an engine is opened, from the calling thread. done and total in bytes.
 * Return 0 to go on, anything else to give up: the open then returns MINIMAX_CANCELLED. */
typedef int32_t (*minimax_progress_fn)(void *user, uint64_t done, uint64_t total);

/* Where weights come from. */
enum {
  MINIMAX_WEIGHTS_FROM_FILES = 0,
  MINIMAX_WEIGHTS_SYNTHETIC = 1 /* random numbers of the right shapes, made in memory: for benchmarks.
                                   Only config.json is read; there is no tokenizer. */
};

typedef struct minimax_engine_options {
  size_t struct_size;
  const char *const *devices;  /* names; NULL: one device, "cpu". "cuda:0" is the first GPU. For
                                  comparisons "cpu:avx512", "cpu:avx2", "cpu:portable" choose one kind
                                  of vector kernels, and "cpu:plain" computes with plain loops on one
                                  thread */
  size_t device_count;         /* length of devices; 0 with NULL */
  int32_t thread_count;        /* CPU threads, the caller's included; 0: one a core, at most 1024 */
  int32_t weight_type;         /* AUTO: as stored (f16 is widened to f32). Others: UNSUPPORTED so far */
  int32_t compute_type;        /* CPU, AUTO or F32: activations f32. BF16: inputs of matrix products
                                  over several tokens are rounded to bf16, sums stay f32; faster on
                                  CPUs with AVX512_BF16, the same as F32 elsewhere. GPU: AUTO or BF16,
                                  activations and weights bf16, sums and states f32; F32 is
                                  UNSUPPORTED */
  int32_t kv_type;             /* stored keys and values of softmax layers. AUTO: BF16 on a GPU or when the
                                  weights are 16-bit, else F32 */
  int32_t state_type;          /* AUTO or F32, nothing else */
  int32_t weight_source;       /* MINIMAX_WEIGHTS_... */
  uint64_t synthetic_seed;     /* of MINIMAX_WEIGHTS_SYNTHETIC */
  int64_t context_limit;       /* tokens a session may hold; 0: as many as memory has room for */
  int64_t kv_bytes_limit;      /* keys and values of all sessions together; 0: no limit. A feed that
                                  would pass it is MINIMAX_CONTEXT_FULL */
  int64_t chunk_tokens;        /* longest piece of a prompt computed at once, 1 to 8192; 0: 512, on a
                                  GPU 4096 */
  minimax_progress_fn progress; /* may be NULL */
  void *progress_user;
  const void *host_allocator;  /* must be NULL: kept for a later version */
  const void *device_stream;   /* must be NULL: kept for a later version */
  int64_t image_cache_bytes_limit; /* encoded pictures that are kept for reuse; 0: 256 MiB */
  int64_t prefix_cache_bytes_limit; /* snapshots that are kept for reuse (section 10); 0: an eighth of the
                                       memory that is free when the weights are loaded; -1: none are kept */
} minimax_engine_options;

typedef struct minimax_memory_plan {
  size_t struct_size;
  uint64_t parameter_count;       /* of the parts that are loaded */
  uint64_t tensor_count;          /* tensors that the loader asks the checkpoint for */
  uint64_t weight_bytes;          /* as kept by the engine (file maps included) */
  uint64_t workspace_bytes;       /* scratch of the engine, whatever the number of sessions */
  uint64_t bytes_per_session;     /* lightning state, its log and bookkeeping of an empty session */
  uint64_t lightning_state_bytes; /* of that, the states: constant in the length of the session */
  uint64_t lightning_log_bytes;   /* of that, keys and values not yet folded into the states */
  uint64_t bytes_per_token;       /* keys and values of the softmax layers, a token */
  uint64_t kv_page_tokens;        /* these are taken in pages of so many tokens */
  uint64_t available_bytes;       /* free on the device now */
  uint64_t tokens_that_fit;       /* one session's tokens, beside weights and workspace */
  uint64_t sessions_that_fit;     /* sessions of context_limit tokens each (one page when it is 0) */
} minimax_memory_plan;

typedef struct minimax_engine_info {
  size_t struct_size;
  const char *model_name;      /* "MiniMax-Text-01", "MiniMax-VL-01", "MiniMax-M1"; lives with the engine */
  const char *device;          /* "cpu"; lives with the engine */
  uint64_t parameter_count;
  uint64_t weight_bytes;
  int64_t declared_context;    /* max_position_embeddings of config.json; not a limit of the engine */
  int32_t layer_count;
  int32_t lightning_layer_count;
  int32_t hidden_size;
  int32_t vocabulary_size;
  int32_t expert_count;
  int32_t thread_count;
  int32_t compute_type;        /* MINIMAX_TYPE_F32 or _BF16 */
  int32_t kv_type;
  int32_t has_tokenizer;       /* 1 or 0 */
  int32_t has_vision;          /* the checkpoint holds a vision tower */
  int32_t stop_token;          /* end of an answer, or -1 when there is none */
  int32_t image_token;         /* stands for a row of a picture, or -1 */
} minimax_engine_info;

typedef struct minimax_engine_memory {
  size_t struct_size;
  uint64_t weight_bytes;       /* mapped and copied weights */
  uint64_t workspace_bytes;
  uint64_t session_bytes;      /* of the sessions alive now, without keys and values */
  uint64_t kv_bytes;           /* pages of keys and values in use now, by sessions and snapshots */
  uint64_t session_count;
  uint64_t prefix_cache_bytes; /* snapshots of the prefix cache, without keys and values: states and logs
                                  (also while a session shares them), logits, texts */
} minimax_engine_memory;

MINIMAX_API size_t minimax_engine_options_init(minimax_engine_options *options, size_t struct_size);
MINIMAX_API size_t minimax_memory_plan_init(minimax_memory_plan *plan, size_t struct_size);
MINIMAX_API size_t minimax_engine_info_init(minimax_engine_info *info, size_t struct_size);
MINIMAX_API size_t minimax_engine_memory_init(minimax_engine_memory *memory, size_t struct_size);

/* What a model would need, from its config.json and the headers or index of its weight files alone:
 * no weight is read, weight files may be absent. The tokenizer is not counted: several times the
 * size of its file. `path` and `options` as for minimax_engine_open.
 * When there is an index, every name the loader would ask for is looked up in it. Any thread.
 *   MINIMAX_NOT_FOUND, MINIMAX_IO_ERROR, MINIMAX_BAD_FILE, MINIMAX_UNSUPPORTED, MINIMAX_INVALID_ARGUMENT */
MINIMAX_API minimax_status minimax_plan(const char *path, const minimax_engine_options *options,
                                        minimax_memory_plan *out_plan);

typedef struct minimax_engine minimax_engine;

/* Loads a model.
 *   path     a folder as on Hugging Face: config.json, model*.safetensors (one, or shards with
 *            model.safetensors.index.json), and a tokenizer (tokenizer.json, or vocab.json and
 *            merges.txt, or *.model); a folder without tokenizer gives an engine without one. With
 *            MINIMAX_WEIGHTS_SYNTHETIC also the path of a config.json itself.
 *   options  NULL: defaults
 * Weights are mapped, not copied, where the device can read them in place: the files must stay as they
 * are while the engine lives. Any thread.
 *   MINIMAX_NOT_FOUND, MINIMAX_IO_ERROR, MINIMAX_BAD_FILE  a file, named with what was expected and found
 *   MINIMAX_UNSUPPORTED     an option or a kind of model
 *   MINIMAX_NOT_AVAILABLE   the device is not there
 *   MINIMAX_OUT_OF_MEMORY, MINIMAX_CANCELLED */
MINIMAX_API minimax_status minimax_engine_open(const char *path, const minimax_engine_options *options,
                                               minimax_engine **out_engine);
MINIMAX_API void minimax_engine_free(minimax_engine *engine);

MINIMAX_API minimax_status minimax_engine_get_info(const minimax_engine *engine,
                                                   minimax_engine_info *out_info);
/* The model's config.json as it was read. */
MINIMAX_API minimax_status minimax_engine_config_json(const minimax_engine *engine, char *buffer,
                                                      size_t capacity, size_t *out_size);
/* Memory in use now, counted by the library. */
MINIMAX_API minimax_status minimax_engine_get_memory(const minimax_engine *engine,
                                                     minimax_engine_memory *out_memory);

/* ---- 3 tokenizer: MINIMAX_NOT_AVAILABLE when the engine has none -------------------------------- */

enum {
  MINIMAX_TOKENIZE_DEFAULT = 0,
  MINIMAX_TOKENIZE_PLAIN = 1, /* "<image>" and its like are ordinary text: for text from strangers */
  MINIMAX_DETOKENIZE_DEFAULT = 0,
  MINIMAX_DETOKENIZE_SPECIAL = 1 /* write special tokens too; by default they are left out */
};

/* Text to token ids. Nothing is added at either end. Bytes that are not UTF-8 are kept: they become
 * byte tokens and come back as they were. */
MINIMAX_API minimax_status minimax_engine_tokenize(const minimax_engine *engine, const char *text,
                                                   size_t size, int32_t flags, int32_t *tokens,
                                                   size_t capacity, size_t *out_count);
/* Token ids to bytes. May begin or end within a character: see text streams for whole ones.
 *   MINIMAX_INVALID_ARGUMENT  an id is not below the vocabulary size */
MINIMAX_API minimax_status minimax_engine_detokenize(const minimax_engine *engine, const int32_t *tokens,
                                                     size_t token_count, int32_t flags, char *text,
                                                     size_t capacity, size_t *out_size);

enum {
  MINIMAX_TOKEN_TEXT = 0,
  MINIMAX_TOKEN_SPECIAL = 1,  /* markers, left out when text is written */
  MINIMAX_TOKEN_UNDEFINED = 2 /* a row of the vocabulary without meaning */
};

typedef struct minimax_token_info {
  size_t struct_size;
  int32_t kind;           /* MINIMAX_TOKEN_... */
  int32_t is_stop;        /* ends an answer */
  int32_t is_suppressed;  /* never sampled: undefined, or its embedding is all zero */
  char bytes[256];        /* what it stands for, cut at 256 */
  size_t size;            /* bytes used */
} minimax_token_info;

MINIMAX_API size_t minimax_token_info_init(minimax_token_info *info, size_t struct_size);
MINIMAX_API minimax_status minimax_engine_token_info(const minimax_engine *engine, int32_t token,
                                                     minimax_token_info *out_info);

/* Turns tokens into text piece by piece: never half a character, and never a part of what may become
 * one of the stop strings. */
typedef struct minimax_text_stream minimax_text_stream;

/* stop_strings: zero-terminated UTF-8, at most 64 and 1 MiB together, none empty; NULL with stop_count 0
 * for none. */
MINIMAX_API minimax_status minimax_text_stream_create(const minimax_engine *engine,
                                                      const char *const *stop_strings, size_t stop_count,
                                                      minimax_text_stream **out_stream);
MINIMAX_API void minimax_text_stream_free(minimax_text_stream *stream);
/* Adds a token; *out_text (not zero-terminated) is what can be shown now, perhaps nothing, valid until
 * the next call on the stream. *out_stopped is 1 once a stop string has appeared: the text ends before
 * it, and further tokens give nothing. Bytes that can never become a character are written as U+FFFD. */
MINIMAX_API minimax_status minimax_text_stream_push(minimax_text_stream *stream, int32_t token,
                                                    const char **out_text, size_t *out_size,
                                                    int32_t *out_stopped);
/* Gives what was held back, and makes the stream as new. */
MINIMAX_API minimax_status minimax_text_stream_flush(minimax_text_stream *stream, const char **out_text,
                                                     size_t *out_size);

/* ---- 4 pictures and prompts --------------------------------------------------------------------- */

/* A picture: 8-bit RGB, upright. Immutable; any thread. */
typedef struct minimax_image minimax_image;

/* What a picture becomes: resized into one of the model's canvases, which is cut into tiles; a thumbnail
 * tile goes in front. All counted without a pixel. */
typedef struct minimax_tile_plan {
  size_t struct_size;
  int64_t canvas_width, canvas_height;   /* pixels */
  int64_t resized_width, resized_height; /* of the picture on the canvas, black around it */
  int64_t paste_x, paste_y;              /* its upper left corner there */
  int64_t tile_columns, tile_rows;
  int64_t tile_count;                    /* with the thumbnail */
  int64_t kept_columns, kept_rows;       /* patches of the canvas that become tokens */
  int64_t token_count;                   /* of the whole picture: the thumbnail's, then each kept row's
                                            and one more */
} minimax_tile_plan;

typedef struct minimax_image_cache_stats {
  size_t struct_size;
  uint64_t image_count; /* encoded pictures that are kept */
  uint64_t bytes;       /* of the device's memory */
  uint64_t hits, misses, evictions;
} minimax_image_cache_stats;

MINIMAX_API size_t minimax_tile_plan_init(minimax_tile_plan *plan, size_t struct_size);
MINIMAX_API size_t minimax_image_cache_stats_init(minimax_image_cache_stats *stats, size_t struct_size);

/* Counts what a picture of so many pixels becomes, before it is read.
 *   MINIMAX_UNSUPPORTED       the model takes no pictures
 *   MINIMAX_INVALID_ARGUMENT  no pixels, more than 2^20 a side, or so narrow that nothing would remain */
MINIMAX_API minimax_status minimax_image_plan(const minimax_engine *engine, int64_t width, int64_t height,
                                              minimax_tile_plan *out_plan);

/* Decodes PNG, JPEG, WebP or BMP; EXIF orientation is applied, grey, palettes, 16 bits and alpha become
 * RGB. Files of up to 256 MiB, pictures of up to 100 Mi pixels and 65,536 a side, which is looked up
 * before anything is decoded.
 *   MINIMAX_NOT_FOUND, MINIMAX_IO_ERROR
 *   MINIMAX_BAD_FILE       damaged, or none of these formats
 *   MINIMAX_UNSUPPORTED    beyond the limits
 *   MINIMAX_OUT_OF_MEMORY */
MINIMAX_API minimax_status minimax_image_from_file(const char *path, minimax_image **out_image);
MINIMAX_API minimax_status minimax_image_from_memory(const void *bytes, size_t size,
                                                     minimax_image **out_image);
/* Copies pixels, three bytes each, rows stride bytes apart (3 * width or more).
 *   MINIMAX_INVALID_ARGUMENT  no pixels, or a stride too small
 *   MINIMAX_UNSUPPORTED       beyond the limits
 *   MINIMAX_OUT_OF_MEMORY */
MINIMAX_API minimax_status minimax_image_from_pixels(const uint8_t *rgb, int64_t width, int64_t height,
                                                     size_t stride, minimax_image **out_image);
MINIMAX_API void minimax_image_free(minimax_image *image);
/* Either may be NULL. */
MINIMAX_API minimax_status minimax_image_size(const minimax_image *image, int64_t *out_width,
                                              int64_t *out_height);
/* 32 bytes that name the pixels: equal pictures have equal ids. Not meant to withstand people who look
 * for collisions. */
MINIMAX_API minimax_status minimax_image_id(const minimax_image *image, uint8_t *out_id);

/* Encodes a picture ahead of its use, into the cache. The first picture of an engine loads the vision
 * tower. progress may be NULL; it counts tiles, and not 0 stops: MINIMAX_CANCELLED. It must not feed
 * sessions of the engine, which waits for it. Any thread; one picture is encoded at a time.
 *   MINIMAX_UNSUPPORTED  the model takes no pictures */
MINIMAX_API minimax_status minimax_engine_encode_image(minimax_engine *engine, const minimax_image *image,
                                                       minimax_progress_fn progress, void *user);
/* Any thread. A cleared cache still counts its hits and misses; pictures in use live on until they are fed. */
MINIMAX_API minimax_status minimax_engine_get_image_cache_stats(const minimax_engine *engine,
                                                                minimax_image_cache_stats *out_stats);
MINIMAX_API minimax_status minimax_engine_clear_image_cache(minimax_engine *engine);

enum {
  MINIMAX_ROLE_SYSTEM = 1,
  MINIMAX_ROLE_USER = 2,
  MINIMAX_ROLE_ASSISTANT = 3,
  MINIMAX_ROLE_TOOL = 4 /* the result of a tool; `name` is the tool's */
};

enum {
  MINIMAX_CHAT_AUTO = 0,    /* as the checkpoint says */
  MINIMAX_CHAT_TEXT_01 = 1,
  MINIMAX_CHAT_VL_01 = 2,
  MINIMAX_CHAT_M1 = 3,      /* the checkpoint's own template */
  MINIMAX_CHAT_M1_VLLM = 4  /* the template that serving engines replace it with */
};

/* Messages, tools and plain pieces, on their way to become the tokens of a session. The order of
 * rendering is the chat format's: system messages and tools may move. Text of messages is tokenized
 * as MINIMAX_TOKENIZE_PLAIN: nobody can forge a marker by writing it. */
typedef struct minimax_prompt minimax_prompt;

MINIMAX_API minimax_status minimax_prompt_create(const minimax_engine *engine, minimax_prompt **out_prompt);
MINIMAX_API void minimax_prompt_free(minimax_prompt *prompt);
/* Back to empty; the chat format stays. */
MINIMAX_API minimax_status minimax_prompt_clear(minimax_prompt *prompt);
/* MINIMAX_CHAT_...; the prompt must be empty. */
MINIMAX_API minimax_status minimax_prompt_set_format(minimax_prompt *prompt, int32_t format);

/* One message. name: the tool's name of MINIMAX_ROLE_TOOL (needed by every format but M1_VLLM), else
 * NULL. What the format would drop or cut is MINIMAX_UNSUPPORTED. */
MINIMAX_API minimax_status minimax_prompt_add_message(minimax_prompt *prompt, int32_t role,
                                                      const char *name, const char *text, size_t size);
/* A picture for the message that is added next, in front of its text (several: in their order), or, with
 * messages as JSON, for the next part of type "image" or "image_url" (whatever that names). The image may
 * be freed then. It becomes minimax_tile_plan.token_count tokens; a prompt that ends before its message
 * is MINIMAX_INVALID_ARGUMENT when it is used.
 *   MINIMAX_UNSUPPORTED       the model takes no pictures
 *   MINIMAX_INVALID_ARGUMENT  as minimax_image_plan */
MINIMAX_API minimax_status minimax_prompt_add_image(minimax_prompt *prompt, const minimax_image *image);
/* A list of messages as of OpenAI's chat API: [{"role": ..., "content": text or [{"type": "text",
 * "text": ...}, ...], "name": ..., "tool_calls": [...]}]. Roles system, user, assistant, tool,
 * function. What the format cannot express is MINIMAX_UNSUPPORTED. */
MINIMAX_API minimax_status minimax_prompt_add_messages_json(minimax_prompt *prompt, const char *json,
                                                            size_t size);
/* The tools the model may call: a list of objects, rendered as they are written. Replaces earlier ones. */
MINIMAX_API minimax_status minimax_prompt_set_tools_json(minimax_prompt *prompt, const char *json,
                                                         size_t size);
/* Ends the messages with the header of the assistant's answer. Only plain pieces (the beginning of the
 * answer) or minimax_prompt_end_reply may follow. */
MINIMAX_API minimax_status minimax_prompt_begin_reply(minimax_prompt *prompt);

/* Goes on after an answer that was generated into the session: adds what the format puts behind it,
 * the stop token included unless stop_reason (minimax_generate_result) is MINIMAX_STOP_TOKEN. Call it
 * first, then add the next message; or after begin_reply and the pieces of an answer. A prompt that
 * begins with it has no opening: a system message or tools of M1 are then MINIMAX_UNSUPPORTED. */
MINIMAX_API minimax_status minimax_prompt_end_reply(minimax_prompt *prompt, int32_t stop_reason);

/* Pieces outside any message, in order with the messages; flags as for minimax_engine_tokenize. */
MINIMAX_API minimax_status minimax_prompt_add_text(minimax_prompt *prompt, const char *text, size_t size,
                                                   int32_t flags);
MINIMAX_API minimax_status minimax_prompt_add_tokens(minimax_prompt *prompt, const int32_t *tokens,
                                                     size_t token_count);

/* What the prompt has become. */
MINIMAX_API minimax_status minimax_prompt_tokens(const minimax_prompt *prompt, int32_t *tokens,
                                                 size_t capacity, size_t *out_count);
/* The rendered text, special tokens written out. */
MINIMAX_API minimax_status minimax_prompt_text(const minimax_prompt *prompt, char *buffer, size_t capacity,
                                               size_t *out_size);

/* ---- 5 sessions --------------------------------------------------------------------------------- */

typedef struct minimax_session minimax_session;

/* A session as it was at some moment. Only where it lies can change; any thread. Keeps its engine alive. */
typedef struct minimax_snapshot minimax_snapshot;

/* Where a snapshot lies. */
enum {
  MINIMAX_HOME_DEVICE = 0, /* in the engine's memory, shared with sessions as far as they are the same */
  MINIMAX_HOME_HOST = 1,   /* in the program's memory */
  MINIMAX_HOME_FILE = 2
};

typedef struct minimax_snapshot_info {
  size_t struct_size;
  int64_t position;
  uint64_t image_count; /* pictures among the tokens */
  uint64_t state_bytes; /* of lightning states and log, shared with sessions that have not gone on since */
  uint64_t kv_bytes;    /* pages of keys and values, shared likewise */
  int32_t home;         /* MINIMAX_HOME_...; but on the device the two above are 0 */
  uint64_t moved_bytes; /* of host memory, or of the file; 0 on the device */
} minimax_snapshot_info;

/* What a session has to do with the prefix cache of its engine (section 10). */
enum {
  MINIMAX_CACHE_AUTO = 0,    /* looks into it, and leaves snapshots there */
  MINIMAX_CACHE_NO_STORE = 1, /* looks into it, leaves nothing */
  MINIMAX_CACHE_OFF = 2      /* neither */
};

typedef struct minimax_session_options {
  size_t struct_size;
  int32_t rewind_tokens; /* how many of the last tokens stay un-folded beside the lightning states, at
                            least; 0: 32, at most 4096, -1: none */
  int32_t cache_policy;  /* MINIMAX_CACHE_... */
} minimax_session_options;

/* Why tokens of a prompt were computed. */
enum {
  MINIMAX_MISS_NONE = 0,          /* all that was known of the prompt was reused: what was computed goes on
                                     behind it, or is a last token whose logits were not kept */
  MINIMAX_MISS_NEW = 1,           /* nothing that is known begins like it */
  MINIMAX_MISS_DIVERGED = 2,      /* it parts from what is known at diverged_at, and was reused up to there */
  MINIMAX_MISS_NO_CHECKPOINT = 3, /* known up to diverged_at, but no snapshot lies so near to it; where that
                                     was 32 tokens or more, one is taken now for the next prompt */
  MINIMAX_MISS_EVICTED = 4,       /* the same, and there was one that others have displaced */
  MINIMAX_MISS_IMAGE_DIFFERS = 5, /* it shows another picture at diverged_at */
  MINIMAX_MISS_DISABLED = 6       /* the cache is off, for the engine or the session, and was not looked into */
};

typedef struct minimax_feed_report {
  size_t struct_size;
  uint64_t token_count;   /* of the prompt */
  uint64_t tokens_reused; /* of these, not computed: the session held them, or a snapshot did */
  uint64_t restore_ns;    /* time spent on these: rewinding, or taking a snapshot over */
  uint64_t prefill_ns;    /* time spent computing the others */
  uint64_t image_count;   /* pictures of the prompt */
  uint64_t images_reused; /* of these, found in their cache, or among the tokens that were reused */
  uint64_t encode_ns;     /* time spent on the others, loading the vision tower included */
  int64_t diverged_at;    /* the token of the prompt up to which it was known */
  int32_t miss_reason;    /* MINIMAX_MISS_... */
} minimax_feed_report;

/* A picture in a session's history. */
typedef struct minimax_image_span {
  size_t struct_size;
  int64_t position;     /* of its first token */
  int64_t token_count;
  uint8_t image_id[32]; /* minimax_image_id */
} minimax_image_span;

typedef struct minimax_session_stats {
  size_t struct_size;
  int64_t position;
  uint64_t fed_tokens;        /* since the session was created, resets included */
  uint64_t prefill_ns;        /* in calls that fed several tokens */
  uint64_t prefill_tokens;
  uint64_t decode_ns;         /* in calls that fed one */
  uint64_t decode_tokens;
  uint64_t state_bytes;       /* lightning states and log */
  uint64_t kv_bytes;          /* pages of keys and values */
  int32_t is_poisoned;
} minimax_session_stats;

MINIMAX_API size_t minimax_session_options_init(minimax_session_options *options, size_t struct_size);
MINIMAX_API size_t minimax_feed_report_init(minimax_feed_report *report, size_t struct_size);
MINIMAX_API size_t minimax_image_span_init(minimax_image_span *span, size_t struct_size);
MINIMAX_API size_t minimax_snapshot_info_init(minimax_snapshot_info *info, size_t struct_size);
MINIMAX_API size_t minimax_session_stats_init(minimax_session_stats *stats, size_t struct_size);

/* A new, empty timeline. options NULL: defaults. Memory for the lightning states is taken now.
 *   MINIMAX_OUT_OF_MEMORY */
MINIMAX_API minimax_status minimax_session_create(minimax_engine *engine,
                                                  const minimax_session_options *options,
                                                  minimax_session **out_session);
MINIMAX_API void minimax_session_free(minimax_session *session);

/* Feeds tokens; the session then stands after the last of them, with its logits. Sessions of one
 * engine may be fed from several threads; the engine computes one step at a time.
 *   tokens   token_count ids, each in [0, vocabulary_size); token_count 1 or more
 * With the session where it was before:
 *   MINIMAX_INVALID_ARGUMENT, MINIMAX_CONTEXT_FULL, MINIMAX_OUT_OF_MEMORY, MINIMAX_POISONED
 * With the session after as many whole chunks as were finished (see minimax_session_position), without
 * logits if that is not where it stood:
 *   MINIMAX_CANCELLED
 * With a session that can only be freed: MINIMAX_DEVICE_ERROR, MINIMAX_INTERNAL_ERROR */
MINIMAX_API minimax_status minimax_session_feed(minimax_session *session, const int32_t *tokens,
                                                size_t token_count);
/* The same with the tokens of a prompt, which must be of the same engine (else MINIMAX_WRONG_MODEL) and
 * not empty. What of it the prefix cache holds, behind all that the session has been fed, is not computed
 * again. Pictures in the rest are encoded first, unless they are in their cache; cancelled meanwhile, the
 * session is where it was. out_report may be NULL. */
MINIMAX_API minimax_status minimax_session_feed_prompt(minimax_session *session,
                                                       const minimax_prompt *prompt,
                                                       minimax_feed_report *out_report);
/* The same from the prompt's token first_token on: those before it have been fed, by an earlier call that
 * was cancelled. Messages may have been added to the prompt since. */
MINIMAX_API minimax_status minimax_session_feed_prompt_from(minimax_session *session,
                                                            const minimax_prompt *prompt,
                                                            size_t first_token,
                                                            minimax_feed_report *out_report);
/* Makes the session hold this prompt and nothing else, whatever it held: what both begin with stays, and what
 * lies further back than the session can rewind, or was never in it, comes from the prefix cache if that goes
 * further; the rest is computed. So a program may hand over its whole conversation each turn, edited or not.
 * The session then stands at the prompt's logits. Errors as minimax_session_feed_prompt. The session is as it
 * was on all that can be told beforehand: MINIMAX_INVALID_ARGUMENT, MINIMAX_WRONG_MODEL, MINIMAX_POISONED, a
 * prompt longer than context_limit or kv_bytes_limit allow, pictures that were cancelled. Else, on
 * MINIMAX_CANCELLED, MINIMAX_CONTEXT_FULL and MINIMAX_OUT_OF_MEMORY, it is whole and holds a beginning of the
 * prompt (minimax_session_position). */
MINIMAX_API minimax_status minimax_session_set_prompt(minimax_session *session,
                                                      const minimax_prompt *prompt,
                                                      minimax_feed_report *out_report);
/* The same with token ids, for engines without tokenizer and callers with one of their own. */
MINIMAX_API minimax_status minimax_session_set_tokens(minimax_session *session, const int32_t *tokens,
                                                      size_t token_count,
                                                      minimax_feed_report *out_report);
/* Feeds tokens and writes the logits after each of them: logits [token_count, vocabulary_size] f32;
 * capacity counts floats. Errors as minimax_session_feed, and MINIMAX_INVALID_ARGUMENT when the capacity
 * is too small. On MINIMAX_CANCELLED the rows of the tokens that were fed are written. */
MINIMAX_API minimax_status minimax_session_feed_logits(minimax_session *session, const int32_t *tokens,
                                                       size_t token_count, float *logits,
                                                       size_t capacity);
/* Feeds tokens and writes the natural logarithm of the probability of each, given all before it.
 * logprobs [token_count] f32; the first of an empty session, which nothing precedes, is NaN.
 * Errors as minimax_session_feed. */
MINIMAX_API minimax_status minimax_session_score(minimax_session *session, const int32_t *tokens,
                                                 size_t token_count, float *logprobs);

/* Number of tokens fed. */
MINIMAX_API minimax_status minimax_session_position(const minimax_session *session, int64_t *out_position);
/* The tokens from position `first` on. */
MINIMAX_API minimax_status minimax_session_tokens(const minimax_session *session, int64_t first,
                                                  int32_t *tokens, size_t capacity, size_t *out_count);
/* Pictures among the tokens, in order: how many, and where each lies. */
MINIMAX_API minimax_status minimax_session_image_count(const minimax_session *session, size_t *out_count);
MINIMAX_API minimax_status minimax_session_get_image_span(const minimax_session *session, size_t index,
                                                          minimax_image_span *out_span);
/* The logits after the last token: [vocabulary_size] f32, the session's own, valid until the next call
 * that changes it. That call writes over them: their memory stays where it is, and readable, as long as
 * the session lives. out_count may be NULL. Suppressed tokens are not masked here.
 *   MINIMAX_NOT_AVAILABLE  the session is empty, the last feed was cancelled, or tokens were taken back */
MINIMAX_API minimax_status minimax_session_logits(const minimax_session *session,
                                                  const float **out_logits, size_t *out_count);
/* Stops the feed, score or generate that runs now on this session, within one chunk or token; it
 * returns MINIMAX_CANCELLED (generate: with the reply so far). Nothing happens when none runs.
 * Any thread, and from signal handlers; the session must not be freed meanwhile. */
MINIMAX_API minimax_status minimax_session_cancel(minimax_session *session);
/* Takes back the last token_count tokens, pictures among them cut: at once and exactly, as if they had
 * never been fed. There are no logits then until something is fed.
 *   MINIMAX_INVALID_ARGUMENT  below 0, or more than there are
 *   MINIMAX_NOT_AVAILABLE     before the floor */
MINIMAX_API minimax_status minimax_session_rewind(minimax_session *session, int64_t token_count);
/* The position that minimax_session_rewind can go back to: at least rewind_tokens of the options behind the
 * furthest position there was. */
MINIMAX_API minimax_status minimax_session_rewind_floor(const minimax_session *session,
                                                        int64_t *out_position);
/* Keeps the session as it is now, logits included. Nothing is copied but the list of tokens and the
 * logits: states and pages are shared until the session goes on, which then copies what it changes.
 *   MINIMAX_OUT_OF_MEMORY */
MINIMAX_API minimax_status minimax_session_mark(const minimax_session *session,
                                                minimax_snapshot **out_snapshot);
/* The session becomes what it, or another of the same engine, was; the snapshot stays, where it lies too: one
 * that was moved is read into the session.
 * With the session where it was:
 *   MINIMAX_WRONG_MODEL  of another engine
 *   MINIMAX_UNSUPPORTED  of a session with other rewind_tokens
 *   MINIMAX_OUT_OF_MEMORY, MINIMAX_CONTEXT_FULL, MINIMAX_IO_ERROR
 *   MINIMAX_BAD_FILE     of a moved one: its bytes are no longer those that were written */
MINIMAX_API minimax_status minimax_session_return_to(minimax_session *session,
                                                     const minimax_snapshot *snapshot);
/* Another session at the same place, to be freed like any other; from here on each goes its own way.
 *   MINIMAX_OUT_OF_MEMORY */
MINIMAX_API minimax_status minimax_session_fork(const minimax_session *session,
                                                minimax_session **out_session);
MINIMAX_API minimax_status minimax_snapshot_get_info(const minimax_snapshot *snapshot,
                                                     minimax_snapshot_info *out_info);
/* Moves a snapshot: off the device, so that what nobody else shares is free there, or back. Whoever returns to
 * it later goes on to the bit as if it had stayed.
 *   home    MINIMAX_HOME_...; on the CPU, HOST is the same as DEVICE
 *   folder  with FILE: where the file is made, without a name: nobody else sees it, and it is gone with the
 *           snapshot, or with the program. Else NULL
 * What was shared is copied: a snapshot that comes back to the device takes memory of its own.
 * With the snapshot as it was:
 *   MINIMAX_NOT_FOUND   there is no such folder
 *   MINIMAX_IO_ERROR    the disk is full, say
 *   MINIMAX_BAD_FILE    what was moved is no longer what was written
 *   MINIMAX_OUT_OF_MEMORY, MINIMAX_CONTEXT_FULL (kv_bytes_limit) */
MINIMAX_API minimax_status minimax_snapshot_move(minimax_snapshot *snapshot, int32_t home,
                                                 const char *folder);
MINIMAX_API void minimax_snapshot_free(minimax_snapshot *snapshot);
/* Forgets everything: an empty timeline again. Pages go back to the engine. */
MINIMAX_API minimax_status minimax_session_reset(minimax_session *session);
MINIMAX_API minimax_status minimax_session_get_stats(const minimax_session *session,
                                                     minimax_session_stats *out_stats);

/* ---- 6 sampling --------------------------------------------------------------------------------- */

typedef struct minimax_logit_bias {
  int32_t token;
  float bias; /* added to the logit; -INFINITY forbids the token */
} minimax_logit_bias;

typedef struct minimax_sampler_options {
  size_t struct_size;
  float temperature;        /* 0: greedy (the most probable token; the lowest id of equals); up to 100 */
  float top_p;              /* smallest set of tokens of at least this probability; 0 or 1: off */
  float min_p;              /* tokens of at least this share of the best one's probability; 0: off */
  int32_t top_k;            /* the k most probable tokens; 0: off */
  float repetition_penalty; /* logits of tokens of the session are divided (positive) or multiplied
                               (negative) by it; 0 or 1: off; up to 100 */
  float presence_penalty;   /* subtracted once for a token this sampler has accepted; -100 to 100 */
  float frequency_penalty;  /* subtracted for each time; -100 to 100 */
  int32_t penalty_window;   /* penalties look at so many last tokens; 0: at all of them */
  uint64_t seed;            /* the same seed, prompt and options give the same text */
  const minimax_logit_bias *logit_bias; /* copied; may be NULL */
  size_t logit_bias_count;
  int32_t top_logprobs;     /* so many alternatives are kept for minimax_sampler_logprobs, 0 to 256 */
} minimax_sampler_options;

typedef struct minimax_token_logprob {
  int32_t token;
  float logprob; /* natural logarithm, under the model's own distribution: before bias, penalties and
                    temperature; suppressed tokens are left out of it */
} minimax_token_logprob;

MINIMAX_API size_t minimax_sampler_options_init(minimax_sampler_options *options, size_t struct_size);

/* Logits to a token. Order: bias, penalties, temperature, top-k, top-p, min-p, draw. Suppressed tokens
 * (minimax_token_info) are never drawn. */
typedef struct minimax_sampler minimax_sampler;

/* options NULL: greedy.  MINIMAX_INVALID_ARGUMENT: a value out of range or not a number */
MINIMAX_API minimax_status minimax_sampler_create(const minimax_engine *engine,
                                                  const minimax_sampler_options *options,
                                                  minimax_sampler **out_sampler);
MINIMAX_API void minimax_sampler_free(minimax_sampler *sampler);
/* Forgets accepted tokens and starts its random numbers anew from the seed. */
MINIMAX_API minimax_status minimax_sampler_reset(minimax_sampler *sampler);
/* Draws the token that follows, and accepts it. The session is not fed.
 *   MINIMAX_NOT_AVAILABLE  the session has no logits
 *   MINIMAX_INVALID_ARGUMENT  no token is left to draw: all are forbidden or not numbers */
MINIMAX_API minimax_status minimax_sampler_sample(minimax_sampler *sampler,
                                                  const minimax_session *session, int32_t *out_token);
/* Counts a token that was chosen elsewhere. */
MINIMAX_API minimax_status minimax_sampler_accept(minimax_sampler *sampler, int32_t token);
/* Of the last sample: the drawn token first, then the top_logprobs most probable ones. */
MINIMAX_API minimax_status minimax_sampler_logprobs(const minimax_sampler *sampler,
                                                    minimax_token_logprob *entries, size_t capacity,
                                                    size_t *out_count);

/* ---- 7 generating ------------------------------------------------------------------------------- */

/* A piece of the answer: whole characters, not zero-terminated. Return 0 to go on, else stop. */
typedef int32_t (*minimax_text_fn)(void *user, const char *text, size_t size);
/* A token that was drawn, before it is fed. Return 0 to go on, else stop. */
typedef int32_t (*minimax_token_fn)(void *user, int32_t token);

typedef struct minimax_generate_options {
  size_t struct_size;
  int64_t max_tokens;              /* 0: until a stop */
  const char *const *stop_strings; /* zero-terminated UTF-8, at most 64 */
  size_t stop_string_count;
  int32_t ignore_stop_token;       /* 1: go on after the model's own end */
  minimax_text_fn on_text;         /* may be NULL; needs a tokenizer */
  minimax_token_fn on_token;       /* may be NULL */
  void *user;
} minimax_generate_options;

enum {
  MINIMAX_STOP_TOKEN = 1,      /* the model ended its answer */
  MINIMAX_STOP_STRING = 2,
  MINIMAX_STOP_MAX_TOKENS = 3,
  MINIMAX_STOP_CONTEXT = 4,    /* the session is full */
  MINIMAX_STOP_CALLBACK = 5,
  MINIMAX_STOP_CANCELLED = 6
};

typedef struct minimax_generate_result {
  size_t struct_size;
  int32_t stop_reason;
  uint64_t token_count; /* drawn and fed to the session */
  uint64_t decode_ns;   /* time of the whole call */
} minimax_generate_result;

MINIMAX_API size_t minimax_generate_options_init(minimax_generate_options *options, size_t struct_size);
MINIMAX_API size_t minimax_generate_result_init(minimax_generate_result *result, size_t struct_size);

/* Draws and feeds tokens until a stop. The session must stand at logits (feed a prompt first). Every
 * drawn token is fed, the stop token included, so that the next message may follow.
 *   sampler NULL: greedy; options NULL: until the model ends; out_result may be NULL
 * Reasons to stop are MINIMAX_OK with stop_reason, except a cancel: MINIMAX_CANCELLED, with the result
 * filled and the session after the tokens of the reply so far. Other errors as minimax_session_feed, and
 * on MINIMAX_OUT_OF_MEMORY too the session stands whole after the reply so far, while the sampler may
 * have accepted one token more than was fed. */
MINIMAX_API minimax_status minimax_session_generate(minimax_session *session, minimax_sampler *sampler,
                                                    const minimax_generate_options *options,
                                                    minimax_generate_result *out_result);

/* ---- 8 many sessions at once -------------------------------------------------------------------- */

/* A batch computes the requests of many sessions of one engine together: each step takes one token of
 * every session that answers, and fills up with pieces of the prompts of those that do not yet. Weights are
 * read once a step, not once a session.
 *
 *     minimax_batch_create(engine, NULL, &batch);
 *     request.prompt = prompt;  request.user = mine;
 *     minimax_batch_submit(batch, session, &request, &ticket);        // and others
 *     while (open_requests > 0) {
 *       minimax_batch_step(batch, 1000);
 *       while (!minimax_batch_next_event(batch, &event) && event.kind != MINIMAX_EVENT_NONE) { ... }
 *     }
 *
 * A session in a batch belongs to it until its ticket ends: other calls with it are
 * MINIMAX_NOT_AVAILABLE, naming the ticket, except minimax_session_cancel (which cancels the ticket) and
 * minimax_session_free (which does so too, and waits for the step that computes it). The same holds for the
 * sampler of a request. When a ticket has ended the session is whole, wherever its request came to, and
 * may be used and submitted again.
 *
 * Each session's text is what it would be alone. Its logits are so to the bit on "cpu:plain"; elsewhere
 * matrix products of many rows add up in another order than those of few, which moves logits by some 1e-6
 * of their size, and sampling from them only where two tokens are that close.
 *
 * Threads: submit, cancel, step and get_stats from any thread at once; next_event from one at a time. */
typedef struct minimax_batch minimax_batch;

typedef struct minimax_batch_options {
  size_t struct_size;
  int32_t own_thread;    /* 0: minimax_batch_step computes. 1: a thread of the library's does, from the
                            first request on, and minimax_batch_step waits for events */
  int32_t session_limit; /* sessions that are computed at once, at most 1024 and no more than
                            step_tokens; others wait. 0: 64, or step_tokens if that is less */
  int64_t step_tokens;   /* tokens of one step: small ones answer sooner while prompts are fed, large
                            ones feed prompts faster. 0: chunk_tokens of the engine, which is the most */
} minimax_batch_options;

enum { MINIMAX_PRIORITY_LOWEST = -100, MINIMAX_PRIORITY_HIGHEST = 100 };

typedef struct minimax_batch_request {
  size_t struct_size;
  const minimax_prompt *prompt;  /* fed first: read during the call, of the session's engine. NULL: tokens */
  size_t prompt_first_token;     /* those before it have been fed (minimax_session_feed_prompt_from) */
  const int32_t *tokens;         /* fed first, when there is no prompt; copied. Neither: the session stands
                                    at logits and answers */
  size_t token_count;
  minimax_sampler *sampler;      /* NULL: greedy. It may be freed meanwhile, not used */
  const minimax_generate_options *generate; /* NULL: until the model ends. on_text and on_token must be
                                               NULL: events take their place */
  int32_t feeds_only;            /* 1: feeds and draws nothing; generate and sampler must be NULL */
  int32_t priority;              /* MINIMAX_PRIORITY_LOWEST to _HIGHEST: who begins, and whose prompt is
                                    fed, before others. Whoever waits rises by one in 16 steps */
  void *user;                    /* comes back with each event */
} minimax_batch_request;

enum {
  MINIMAX_EVENT_NONE = 0,      /* there is none now */
  MINIMAX_EVENT_QUEUED = 1,    /* could not begin at once: wait_reason and message say why. Comes once */
  MINIMAX_EVENT_STARTED = 2,   /* its pictures and its prompt are next */
  MINIMAX_EVENT_TOKEN = 3,     /* a token was drawn, and is fed in the step that begins */
  MINIMAX_EVENT_FINISHED = 4,  /* stop_reason; 0 for feeds_only. Ends the ticket, as the next two do */
  MINIMAX_EVENT_FAILED = 5,    /* status and message; other sessions go on */
  MINIMAX_EVENT_CANCELLED = 6
};

enum {
  MINIMAX_WAIT_SESSIONS = 1, /* session_limit is reached */
  MINIMAX_WAIT_MEMORY = 2    /* for pages of keys and values: more than there are, beside those that were
                                promised to requests that have begun */
};

typedef struct minimax_batch_event {
  size_t struct_size;
  int32_t kind;          /* MINIMAX_EVENT_... */
  uint64_t ticket;
  void *user;            /* of the request */
  int32_t token;         /* of MINIMAX_EVENT_TOKEN, else -1 */
  const char *text;      /* what can be shown now, whole characters, perhaps nothing: of a token, and what
                            was held back when the ticket ends. Not zero-terminated. Always empty
                            without a tokenizer. It and message are valid until the next call of
                            minimax_batch_next_event or _free */
  size_t text_size;
  int32_t stop_reason;   /* MINIMAX_STOP_... of MINIMAX_EVENT_FINISHED */
  minimax_status status; /* of MINIMAX_EVENT_FAILED; MINIMAX_POISONED never comes: the error itself does */
  const char *message;   /* zero-terminated sentence of FAILED and QUEUED, else "" */
  size_t message_size;
  int32_t wait_reason;   /* MINIMAX_WAIT_... of MINIMAX_EVENT_QUEUED */
  /* What the request has come to so far. */
  uint64_t fed_tokens;    /* of its prompt: after a cancel, those before prompt_first_token + fed_tokens
                             are in the session */
  uint64_t tokens_reused; /* of these, not computed: as in minimax_feed_report, as the last two fields */
  uint64_t token_count;   /* drawn and fed */
  uint64_t image_count;   /* pictures encoded */
  uint64_t images_reused; /* of these, found in their cache, or among the tokens that were reused */
  uint64_t wait_ns;       /* from submit to start */
  uint64_t encode_ns;     /* time spent on pictures */
  uint64_t prefill_ns;    /* from the first step to the end of its prompt */
  uint64_t decode_ns;     /* from there to the last */
  int64_t diverged_at;
  int32_t miss_reason;
} minimax_batch_event;

typedef struct minimax_batch_stats {
  size_t struct_size;
  uint64_t waiting_count;            /* requests that have not begun */
  uint64_t waiting_for_memory_count; /* of these, for pages of keys and values */
  uint64_t feeding_count;            /* whose pictures or prompts are not finished */
  uint64_t answering_count;
  uint64_t event_count;              /* that have not been taken. At 65,536 no step begins */
  uint64_t submitted_count;          /* since the batch was created, as all that follows */
  uint64_t finished_count, failed_count, cancelled_count;
  uint64_t step_count;
  uint64_t step_ns;                  /* time spent in steps */
  uint64_t prefill_tokens, decode_tokens;
  uint64_t most_sessions;            /* that shared a step */
  uint64_t promised_bytes;           /* now: of keys and values, beyond those that sessions hold */
} minimax_batch_stats;

MINIMAX_API size_t minimax_batch_options_init(minimax_batch_options *options, size_t struct_size);
MINIMAX_API size_t minimax_batch_request_init(minimax_batch_request *request, size_t struct_size);
MINIMAX_API size_t minimax_batch_event_init(minimax_batch_event *event, size_t struct_size);
MINIMAX_API size_t minimax_batch_stats_init(minimax_batch_stats *stats, size_t struct_size);

/* options NULL: defaults. Keeps the engine alive. An engine may have several batches, and sessions beside
 * them; it computes one step at a time.
 *   MINIMAX_INVALID_ARGUMENT, MINIMAX_OUT_OF_MEMORY */
MINIMAX_API minimax_status minimax_batch_create(minimax_engine *engine,
                                                const minimax_batch_options *options,
                                                minimax_batch **out_batch);
/* Cancels what has not ended, without events, and gives the sessions back. Waits for the step that runs;
 * no other call with the batch may be running. */
MINIMAX_API void minimax_batch_free(minimax_batch *batch);

/* Hands over a request. It begins when fewer than session_limit sessions are computed and the engine has
 * the pages of keys and values that it will need at most (its prompt, and max_tokens or 1 page of answer
 * when there is no max_tokens), beside those that were promised to others; it never fails for want of them
 * then, unless sessions outside the batch take them. An answer without max_tokens takes pages as long as
 * there are any that nobody was promised, and ends with MINIMAX_STOP_CONTEXT. A request that needs more than
 * kv_bytes_limit allows at all, for its answer, gets all there is. Requests of equal priority begin in their
 * order; those that need less may pass one that waits for memory, for 256 steps at most.
 * out_ticket: above 0, never used again.
 * With the session as it was:
 *   MINIMAX_INVALID_ARGUMENT  a token, a number or an option; nothing to feed where feeds_only is set
 *   MINIMAX_NOT_AVAILABLE     the session or the sampler is in a batch; the session has no logits and
 *                             nothing is fed; stop strings without a tokenizer
 *   MINIMAX_WRONG_MODEL       session, prompt or sampler of another engine than the batch
 *   MINIMAX_CONTEXT_FULL      what is fed is more than context_limit or kv_bytes_limit allow
 *   MINIMAX_UNSUPPORTED, MINIMAX_POISONED, MINIMAX_OUT_OF_MEMORY */
MINIMAX_API minimax_status minimax_batch_submit(minimax_batch *batch, minimax_session *session,
                                                const minimax_batch_request *request,
                                                uint64_t *out_ticket);
/* Computes one step. When there is nothing to compute, waits up to timeout_ms for a request that can begin
 * (-1: as long as it takes; 0: not at all) and computes its first. With own_thread: waits up to timeout_ms
 * for an event. MINIMAX_OK in each case: what happened to requests is told by events.
 *   MINIMAX_INVALID_ARGUMENT */
MINIMAX_API minimax_status minimax_batch_step(minimax_batch *batch, int64_t timeout_ms);
/* The oldest event that was not taken yet; kind is MINIMAX_EVENT_NONE when there is none. Events of one
 * ticket come in their order, and none comes after its last.
 *   MINIMAX_INVALID_ARGUMENT */
MINIMAX_API minimax_status minimax_batch_next_event(minimax_batch *batch, minimax_batch_event *out_event);
/* Ends a ticket with MINIMAX_EVENT_CANCELLED: at once when no step computes it, else after that step or
 * picture. The session then stands after the tokens that were fed, whole: after a whole answer token, or
 * within its prompt.
 *   MINIMAX_NOT_FOUND  no ticket of this number has not ended: it may just have */
MINIMAX_API minimax_status minimax_batch_cancel(minimax_batch *batch, uint64_t ticket);
MINIMAX_API minimax_status minimax_batch_get_stats(const minimax_batch *batch,
                                                   minimax_batch_stats *out_stats);

/* ---- 9 sessions as files ------------------------------------------------------------------------ */

typedef struct minimax_session_save_options {
  size_t struct_size;
  const minimax_sampler *sampler; /* saved with the session: options, random numbers, accepted tokens; of
                                     the same engine. NULL: none */
} minimax_session_save_options;

typedef struct minimax_session_load_options {
  size_t struct_size;
  minimax_sampler *sampler; /* of the same engine: becomes the one that was saved, whatever it was before.
                               NULL: a saved one is left out */
} minimax_session_load_options;

typedef struct minimax_session_file_info {
  size_t struct_size;
  uint64_t file_bytes;
  int64_t position;         /* tokens of the session */
  uint64_t image_count;     /* pictures among them */
  int32_t format_version;
  int32_t rewind_tokens;    /* 0: none */
  int32_t kv_type;          /* MINIMAX_TYPE_...: of keys and values in the file */
  int32_t has_logits;       /* 1 or 0: the session stands at logits */
  int32_t has_sampler;
  char model_name[64];      /* "MiniMax-Text-01", zero-terminated */
  char library_version[32]; /* that wrote the file, zero-terminated */
  uint8_t model_id[16];     /* equal for files of equal models */
} minimax_session_file_info;

/* Takes the next bytes of a session. Return 0 to go on, anything else to give up. */
typedef int32_t (*minimax_write_fn)(void *user, const void *bytes, size_t size);
/* Gives the next bytes of a session: 1 to `size` of them, and sets *out_size to how many; 0 at the end.
 * Return 0 to go on, anything else to give up. */
typedef int32_t (*minimax_read_fn)(void *user, void *bytes, size_t size, size_t *out_size);

MINIMAX_API size_t minimax_session_save_options_init(minimax_session_save_options *options, size_t struct_size);
MINIMAX_API size_t minimax_session_load_options_init(minimax_session_load_options *options, size_t struct_size);
MINIMAX_API size_t minimax_session_file_info_init(minimax_session_file_info *info, size_t struct_size);

/* Writes the session to a file: tokens, where its pictures lie and their ids, keys and values, lightning
 * states and log, logits, rewind_tokens. Whoever loads it goes on as the session would have. Not saved
 * are the pictures themselves, the counts of minimax_session_get_stats, and snapshots. The file holds
 * what was said: keep it as you would keep the text.
 *   path     replaced if there is a file of that name. Until the new one is whole and on the disk the old
 *            one is there, also when the program or the machine stops meanwhile
 *   options  NULL: defaults
 * The first save or load of an engine looks at some of its weights, which takes a moment when they have
 * to be read from a disk. Session and sampler: one thread at a time.
 *   MINIMAX_NOT_FOUND    no such folder
 *   MINIMAX_IO_ERROR     the disk is full, or the system says otherwise; the old file is as it was
 *   MINIMAX_WRONG_MODEL  the sampler is of another engine
 *   MINIMAX_OUT_OF_MEMORY, MINIMAX_POISONED */
MINIMAX_API minimax_status minimax_session_save(const minimax_session *session, const char *path,
                                                const minimax_session_save_options *options);
/* The same bytes into a callback, in order, in pieces of any size.
 *   MINIMAX_IO_ERROR     the callback gave up */
MINIMAX_API minimax_status minimax_session_save_to(const minimax_session *session, minimax_write_fn write,
                                                   void *user,
                                                   const minimax_session_save_options *options);
/* A new session from a file, to be freed like any other. The engine must have the model that the file was
 * saved with: the same configuration and weights. Device, thread_count, compute_type and weight types may
 * be others, and keys and values become of the engine's kv_type (bf16 to f32 exactly, f32 to bf16
 * rounded); with the same ones the session goes on to the bit. Every byte is checked before there is a
 * session. options NULL: defaults. Any thread.
 *   MINIMAX_NOT_FOUND, MINIMAX_IO_ERROR
 *   MINIMAX_BAD_FILE       damaged, cut, or no saved session
 *   MINIMAX_UNSUPPORTED    of a later version of the format
 *   MINIMAX_WRONG_MODEL    of another model, or the sampler is of another engine
 *   MINIMAX_NOT_AVAILABLE  options name a sampler, and none was saved
 *   MINIMAX_CONTEXT_FULL   more tokens than context_limit or kv_bytes_limit allow
 *   MINIMAX_OUT_OF_MEMORY */
MINIMAX_API minimax_status minimax_session_load(minimax_engine *engine, const char *path,
                                                const minimax_session_load_options *options,
                                                minimax_session **out_session);
/* The same from a callback, which is asked for the session's bytes and no more.
 *   MINIMAX_IO_ERROR       the callback gave up */
MINIMAX_API minimax_status minimax_session_load_from(minimax_engine *engine, minimax_read_fn read,
                                                     void *user,
                                                     const minimax_session_load_options *options,
                                                     minimax_session **out_session);
/* What a file says of itself, without an engine; numbers are not read, so that a file may still prove
 * damaged when it is loaded. Any thread.
 *   MINIMAX_NOT_FOUND, MINIMAX_IO_ERROR, MINIMAX_BAD_FILE, MINIMAX_UNSUPPORTED */
MINIMAX_API minimax_status minimax_get_session_file_info(const char *path,
                                                         minimax_session_file_info *out_info);

/* ---- 10 prefix cache ---------------------------------------------------------------------------- */

/* An engine keeps snapshots of its sessions for prompts that begin alike: minimax_session_set_prompt,
 * minimax_session_feed_prompt and prompts of batches take what they can from there, and so need not compute
 * it. A snapshot is kept of the end of each prompt and of each reply, and, from the second prompt of a common
 * beginning on, of the place where they part. It shares keys, values and states with the session that it was
 * taken of until that goes on, and can be taken back by rewind_tokens, so that prompts which differ in their
 * last words only need no other. When prefix_cache_bytes_limit is reached, or somebody would be refused memory
 * or pages, those go first that save the least arithmetic a byte and were not used for long.
 *
 * What is found belongs to the same tokens and pictures in the same order, and to sessions of the same
 * rewind_tokens. Logits behind it are those of a session that was fed the same pieces: to the bit, unless the
 * snapshot is taken back behind tokens that are folded; sums are then in another order, as they are when a
 * prompt is cut elsewhere. */
typedef struct minimax_prefix_cache_stats {
  size_t struct_size;
  uint64_t snapshot_count;
  uint64_t pinned_count;   /* of these */
  uint64_t bytes;          /* of all, as counted against the limit */
  uint64_t kv_bytes;       /* of these, pages of keys and values, each counted once */
  uint64_t limit_bytes;    /* 0: the cache is off */
  uint64_t lookup_count;   /* since the engine was opened, as all that follows */
  uint64_t hit_count;      /* lookups in which a snapshot went further than the session itself */
  uint64_t tokens_reused;  /* by these, beyond what the sessions held */
  uint64_t stored_count;
  uint64_t evicted_count;
} minimax_prefix_cache_stats;

MINIMAX_API size_t minimax_prefix_cache_stats_init(minimax_prefix_cache_stats *stats, size_t struct_size);

/* Any thread. */
MINIMAX_API minimax_status minimax_engine_get_prefix_cache_stats(const minimax_engine *engine,
                                                                 minimax_prefix_cache_stats *out_stats);
/* Forgets all snapshots, pinned ones too. Sessions keep what they hold. Any thread. */
MINIMAX_API minimax_status minimax_engine_clear_prefix_cache(minimax_engine *engine);
/* Computes a prompt, as far as the cache does not hold it, and keeps its snapshot until it is unpinned or the
 * cache is cleared: for what every conversation begins with. options: of the sessions that shall find it;
 * NULL: defaults. out_report may be NULL. Any thread; the prompt one at a time.
 *   MINIMAX_NOT_AVAILABLE  the cache is off
 *   MINIMAX_UNSUPPORTED    cache_policy is not MINIMAX_CACHE_AUTO
 *   MINIMAX_OUT_OF_MEMORY  all that is pinned would pass the limit
 *   and errors as minimax_session_feed_prompt */
MINIMAX_API minimax_status minimax_engine_pin_prefix(minimax_engine *engine, const minimax_prompt *prompt,
                                                     const minimax_session_options *options,
                                                     minimax_feed_report *out_report);
/* The snapshot becomes one like others.
 *   MINIMAX_NOT_FOUND  this prompt is not pinned for sessions of these options */
MINIMAX_API minimax_status minimax_engine_unpin_prefix(minimax_engine *engine, const minimax_prompt *prompt,
                                                       const minimax_session_options *options);

#ifdef __cplusplus
}
#endif

#endif /* MINIMAX_H */
