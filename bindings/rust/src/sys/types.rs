// SPDX-License-Identifier: Apache-2.0
// Generated from minimax.h by bindings/generate.py: its numbers and what it fills, as Rust has such things.
use std::mem::size_of;
use std::time::Duration;

use super::raw;
use crate::ffi::{array_text, pointer_text, Filled};

/// A number of minimax.h; a later library may know more of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status(pub i32);

impl Status {
    pub const OK: Status = Status(0);
    /// The caller's mistake: a NULL, a value out of range.
    pub const INVALID_ARGUMENT: Status = Status(1);
    /// The count needed has been set.
    pub const BUFFER_TOO_SMALL: Status = Status(2);
    /// This build, device or model cannot do that.
    pub const UNSUPPORTED: Status = Status(3);
    /// Not now or not here: no tokenizer, no device, no logits yet.
    pub const NOT_AVAILABLE: Status = Status(4);
    /// A file, device or name that does not exist.
    pub const NOT_FOUND: Status = Status(5);
    /// The system could not read or write a file.
    pub const IO_ERROR: Status = Status(6);
    /// A file that is damaged or not what it should be.
    pub const BAD_FILE: Status = Status(7);
    /// A file or handle that belongs to another model.
    pub const WRONG_MODEL: Status = Status(8);
    /// The sentence says of what and how much.
    pub const OUT_OF_MEMORY: Status = Status(9);
    /// The session has no room for so many tokens.
    pub const CONTEXT_FULL: Status = Status(10);
    /// Minimax_session_cancel, or a callback that said stop.
    pub const CANCELLED: Status = Status(11);
    /// The device failed; sessions of that step are poisoned.
    pub const DEVICE_ERROR: Status = Status(12);
    /// An earlier error broke this session; only stats and free work.
    pub const POISONED: Status = Status(13);
    /// Our mistake: please report the sentence.
    pub const INTERNAL_ERROR: Status = Status(14);
}

/// A number of minimax.h; a later library may know more of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogLevel(pub i32);

impl LogLevel {
    pub const ERROR: LogLevel = LogLevel(0);
    pub const WARNING: LogLevel = LogLevel(1);
    pub const INFO: LogLevel = LogLevel(2);
    pub const DEBUG: LogLevel = LogLevel(3);
}

/// A number of minimax.h; a later library may know more of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NumberType(pub i32);

impl NumberType {
    pub const AUTO: NumberType = NumberType(0);
    pub const F32: NumberType = NumberType(1);
    pub const BF16: NumberType = NumberType(2);
    pub const F16: NumberType = NumberType(3);
}

/// A number of minimax.h; a later library may know more of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WeightSource(pub i32);

impl WeightSource {
    pub const FROM_FILES: WeightSource = WeightSource(0);
    /// Random numbers of the right shapes, made in memory: for benchmarks. Only config.json is
    /// read; there is no tokenizer.
    pub const SYNTHETIC: WeightSource = WeightSource(1);
}

/// A number of minimax.h; a later library may know more of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenizeFlags(pub i32);

impl TokenizeFlags {
    pub const DEFAULT: TokenizeFlags = TokenizeFlags(0);
    /// "\<image\>" and its like are ordinary text: for text from strangers.
    pub const PLAIN: TokenizeFlags = TokenizeFlags(1);
}

/// A number of minimax.h; a later library may know more of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DetokenizeFlags(pub i32);

impl DetokenizeFlags {
    pub const DEFAULT: DetokenizeFlags = DetokenizeFlags(0);
    /// Write special tokens too; by default they are left out.
    pub const SPECIAL: DetokenizeFlags = DetokenizeFlags(1);
}

/// A number of minimax.h; a later library may know more of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenKind(pub i32);

impl TokenKind {
    pub const TEXT: TokenKind = TokenKind(0);
    /// Markers, left out when text is written.
    pub const SPECIAL: TokenKind = TokenKind(1);
    /// A row of the vocabulary without meaning.
    pub const UNDEFINED: TokenKind = TokenKind(2);
}

/// A number of minimax.h; a later library may know more of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Role(pub i32);

impl Role {
    pub const SYSTEM: Role = Role(1);
    pub const USER: Role = Role(2);
    pub const ASSISTANT: Role = Role(3);
    /// The result of a tool; `name` is the tool's.
    pub const TOOL: Role = Role(4);
}

/// A number of minimax.h; a later library may know more of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChatFormat(pub i32);

impl ChatFormat {
    /// As the checkpoint says.
    pub const AUTO: ChatFormat = ChatFormat(0);
    pub const TEXT_01: ChatFormat = ChatFormat(1);
    pub const VL_01: ChatFormat = ChatFormat(2);
    /// The checkpoint's own template.
    pub const M1: ChatFormat = ChatFormat(3);
    /// The template that serving engines replace it with.
    pub const M1_VLLM: ChatFormat = ChatFormat(4);
}

/// A number of minimax.h; a later library may know more of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SnapshotHome(pub i32);

impl SnapshotHome {
    /// In the engine's memory, shared with sessions as far as they are the same.
    pub const DEVICE: SnapshotHome = SnapshotHome(0);
    /// In the program's memory.
    pub const HOST: SnapshotHome = SnapshotHome(1);
    pub const FILE: SnapshotHome = SnapshotHome(2);
}

/// A number of minimax.h; a later library may know more of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CachePolicy(pub i32);

impl CachePolicy {
    /// Looks into it, and leaves snapshots there.
    pub const AUTO: CachePolicy = CachePolicy(0);
    /// Looks into it, leaves nothing.
    pub const NO_STORE: CachePolicy = CachePolicy(1);
    /// Neither.
    pub const OFF: CachePolicy = CachePolicy(2);
}

/// A number of minimax.h; a later library may know more of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MissReason(pub i32);

impl MissReason {
    /// All that was known of the prompt was reused: what was computed goes on behind it, or is a
    /// last token whose logits were not kept.
    pub const NONE: MissReason = MissReason(0);
    /// Nothing that is known begins like it.
    pub const NEW: MissReason = MissReason(1);
    /// It parts from what is known at diverged_at, and was reused up to there.
    pub const DIVERGED: MissReason = MissReason(2);
    /// Known up to diverged_at, but no snapshot lies so near to it; where that was 32 tokens or
    /// more, one is taken now for the next prompt.
    pub const NO_CHECKPOINT: MissReason = MissReason(3);
    /// The same, and there was one that others have displaced.
    pub const EVICTED: MissReason = MissReason(4);
    /// It shows another picture at diverged_at.
    pub const IMAGE_DIFFERS: MissReason = MissReason(5);
    /// The cache is off, for the engine or the session, and was not looked into.
    pub const DISABLED: MissReason = MissReason(6);
}

/// A number of minimax.h; a later library may know more of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StopReason(pub i32);

impl StopReason {
    /// The model ended its answer.
    pub const TOKEN: StopReason = StopReason(1);
    pub const STRING: StopReason = StopReason(2);
    pub const MAX_TOKENS: StopReason = StopReason(3);
    /// The session is full.
    pub const CONTEXT: StopReason = StopReason(4);
    pub const CALLBACK: StopReason = StopReason(5);
    pub const CANCELLED: StopReason = StopReason(6);
}

/// A number of minimax.h; a later library may know more of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Priority(pub i32);

impl Priority {
    pub const LOWEST: Priority = Priority(-100);
    pub const HIGHEST: Priority = Priority(100);
}

/// A number of minimax.h; a later library may know more of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventKind(pub i32);

impl EventKind {
    /// There is none now.
    pub const NONE: EventKind = EventKind(0);
    /// Could not begin at once: wait_reason and message say why. Comes once.
    pub const QUEUED: EventKind = EventKind(1);
    /// Its pictures and its prompt are next.
    pub const STARTED: EventKind = EventKind(2);
    /// A token was drawn, and is fed in the step that begins.
    pub const TOKEN: EventKind = EventKind(3);
    /// Stop_reason; 0 for feeds_only. Ends the ticket, as the next two do.
    pub const FINISHED: EventKind = EventKind(4);
    /// Status and message; other sessions go on.
    pub const FAILED: EventKind = EventKind(5);
    pub const CANCELLED: EventKind = EventKind(6);
}

/// A number of minimax.h; a later library may know more of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WaitReason(pub i32);

impl WaitReason {
    /// Session_limit is reached.
    pub const SESSIONS: WaitReason = WaitReason(1);
    /// For pages of keys and values: more than there are, beside those that were promised to
    /// requests that have begun.
    pub const MEMORY: WaitReason = WaitReason(2);
}

/// `minimax_device_info`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// What engine options take: "cpu", "cuda:0"; lives for ever.
    pub name: String,
    /// The processor's own name; lives for ever.
    pub description: String,
    /// All of it.
    pub memory_bytes: u64,
    /// Free now.
    pub available_bytes: u64,
    /// Processors this program may use; multiprocessors of a GPU.
    pub core_count: i32,
}

impl Filled for DeviceInfo {
    type Raw = raw::minimax_device_info;
    fn empty() -> Self::Raw {
        raw::minimax_device_info { struct_size: size_of::<raw::minimax_device_info>(), ..Default::default() }
    }
    unsafe fn read(raw: &Self::Raw) -> DeviceInfo {
        DeviceInfo {
            name: pointer_text(raw.name),
            description: pointer_text(raw.description),
            memory_bytes: raw.memory_bytes,
            available_bytes: raw.available_bytes,
            core_count: raw.core_count,
        }
    }
}

/// `minimax_memory_plan`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryPlan {
    /// Of the parts that are loaded.
    pub parameter_count: u64,
    /// Tensors that the loader asks the checkpoint for.
    pub tensor_count: u64,
    /// As kept by the engine (file maps included).
    pub weight_bytes: u64,
    /// Scratch of the engine, whatever the number of sessions.
    pub workspace_bytes: u64,
    /// Lightning state, its log and bookkeeping of an empty session.
    pub bytes_per_session: u64,
    /// Of that, the states: constant in the length of the session.
    pub lightning_state_bytes: u64,
    /// Of that, keys and values not yet folded into the states.
    pub lightning_log_bytes: u64,
    /// Keys and values of the softmax layers, a token.
    pub bytes_per_token: u64,
    /// These are taken in pages of so many tokens.
    pub kv_page_tokens: u64,
    /// Free on the device now.
    pub available_bytes: u64,
    /// One session's tokens, beside weights and workspace.
    pub tokens_that_fit: u64,
    /// Sessions of context_limit tokens each (one page when it is 0).
    pub sessions_that_fit: u64,
}

impl Filled for MemoryPlan {
    type Raw = raw::minimax_memory_plan;
    fn empty() -> Self::Raw {
        raw::minimax_memory_plan { struct_size: size_of::<raw::minimax_memory_plan>(), ..Default::default() }
    }
    unsafe fn read(raw: &Self::Raw) -> MemoryPlan {
        MemoryPlan {
            parameter_count: raw.parameter_count,
            tensor_count: raw.tensor_count,
            weight_bytes: raw.weight_bytes,
            workspace_bytes: raw.workspace_bytes,
            bytes_per_session: raw.bytes_per_session,
            lightning_state_bytes: raw.lightning_state_bytes,
            lightning_log_bytes: raw.lightning_log_bytes,
            bytes_per_token: raw.bytes_per_token,
            kv_page_tokens: raw.kv_page_tokens,
            available_bytes: raw.available_bytes,
            tokens_that_fit: raw.tokens_that_fit,
            sessions_that_fit: raw.sessions_that_fit,
        }
    }
}

/// `minimax_engine_info`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineInfo {
    /// "MiniMax-Text-01", "MiniMax-VL-01", "MiniMax-M1"; lives with the engine.
    pub model_name: String,
    /// "cpu"; lives with the engine.
    pub device: String,
    pub parameter_count: u64,
    pub weight_bytes: u64,
    /// Max_position_embeddings of config.json; not a limit of the engine.
    pub declared_context: i64,
    pub layer_count: i32,
    pub lightning_layer_count: i32,
    pub hidden_size: i32,
    pub vocabulary_size: i32,
    pub expert_count: i32,
    pub thread_count: i32,
    /// MINIMAX_TYPE_F32 or _BF16.
    pub compute_type: NumberType,
    pub kv_type: NumberType,
    /// 1 or 0.
    pub has_tokenizer: bool,
    /// The checkpoint holds a vision tower.
    pub has_vision: bool,
    /// End of an answer, or -1 when there is none.
    pub stop_token: i32,
    /// Stands for a row of a picture, or -1.
    pub image_token: i32,
}

impl Filled for EngineInfo {
    type Raw = raw::minimax_engine_info;
    fn empty() -> Self::Raw {
        raw::minimax_engine_info { struct_size: size_of::<raw::minimax_engine_info>(), ..Default::default() }
    }
    unsafe fn read(raw: &Self::Raw) -> EngineInfo {
        EngineInfo {
            model_name: pointer_text(raw.model_name),
            device: pointer_text(raw.device),
            parameter_count: raw.parameter_count,
            weight_bytes: raw.weight_bytes,
            declared_context: raw.declared_context,
            layer_count: raw.layer_count,
            lightning_layer_count: raw.lightning_layer_count,
            hidden_size: raw.hidden_size,
            vocabulary_size: raw.vocabulary_size,
            expert_count: raw.expert_count,
            thread_count: raw.thread_count,
            compute_type: NumberType(raw.compute_type),
            kv_type: NumberType(raw.kv_type),
            has_tokenizer: raw.has_tokenizer != 0,
            has_vision: raw.has_vision != 0,
            stop_token: raw.stop_token,
            image_token: raw.image_token,
        }
    }
}

/// `minimax_engine_memory`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineMemory {
    /// Mapped and copied weights.
    pub weight_bytes: u64,
    pub workspace_bytes: u64,
    /// Of the sessions alive now, without keys and values.
    pub session_bytes: u64,
    /// Pages of keys and values in use now, by sessions and snapshots.
    pub kv_bytes: u64,
    pub session_count: u64,
    /// Snapshots of the prefix cache, without keys and values: states and logs (also while a
    /// session shares them), logits, texts.
    pub prefix_cache_bytes: u64,
}

impl Filled for EngineMemory {
    type Raw = raw::minimax_engine_memory;
    fn empty() -> Self::Raw {
        raw::minimax_engine_memory { struct_size: size_of::<raw::minimax_engine_memory>(), ..Default::default() }
    }
    unsafe fn read(raw: &Self::Raw) -> EngineMemory {
        EngineMemory {
            weight_bytes: raw.weight_bytes,
            workspace_bytes: raw.workspace_bytes,
            session_bytes: raw.session_bytes,
            kv_bytes: raw.kv_bytes,
            session_count: raw.session_count,
            prefix_cache_bytes: raw.prefix_cache_bytes,
        }
    }
}

/// What a picture becomes: resized into one of the model's canvases, which is cut into tiles; a
/// thumbnail tile goes in front. All counted without a pixel.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TilePlan {
    /// Pixels.
    pub canvas_width: i64,
    /// Pixels.
    pub canvas_height: i64,
    /// Of the picture on the canvas, black around it.
    pub resized_width: i64,
    /// Of the picture on the canvas, black around it.
    pub resized_height: i64,
    /// Its upper left corner there.
    pub paste_x: i64,
    /// Its upper left corner there.
    pub paste_y: i64,
    pub tile_columns: i64,
    pub tile_rows: i64,
    /// With the thumbnail.
    pub tile_count: i64,
    /// Patches of the canvas that become tokens.
    pub kept_columns: i64,
    /// Patches of the canvas that become tokens.
    pub kept_rows: i64,
    /// Of the whole picture: the thumbnail's, then each kept row's and one more.
    pub token_count: i64,
}

impl Filled for TilePlan {
    type Raw = raw::minimax_tile_plan;
    fn empty() -> Self::Raw {
        raw::minimax_tile_plan { struct_size: size_of::<raw::minimax_tile_plan>(), ..Default::default() }
    }
    unsafe fn read(raw: &Self::Raw) -> TilePlan {
        TilePlan {
            canvas_width: raw.canvas_width,
            canvas_height: raw.canvas_height,
            resized_width: raw.resized_width,
            resized_height: raw.resized_height,
            paste_x: raw.paste_x,
            paste_y: raw.paste_y,
            tile_columns: raw.tile_columns,
            tile_rows: raw.tile_rows,
            tile_count: raw.tile_count,
            kept_columns: raw.kept_columns,
            kept_rows: raw.kept_rows,
            token_count: raw.token_count,
        }
    }
}

/// `minimax_image_cache_stats`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImageCacheStats {
    /// Encoded pictures that are kept.
    pub image_count: u64,
    /// Of the device's memory.
    pub bytes: u64,
    pub hits: u64,
    pub misses: u64,
    pub evictions: u64,
}

impl Filled for ImageCacheStats {
    type Raw = raw::minimax_image_cache_stats;
    fn empty() -> Self::Raw {
        raw::minimax_image_cache_stats {
            struct_size: size_of::<raw::minimax_image_cache_stats>(),
            ..Default::default()
        }
    }
    unsafe fn read(raw: &Self::Raw) -> ImageCacheStats {
        ImageCacheStats {
            image_count: raw.image_count,
            bytes: raw.bytes,
            hits: raw.hits,
            misses: raw.misses,
            evictions: raw.evictions,
        }
    }
}

/// `minimax_snapshot_info`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotInfo {
    pub position: i64,
    /// Pictures among the tokens.
    pub image_count: u64,
    /// Of lightning states and log, shared with sessions that have not gone on since.
    pub state_bytes: u64,
    /// Pages of keys and values, shared likewise.
    pub kv_bytes: u64,
    /// MINIMAX_HOME_...; but on the device the two above are 0.
    pub home: SnapshotHome,
    /// Of host memory, or of the file; 0 on the device.
    pub moved_bytes: u64,
}

impl Filled for SnapshotInfo {
    type Raw = raw::minimax_snapshot_info;
    fn empty() -> Self::Raw {
        raw::minimax_snapshot_info { struct_size: size_of::<raw::minimax_snapshot_info>(), ..Default::default() }
    }
    unsafe fn read(raw: &Self::Raw) -> SnapshotInfo {
        SnapshotInfo {
            position: raw.position,
            image_count: raw.image_count,
            state_bytes: raw.state_bytes,
            kv_bytes: raw.kv_bytes,
            home: SnapshotHome(raw.home),
            moved_bytes: raw.moved_bytes,
        }
    }
}

/// `minimax_feed_report`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeedReport {
    /// Of the prompt.
    pub token_count: u64,
    /// Of these, not computed: the session held them, or a snapshot did.
    pub tokens_reused: u64,
    /// Time spent on these: rewinding, or taking a snapshot over.
    pub restore_time: Duration,
    /// Time spent computing the others.
    pub prefill_time: Duration,
    /// Pictures of the prompt.
    pub image_count: u64,
    /// Of these, found in their cache, or among the tokens that were reused.
    pub images_reused: u64,
    /// Time spent on the others, loading the vision tower included.
    pub encode_time: Duration,
    /// The token of the prompt up to which it was known.
    pub diverged_at: i64,
    /// MINIMAX_MISS_...
    pub miss_reason: MissReason,
}

impl Filled for FeedReport {
    type Raw = raw::minimax_feed_report;
    fn empty() -> Self::Raw {
        raw::minimax_feed_report { struct_size: size_of::<raw::minimax_feed_report>(), ..Default::default() }
    }
    unsafe fn read(raw: &Self::Raw) -> FeedReport {
        FeedReport {
            token_count: raw.token_count,
            tokens_reused: raw.tokens_reused,
            restore_time: Duration::from_nanos(raw.restore_ns),
            prefill_time: Duration::from_nanos(raw.prefill_ns),
            image_count: raw.image_count,
            images_reused: raw.images_reused,
            encode_time: Duration::from_nanos(raw.encode_ns),
            diverged_at: raw.diverged_at,
            miss_reason: MissReason(raw.miss_reason),
        }
    }
}

/// A picture in a session's history.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImageSpan {
    /// Of its first token.
    pub position: i64,
    pub token_count: i64,
    /// Minimax_image_id.
    pub image_id: [u8; 32],
}

impl Filled for ImageSpan {
    type Raw = raw::minimax_image_span;
    fn empty() -> Self::Raw {
        raw::minimax_image_span { struct_size: size_of::<raw::minimax_image_span>(), ..Default::default() }
    }
    unsafe fn read(raw: &Self::Raw) -> ImageSpan {
        ImageSpan { position: raw.position, token_count: raw.token_count, image_id: raw.image_id }
    }
}

/// `minimax_session_stats`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionStats {
    pub position: i64,
    /// Since the session was created, resets included.
    pub fed_tokens: u64,
    /// In calls that fed several tokens.
    pub prefill_time: Duration,
    pub prefill_tokens: u64,
    /// In calls that fed one.
    pub decode_time: Duration,
    pub decode_tokens: u64,
    /// Lightning states and log.
    pub state_bytes: u64,
    /// Pages of keys and values.
    pub kv_bytes: u64,
    pub is_poisoned: bool,
}

impl Filled for SessionStats {
    type Raw = raw::minimax_session_stats;
    fn empty() -> Self::Raw {
        raw::minimax_session_stats { struct_size: size_of::<raw::minimax_session_stats>(), ..Default::default() }
    }
    unsafe fn read(raw: &Self::Raw) -> SessionStats {
        SessionStats {
            position: raw.position,
            fed_tokens: raw.fed_tokens,
            prefill_time: Duration::from_nanos(raw.prefill_ns),
            prefill_tokens: raw.prefill_tokens,
            decode_time: Duration::from_nanos(raw.decode_ns),
            decode_tokens: raw.decode_tokens,
            state_bytes: raw.state_bytes,
            kv_bytes: raw.kv_bytes,
            is_poisoned: raw.is_poisoned != 0,
        }
    }
}

/// `minimax_generate_result`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GenerateResult {
    pub stop_reason: StopReason,
    /// Drawn and fed to the session.
    pub token_count: u64,
    /// Time of the whole call.
    pub decode_time: Duration,
}

impl Filled for GenerateResult {
    type Raw = raw::minimax_generate_result;
    fn empty() -> Self::Raw {
        raw::minimax_generate_result { struct_size: size_of::<raw::minimax_generate_result>(), ..Default::default() }
    }
    unsafe fn read(raw: &Self::Raw) -> GenerateResult {
        GenerateResult {
            stop_reason: StopReason(raw.stop_reason),
            token_count: raw.token_count,
            decode_time: Duration::from_nanos(raw.decode_ns),
        }
    }
}

/// `minimax_batch_stats`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchStats {
    /// Requests that have not begun.
    pub waiting_count: u64,
    /// Of these, for pages of keys and values.
    pub waiting_for_memory_count: u64,
    /// Whose pictures or prompts are not finished.
    pub feeding_count: u64,
    pub answering_count: u64,
    /// That have not been taken. At 65,536 no step begins.
    pub event_count: u64,
    /// Since the batch was created, as all that follows.
    pub submitted_count: u64,
    pub finished_count: u64,
    pub failed_count: u64,
    pub cancelled_count: u64,
    pub step_count: u64,
    /// Time spent in steps.
    pub step_time: Duration,
    pub prefill_tokens: u64,
    pub decode_tokens: u64,
    /// That shared a step.
    pub most_sessions: u64,
    /// Now: of keys and values, beyond those that sessions hold.
    pub promised_bytes: u64,
}

impl Filled for BatchStats {
    type Raw = raw::minimax_batch_stats;
    fn empty() -> Self::Raw {
        raw::minimax_batch_stats { struct_size: size_of::<raw::minimax_batch_stats>(), ..Default::default() }
    }
    unsafe fn read(raw: &Self::Raw) -> BatchStats {
        BatchStats {
            waiting_count: raw.waiting_count,
            waiting_for_memory_count: raw.waiting_for_memory_count,
            feeding_count: raw.feeding_count,
            answering_count: raw.answering_count,
            event_count: raw.event_count,
            submitted_count: raw.submitted_count,
            finished_count: raw.finished_count,
            failed_count: raw.failed_count,
            cancelled_count: raw.cancelled_count,
            step_count: raw.step_count,
            step_time: Duration::from_nanos(raw.step_ns),
            prefill_tokens: raw.prefill_tokens,
            decode_tokens: raw.decode_tokens,
            most_sessions: raw.most_sessions,
            promised_bytes: raw.promised_bytes,
        }
    }
}

/// `minimax_session_file_info`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionFileInfo {
    pub file_bytes: u64,
    /// Tokens of the session.
    pub position: i64,
    /// Pictures among them.
    pub image_count: u64,
    pub format_version: i32,
    /// 0: none.
    pub rewind_tokens: i32,
    /// MINIMAX_TYPE_...: of keys and values in the file.
    pub kv_type: NumberType,
    /// 1 or 0: the session stands at logits.
    pub has_logits: bool,
    pub has_sampler: bool,
    /// "MiniMax-Text-01", zero-terminated.
    pub model_name: String,
    /// That wrote the file, zero-terminated.
    pub library_version: String,
    /// Equal for files of equal models.
    pub model_id: [u8; 16],
}

impl Filled for SessionFileInfo {
    type Raw = raw::minimax_session_file_info;
    fn empty() -> Self::Raw {
        raw::minimax_session_file_info {
            struct_size: size_of::<raw::minimax_session_file_info>(),
            ..Default::default()
        }
    }
    unsafe fn read(raw: &Self::Raw) -> SessionFileInfo {
        SessionFileInfo {
            file_bytes: raw.file_bytes,
            position: raw.position,
            image_count: raw.image_count,
            format_version: raw.format_version,
            rewind_tokens: raw.rewind_tokens,
            kv_type: NumberType(raw.kv_type),
            has_logits: raw.has_logits != 0,
            has_sampler: raw.has_sampler != 0,
            model_name: array_text(&raw.model_name),
            library_version: array_text(&raw.library_version),
            model_id: raw.model_id,
        }
    }
}

/// An engine keeps snapshots of its sessions for prompts that begin alike:
/// minimax_session_set_prompt, minimax_session_feed_prompt and prompts of batches take what they
/// can from there, and so need not compute it. A snapshot is kept of the end of each prompt and of
/// each reply, and, from the second prompt of a common beginning on, of the place where they part.
/// It shares keys, values and states with the session that it was taken of until that goes on, and
/// can be taken back by rewind_tokens, so that prompts which differ in their last words only need
/// no other. When prefix_cache_bytes_limit is reached, or somebody would be refused memory or
/// pages, those go first that save the least arithmetic a byte and were not used for long. What is
/// found belongs to the same tokens and pictures in the same order, and to sessions of the same
/// rewind_tokens. Logits behind it are those of a session that was fed the same pieces: to the bit,
/// unless the snapshot is taken back behind tokens that are folded; sums are then in another order,
/// as they are when a prompt is cut elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PrefixCacheStats {
    pub snapshot_count: u64,
    /// Of these.
    pub pinned_count: u64,
    /// Of all, as counted against the limit.
    pub bytes: u64,
    /// Of these, pages of keys and values, each counted once.
    pub kv_bytes: u64,
    /// 0: the cache is off.
    pub limit_bytes: u64,
    /// Since the engine was opened, as all that follows.
    pub lookup_count: u64,
    /// Lookups in which a snapshot went further than the session itself.
    pub hit_count: u64,
    /// By these, beyond what the sessions held.
    pub tokens_reused: u64,
    pub stored_count: u64,
    pub evicted_count: u64,
}

impl Filled for PrefixCacheStats {
    type Raw = raw::minimax_prefix_cache_stats;
    fn empty() -> Self::Raw {
        raw::minimax_prefix_cache_stats {
            struct_size: size_of::<raw::minimax_prefix_cache_stats>(),
            ..Default::default()
        }
    }
    unsafe fn read(raw: &Self::Raw) -> PrefixCacheStats {
        PrefixCacheStats {
            snapshot_count: raw.snapshot_count,
            pinned_count: raw.pinned_count,
            bytes: raw.bytes,
            kv_bytes: raw.kv_bytes,
            limit_bytes: raw.limit_bytes,
            lookup_count: raw.lookup_count,
            hit_count: raw.hit_count,
            tokens_reused: raw.tokens_reused,
            stored_count: raw.stored_count,
            evicted_count: raw.evicted_count,
        }
    }
}

/// Name and size of a struct that begins with its own size, and what the library says of its size.
pub(crate) type VersionedStruct = (&'static str, usize, fn() -> usize);

/// Each of them, as this crate was made for.
pub(crate) const VERSIONED_STRUCTS: &[VersionedStruct] = &[
    ("minimax_device_info", 48, || unsafe { raw::minimax_device_info_init(std::ptr::null_mut(), 0) }),
    ("minimax_engine_options", 128, || unsafe { raw::minimax_engine_options_init(std::ptr::null_mut(), 0) }),
    ("minimax_memory_plan", 104, || unsafe { raw::minimax_memory_plan_init(std::ptr::null_mut(), 0) }),
    ("minimax_engine_info", 96, || unsafe { raw::minimax_engine_info_init(std::ptr::null_mut(), 0) }),
    ("minimax_engine_memory", 56, || unsafe { raw::minimax_engine_memory_init(std::ptr::null_mut(), 0) }),
    ("minimax_token_info", 288, || unsafe { raw::minimax_token_info_init(std::ptr::null_mut(), 0) }),
    ("minimax_tile_plan", 104, || unsafe { raw::minimax_tile_plan_init(std::ptr::null_mut(), 0) }),
    ("minimax_image_cache_stats", 48, || unsafe { raw::minimax_image_cache_stats_init(std::ptr::null_mut(), 0) }),
    ("minimax_snapshot_info", 56, || unsafe { raw::minimax_snapshot_info_init(std::ptr::null_mut(), 0) }),
    ("minimax_session_options", 16, || unsafe { raw::minimax_session_options_init(std::ptr::null_mut(), 0) }),
    ("minimax_feed_report", 80, || unsafe { raw::minimax_feed_report_init(std::ptr::null_mut(), 0) }),
    ("minimax_image_span", 56, || unsafe { raw::minimax_image_span_init(std::ptr::null_mut(), 0) }),
    ("minimax_session_stats", 80, || unsafe { raw::minimax_session_stats_init(std::ptr::null_mut(), 0) }),
    ("minimax_sampler_options", 72, || unsafe { raw::minimax_sampler_options_init(std::ptr::null_mut(), 0) }),
    ("minimax_generate_options", 64, || unsafe { raw::minimax_generate_options_init(std::ptr::null_mut(), 0) }),
    ("minimax_generate_result", 32, || unsafe { raw::minimax_generate_result_init(std::ptr::null_mut(), 0) }),
    ("minimax_batch_options", 24, || unsafe { raw::minimax_batch_options_init(std::ptr::null_mut(), 0) }),
    ("minimax_batch_request", 72, || unsafe { raw::minimax_batch_request_init(std::ptr::null_mut(), 0) }),
    ("minimax_batch_event", 176, || unsafe { raw::minimax_batch_event_init(std::ptr::null_mut(), 0) }),
    ("minimax_batch_stats", 128, || unsafe { raw::minimax_batch_stats_init(std::ptr::null_mut(), 0) }),
    ("minimax_session_save_options", 16, || unsafe { raw::minimax_session_save_options_init(std::ptr::null_mut(), 0) }),
    ("minimax_session_load_options", 16, || unsafe { raw::minimax_session_load_options_init(std::ptr::null_mut(), 0) }),
    ("minimax_session_file_info", 168, || unsafe { raw::minimax_session_file_info_init(std::ptr::null_mut(), 0) }),
    ("minimax_prefix_cache_stats", 88, || unsafe { raw::minimax_prefix_cache_stats_init(std::ptr::null_mut(), 0) }),
];
