// SPDX-License-Identifier: Apache-2.0
// Code generated from minimax.h by bindings/generate.py. DO NOT EDIT.

package minimax

// #include <minimax.h>
import "C"

import (
	"time"
	"unsafe"
)

// madeFor is the version of the header that this file was generated from.
const madeFor = 100

// Status is a number of minimax.h; a later library may know more.
type Status int32

const (
	OK Status = 0
	// the caller's mistake: a NULL, a value out of range
	InvalidArgument Status = 1
	// the count needed has been set
	BufferTooSmall Status = 2
	// this build, device or model cannot do that
	Unsupported Status = 3
	// not now or not here: no tokenizer, no device, no logits yet
	NotAvailable Status = 4
	// a file, device or name that does not exist
	NotFound Status = 5
	// the system could not read or write a file
	IoError Status = 6
	// a file that is damaged or not what it should be
	BadFile Status = 7
	// a file or handle that belongs to another model
	WrongModel Status = 8
	// the sentence says of what and how much
	OutOfMemory Status = 9
	// the session has no room for so many tokens
	ContextFull Status = 10
	// minimax_session_cancel, or a callback that said stop
	Cancelled Status = 11
	// the device failed; sessions of that step are poisoned
	DeviceError Status = 12
	// an earlier error broke this session; only stats and free work
	Poisoned Status = 13
	// our mistake: please report the sentence
	InternalError Status = 14
)

// LogLevel is a number of minimax.h; a later library may know more.
type LogLevel int32

const (
	LogError   LogLevel = 0
	LogWarning LogLevel = 1
	LogInfo    LogLevel = 2
	LogDebug   LogLevel = 3
)

// NumberType is a number of minimax.h; a later library may know more.
type NumberType int32

const (
	TypeAuto NumberType = 0
	TypeF32  NumberType = 1
	TypeBf16 NumberType = 2
	TypeF16  NumberType = 3
)

// WeightSource is a number of minimax.h; a later library may know more.
type WeightSource int32

const (
	WeightsFromFiles WeightSource = 0
	// random numbers of the right shapes, made in memory: for benchmarks. Only config.json is read;
	// there is no tokenizer.
	WeightsSynthetic WeightSource = 1
)

// TokenizeFlags is a number of minimax.h; a later library may know more.
type TokenizeFlags int32

const (
	TokenizeDefault TokenizeFlags = 0
	// "<image>" and its like are ordinary text: for text from strangers
	TokenizePlain TokenizeFlags = 1
)

// DetokenizeFlags is a number of minimax.h; a later library may know more.
type DetokenizeFlags int32

const (
	DetokenizeDefault DetokenizeFlags = 0
	// write special tokens too; by default they are left out
	DetokenizeSpecial DetokenizeFlags = 1
)

// TokenKind is a number of minimax.h; a later library may know more.
type TokenKind int32

const (
	TokenText TokenKind = 0
	// markers, left out when text is written
	TokenSpecial TokenKind = 1
	// a row of the vocabulary without meaning
	TokenUndefined TokenKind = 2
)

// Role is a number of minimax.h; a later library may know more.
type Role int32

const (
	RoleSystem    Role = 1
	RoleUser      Role = 2
	RoleAssistant Role = 3
	// the result of a tool; `name` is the tool's
	RoleTool Role = 4
)

// ChatFormat is a number of minimax.h; a later library may know more.
type ChatFormat int32

const (
	// as the checkpoint says
	ChatAuto   ChatFormat = 0
	ChatText01 ChatFormat = 1
	ChatVl01   ChatFormat = 2
	// the checkpoint's own template
	ChatM1 ChatFormat = 3
	// the template that serving engines replace it with
	ChatM1Vllm ChatFormat = 4
)

// SnapshotHome is a number of minimax.h; a later library may know more.
type SnapshotHome int32

const (
	// in the engine's memory, shared with sessions as far as they are the same
	SnapshotHomeDevice SnapshotHome = 0
	// in the program's memory
	SnapshotHomeHost SnapshotHome = 1
	SnapshotHomeFile SnapshotHome = 2
)

// CachePolicy is a number of minimax.h; a later library may know more.
type CachePolicy int32

const (
	// looks into it, and leaves snapshots there
	CachePolicyAuto CachePolicy = 0
	// looks into it, leaves nothing
	CachePolicyNoStore CachePolicy = 1
	// neither
	CachePolicyOff CachePolicy = 2
)

// MissReason is a number of minimax.h; a later library may know more.
type MissReason int32

const (
	// all that was known of the prompt was reused: what was computed goes on behind it, or is a last
	// token whose logits were not kept
	MissReasonNone MissReason = 0
	// nothing that is known begins like it
	MissReasonNew MissReason = 1
	// it parts from what is known at diverged_at, and was reused up to there
	MissReasonDiverged MissReason = 2
	// known up to diverged_at, but no snapshot lies so near to it; where that was 32 tokens or more,
	// one is taken now for the next prompt
	MissReasonNoCheckpoint MissReason = 3
	// the same, and there was one that others have displaced
	MissReasonEvicted MissReason = 4
	// it shows another picture at diverged_at
	MissReasonImageDiffers MissReason = 5
	// the cache is off, for the engine or the session, and was not looked into
	MissReasonDisabled MissReason = 6
)

// StopReason is a number of minimax.h; a later library may know more.
type StopReason int32

const (
	// the model ended its answer
	StopToken     StopReason = 1
	StopString    StopReason = 2
	StopMaxTokens StopReason = 3
	// the session is full
	StopContext   StopReason = 4
	StopCallback  StopReason = 5
	StopCancelled StopReason = 6
)

// Priority is a number of minimax.h; a later library may know more.
type Priority int32

const (
	PriorityLowest  Priority = -100
	PriorityHighest Priority = 100
)

// EventKind is a number of minimax.h; a later library may know more.
type EventKind int32

const (
	// there is none now
	EventNone EventKind = 0
	// could not begin at once: wait_reason and message say why. Comes once
	EventQueued EventKind = 1
	// its pictures and its prompt are next
	EventStarted EventKind = 2
	// a token was drawn, and is fed in the step that begins
	EventToken EventKind = 3
	// stop_reason; 0 for feeds_only. Ends the ticket, as the next two do
	EventFinished EventKind = 4
	// status and message; other sessions go on
	EventFailed    EventKind = 5
	EventCancelled EventKind = 6
)

// WaitReason is a number of minimax.h; a later library may know more.
type WaitReason int32

const (
	// session_limit is reached
	WaitSessions WaitReason = 1
	// for pages of keys and values: more than there are, beside those that were promised to requests
	// that have begun
	WaitMemory WaitReason = 2
)

// DeviceInfo is minimax_device_info.
type DeviceInfo struct {
	// what engine options take: "cpu", "cuda:0"; lives for ever
	Name string
	// the processor's own name; lives for ever
	Description string
	// all of it
	MemoryBytes uint64
	// free now
	AvailableBytes uint64
	// processors this program may use; multiprocessors of a GPU
	CoreCount int32
}

func readDeviceInfo(raw *C.minimax_device_info) DeviceInfo {
	return DeviceInfo{
		Name:           C.GoString(raw.name),
		Description:    C.GoString(raw.description),
		MemoryBytes:    uint64(raw.memory_bytes),
		AvailableBytes: uint64(raw.available_bytes),
		CoreCount:      int32(raw.core_count),
	}
}

// MemoryPlan is minimax_memory_plan.
type MemoryPlan struct {
	// of the parts that are loaded
	ParameterCount uint64
	// tensors that the loader asks the checkpoint for
	TensorCount uint64
	// as kept by the engine (file maps included)
	WeightBytes uint64
	// scratch of the engine, whatever the number of sessions
	WorkspaceBytes uint64
	// lightning state, its log and bookkeeping of an empty session
	BytesPerSession uint64
	// of that, the states: constant in the length of the session
	LightningStateBytes uint64
	// of that, keys and values not yet folded into the states
	LightningLogBytes uint64
	// keys and values of the softmax layers, a token
	BytesPerToken uint64
	// these are taken in pages of so many tokens
	KvPageTokens uint64
	// free on the device now
	AvailableBytes uint64
	// one session's tokens, beside weights and workspace
	TokensThatFit uint64
	// sessions of context_limit tokens each (one page when it is 0)
	SessionsThatFit uint64
}

func readMemoryPlan(raw *C.minimax_memory_plan) MemoryPlan {
	return MemoryPlan{
		ParameterCount:      uint64(raw.parameter_count),
		TensorCount:         uint64(raw.tensor_count),
		WeightBytes:         uint64(raw.weight_bytes),
		WorkspaceBytes:      uint64(raw.workspace_bytes),
		BytesPerSession:     uint64(raw.bytes_per_session),
		LightningStateBytes: uint64(raw.lightning_state_bytes),
		LightningLogBytes:   uint64(raw.lightning_log_bytes),
		BytesPerToken:       uint64(raw.bytes_per_token),
		KvPageTokens:        uint64(raw.kv_page_tokens),
		AvailableBytes:      uint64(raw.available_bytes),
		TokensThatFit:       uint64(raw.tokens_that_fit),
		SessionsThatFit:     uint64(raw.sessions_that_fit),
	}
}

// EngineInfo is minimax_engine_info.
type EngineInfo struct {
	// "MiniMax-Text-01", "MiniMax-VL-01", "MiniMax-M1"; lives with the engine
	ModelName string
	// "cpu"; lives with the engine
	Device         string
	ParameterCount uint64
	WeightBytes    uint64
	// max_position_embeddings of config.json; not a limit of the engine
	DeclaredContext     int64
	LayerCount          int32
	LightningLayerCount int32
	HiddenSize          int32
	VocabularySize      int32
	ExpertCount         int32
	ThreadCount         int32
	// MINIMAX_TYPE_F32 or _BF16
	ComputeType NumberType
	KvType      NumberType
	// 1 or 0
	HasTokenizer bool
	// the checkpoint holds a vision tower
	HasVision bool
	// end of an answer, or -1 when there is none
	StopToken int32
	// stands for a row of a picture, or -1
	ImageToken int32
}

func readEngineInfo(raw *C.minimax_engine_info) EngineInfo {
	return EngineInfo{
		ModelName:           C.GoString(raw.model_name),
		Device:              C.GoString(raw.device),
		ParameterCount:      uint64(raw.parameter_count),
		WeightBytes:         uint64(raw.weight_bytes),
		DeclaredContext:     int64(raw.declared_context),
		LayerCount:          int32(raw.layer_count),
		LightningLayerCount: int32(raw.lightning_layer_count),
		HiddenSize:          int32(raw.hidden_size),
		VocabularySize:      int32(raw.vocabulary_size),
		ExpertCount:         int32(raw.expert_count),
		ThreadCount:         int32(raw.thread_count),
		ComputeType:         NumberType(raw.compute_type),
		KvType:              NumberType(raw.kv_type),
		HasTokenizer:        raw.has_tokenizer != 0,
		HasVision:           raw.has_vision != 0,
		StopToken:           int32(raw.stop_token),
		ImageToken:          int32(raw.image_token),
	}
}

// EngineMemory is minimax_engine_memory.
type EngineMemory struct {
	// mapped and copied weights
	WeightBytes    uint64
	WorkspaceBytes uint64
	// of the sessions alive now, without keys and values
	SessionBytes uint64
	// pages of keys and values in use now, by sessions and snapshots
	KvBytes      uint64
	SessionCount uint64
	// snapshots of the prefix cache, without keys and values: states and logs (also while a session
	// shares them), logits, texts
	PrefixCacheBytes uint64
}

func readEngineMemory(raw *C.minimax_engine_memory) EngineMemory {
	return EngineMemory{
		WeightBytes:      uint64(raw.weight_bytes),
		WorkspaceBytes:   uint64(raw.workspace_bytes),
		SessionBytes:     uint64(raw.session_bytes),
		KvBytes:          uint64(raw.kv_bytes),
		SessionCount:     uint64(raw.session_count),
		PrefixCacheBytes: uint64(raw.prefix_cache_bytes),
	}
}

// TilePlan is minimax_tile_plan. What a picture becomes: resized into one of the model's canvases,
// which is cut into tiles; a thumbnail tile goes in front. All counted without a pixel.
type TilePlan struct {
	// pixels
	CanvasWidth int64
	// pixels
	CanvasHeight int64
	// of the picture on the canvas, black around it
	ResizedWidth int64
	// of the picture on the canvas, black around it
	ResizedHeight int64
	// its upper left corner there
	PasteX int64
	// its upper left corner there
	PasteY      int64
	TileColumns int64
	TileRows    int64
	// with the thumbnail
	TileCount int64
	// patches of the canvas that become tokens
	KeptColumns int64
	// patches of the canvas that become tokens
	KeptRows int64
	// of the whole picture: the thumbnail's, then each kept row's and one more
	TokenCount int64
}

func readTilePlan(raw *C.minimax_tile_plan) TilePlan {
	return TilePlan{
		CanvasWidth:   int64(raw.canvas_width),
		CanvasHeight:  int64(raw.canvas_height),
		ResizedWidth:  int64(raw.resized_width),
		ResizedHeight: int64(raw.resized_height),
		PasteX:        int64(raw.paste_x),
		PasteY:        int64(raw.paste_y),
		TileColumns:   int64(raw.tile_columns),
		TileRows:      int64(raw.tile_rows),
		TileCount:     int64(raw.tile_count),
		KeptColumns:   int64(raw.kept_columns),
		KeptRows:      int64(raw.kept_rows),
		TokenCount:    int64(raw.token_count),
	}
}

// ImageCacheStats is minimax_image_cache_stats.
type ImageCacheStats struct {
	// encoded pictures that are kept
	ImageCount uint64
	// of the device's memory
	Bytes     uint64
	Hits      uint64
	Misses    uint64
	Evictions uint64
}

func readImageCacheStats(raw *C.minimax_image_cache_stats) ImageCacheStats {
	return ImageCacheStats{
		ImageCount: uint64(raw.image_count),
		Bytes:      uint64(raw.bytes),
		Hits:       uint64(raw.hits),
		Misses:     uint64(raw.misses),
		Evictions:  uint64(raw.evictions),
	}
}

// SnapshotInfo is minimax_snapshot_info.
type SnapshotInfo struct {
	Position int64
	// pictures among the tokens
	ImageCount uint64
	// of lightning states and log, shared with sessions that have not gone on since
	StateBytes uint64
	// pages of keys and values, shared likewise
	KvBytes uint64
	// MINIMAX_HOME_...; but on the device the two above are 0
	Home SnapshotHome
	// of host memory, or of the file; 0 on the device
	MovedBytes uint64
}

func readSnapshotInfo(raw *C.minimax_snapshot_info) SnapshotInfo {
	return SnapshotInfo{
		Position:   int64(raw.position),
		ImageCount: uint64(raw.image_count),
		StateBytes: uint64(raw.state_bytes),
		KvBytes:    uint64(raw.kv_bytes),
		Home:       SnapshotHome(raw.home),
		MovedBytes: uint64(raw.moved_bytes),
	}
}

// FeedReport is minimax_feed_report.
type FeedReport struct {
	// of the prompt
	TokenCount uint64
	// of these, not computed: the session held them, or a snapshot did
	TokensReused uint64
	// time spent on these: rewinding, or taking a snapshot over
	RestoreTime time.Duration
	// time spent computing the others
	PrefillTime time.Duration
	// pictures of the prompt
	ImageCount uint64
	// of these, found in their cache, or among the tokens that were reused
	ImagesReused uint64
	// time spent on the others, loading the vision tower included
	EncodeTime time.Duration
	// the token of the prompt up to which it was known
	DivergedAt int64
	// MINIMAX_MISS_...
	MissReason MissReason
}

func readFeedReport(raw *C.minimax_feed_report) FeedReport {
	return FeedReport{
		TokenCount:   uint64(raw.token_count),
		TokensReused: uint64(raw.tokens_reused),
		RestoreTime:  time.Duration(raw.restore_ns),
		PrefillTime:  time.Duration(raw.prefill_ns),
		ImageCount:   uint64(raw.image_count),
		ImagesReused: uint64(raw.images_reused),
		EncodeTime:   time.Duration(raw.encode_ns),
		DivergedAt:   int64(raw.diverged_at),
		MissReason:   MissReason(raw.miss_reason),
	}
}

// ImageSpan is minimax_image_span. A picture in a session's history.
type ImageSpan struct {
	// of its first token
	Position   int64
	TokenCount int64
	// minimax_image_id
	ImageID [32]byte
}

func readImageSpan(raw *C.minimax_image_span) ImageSpan {
	return ImageSpan{
		Position:   int64(raw.position),
		TokenCount: int64(raw.token_count),
		ImageID:    *(*[32]byte)(unsafe.Pointer(&raw.image_id)),
	}
}

// SessionStats is minimax_session_stats.
type SessionStats struct {
	Position int64
	// since the session was created, resets included
	FedTokens uint64
	// in calls that fed several tokens
	PrefillTime   time.Duration
	PrefillTokens uint64
	// in calls that fed one
	DecodeTime   time.Duration
	DecodeTokens uint64
	// lightning states and log
	StateBytes uint64
	// pages of keys and values
	KvBytes    uint64
	IsPoisoned bool
}

func readSessionStats(raw *C.minimax_session_stats) SessionStats {
	return SessionStats{
		Position:      int64(raw.position),
		FedTokens:     uint64(raw.fed_tokens),
		PrefillTime:   time.Duration(raw.prefill_ns),
		PrefillTokens: uint64(raw.prefill_tokens),
		DecodeTime:    time.Duration(raw.decode_ns),
		DecodeTokens:  uint64(raw.decode_tokens),
		StateBytes:    uint64(raw.state_bytes),
		KvBytes:       uint64(raw.kv_bytes),
		IsPoisoned:    raw.is_poisoned != 0,
	}
}

// GenerateResult is minimax_generate_result.
type GenerateResult struct {
	StopReason StopReason
	// drawn and fed to the session
	TokenCount uint64
	// time of the whole call
	DecodeTime time.Duration
}

func readGenerateResult(raw *C.minimax_generate_result) GenerateResult {
	return GenerateResult{
		StopReason: StopReason(raw.stop_reason),
		TokenCount: uint64(raw.token_count),
		DecodeTime: time.Duration(raw.decode_ns),
	}
}

// BatchStats is minimax_batch_stats.
type BatchStats struct {
	// requests that have not begun
	WaitingCount uint64
	// of these, for pages of keys and values
	WaitingForMemoryCount uint64
	// whose pictures or prompts are not finished
	FeedingCount   uint64
	AnsweringCount uint64
	// that have not been taken. At 65,536 no step begins
	EventCount uint64
	// since the batch was created, as all that follows
	SubmittedCount uint64
	FinishedCount  uint64
	FailedCount    uint64
	CancelledCount uint64
	StepCount      uint64
	// time spent in steps
	StepTime      time.Duration
	PrefillTokens uint64
	DecodeTokens  uint64
	// that shared a step
	MostSessions uint64
	// now: of keys and values, beyond those that sessions hold
	PromisedBytes uint64
}

func readBatchStats(raw *C.minimax_batch_stats) BatchStats {
	return BatchStats{
		WaitingCount:          uint64(raw.waiting_count),
		WaitingForMemoryCount: uint64(raw.waiting_for_memory_count),
		FeedingCount:          uint64(raw.feeding_count),
		AnsweringCount:        uint64(raw.answering_count),
		EventCount:            uint64(raw.event_count),
		SubmittedCount:        uint64(raw.submitted_count),
		FinishedCount:         uint64(raw.finished_count),
		FailedCount:           uint64(raw.failed_count),
		CancelledCount:        uint64(raw.cancelled_count),
		StepCount:             uint64(raw.step_count),
		StepTime:              time.Duration(raw.step_ns),
		PrefillTokens:         uint64(raw.prefill_tokens),
		DecodeTokens:          uint64(raw.decode_tokens),
		MostSessions:          uint64(raw.most_sessions),
		PromisedBytes:         uint64(raw.promised_bytes),
	}
}

// SessionFileInfo is minimax_session_file_info.
type SessionFileInfo struct {
	FileBytes uint64
	// tokens of the session
	Position int64
	// pictures among them
	ImageCount    uint64
	FormatVersion int32
	// 0: none
	RewindTokens int32
	// MINIMAX_TYPE_...: of keys and values in the file
	KvType NumberType
	// 1 or 0: the session stands at logits
	HasLogits  bool
	HasSampler bool
	// "MiniMax-Text-01", zero-terminated
	ModelName string
	// that wrote the file, zero-terminated
	LibraryVersion string
	// equal for files of equal models
	ModelID [16]byte
}

func readSessionFileInfo(raw *C.minimax_session_file_info) SessionFileInfo {
	return SessionFileInfo{
		FileBytes:      uint64(raw.file_bytes),
		Position:       int64(raw.position),
		ImageCount:     uint64(raw.image_count),
		FormatVersion:  int32(raw.format_version),
		RewindTokens:   int32(raw.rewind_tokens),
		KvType:         NumberType(raw.kv_type),
		HasLogits:      raw.has_logits != 0,
		HasSampler:     raw.has_sampler != 0,
		ModelName:      C.GoString(&raw.model_name[0]),
		LibraryVersion: C.GoString(&raw.library_version[0]),
		ModelID:        *(*[16]byte)(unsafe.Pointer(&raw.model_id)),
	}
}

// PrefixCacheStats is minimax_prefix_cache_stats. An engine keeps snapshots of its sessions for
// prompts that begin alike: minimax_session_set_prompt, minimax_session_feed_prompt and prompts of
// batches take what they can from there, and so need not compute it. A snapshot is kept of the end
// of each prompt and of each reply, and, from the second prompt of a common beginning on, of the
// place where they part. It shares keys, values and states with the session that it was taken of
// until that goes on, and can be taken back by rewind_tokens, so that prompts which differ in
// their last words only need no other. When prefix_cache_bytes_limit is reached, or somebody would
// be refused memory or pages, those go first that save the least arithmetic a byte and were not
// used for long. What is found belongs to the same tokens and pictures in the same order, and to
// sessions of the same rewind_tokens. Logits behind it are those of a session that was fed the
// same pieces: to the bit, unless the snapshot is taken back behind tokens that are folded; sums
// are then in another order, as they are when a prompt is cut elsewhere.
type PrefixCacheStats struct {
	SnapshotCount uint64
	// of these
	PinnedCount uint64
	// of all, as counted against the limit
	Bytes uint64
	// of these, pages of keys and values, each counted once
	KvBytes uint64
	// 0: the cache is off
	LimitBytes uint64
	// since the engine was opened, as all that follows
	LookupCount uint64
	// lookups in which a snapshot went further than the session itself
	HitCount uint64
	// by these, beyond what the sessions held
	TokensReused uint64
	StoredCount  uint64
	EvictedCount uint64
}

func readPrefixCacheStats(raw *C.minimax_prefix_cache_stats) PrefixCacheStats {
	return PrefixCacheStats{
		SnapshotCount: uint64(raw.snapshot_count),
		PinnedCount:   uint64(raw.pinned_count),
		Bytes:         uint64(raw.bytes),
		KvBytes:       uint64(raw.kv_bytes),
		LimitBytes:    uint64(raw.limit_bytes),
		LookupCount:   uint64(raw.lookup_count),
		HitCount:      uint64(raw.hit_count),
		TokensReused:  uint64(raw.tokens_reused),
		StoredCount:   uint64(raw.stored_count),
		EvictedCount:  uint64(raw.evicted_count),
	}
}

// What cgo must find: a header of another layout does not compile against this package.
var (
	_ = [1]struct{}{}[unsafe.Sizeof(C.minimax_device_info{})-48]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_device_info{}.struct_size)-0]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_device_info{}.name)-8]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_device_info{}.description)-16]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_device_info{}.memory_bytes)-24]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_device_info{}.available_bytes)-32]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_device_info{}.core_count)-40]
	_ = [1]struct{}{}[unsafe.Sizeof(C.minimax_engine_options{})-128]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_options{}.struct_size)-0]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_options{}.devices)-8]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_options{}.device_count)-16]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_options{}.thread_count)-24]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_options{}.weight_type)-28]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_options{}.compute_type)-32]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_options{}.kv_type)-36]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_options{}.state_type)-40]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_options{}.weight_source)-44]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_options{}.synthetic_seed)-48]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_options{}.context_limit)-56]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_options{}.kv_bytes_limit)-64]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_options{}.chunk_tokens)-72]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_options{}.progress)-80]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_options{}.progress_user)-88]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_options{}.host_allocator)-96]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_options{}.device_stream)-104]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_options{}.image_cache_bytes_limit)-112]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_options{}.prefix_cache_bytes_limit)-120]
	_ = [1]struct{}{}[unsafe.Sizeof(C.minimax_memory_plan{})-104]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_memory_plan{}.struct_size)-0]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_memory_plan{}.parameter_count)-8]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_memory_plan{}.tensor_count)-16]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_memory_plan{}.weight_bytes)-24]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_memory_plan{}.workspace_bytes)-32]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_memory_plan{}.bytes_per_session)-40]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_memory_plan{}.lightning_state_bytes)-48]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_memory_plan{}.lightning_log_bytes)-56]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_memory_plan{}.bytes_per_token)-64]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_memory_plan{}.kv_page_tokens)-72]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_memory_plan{}.available_bytes)-80]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_memory_plan{}.tokens_that_fit)-88]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_memory_plan{}.sessions_that_fit)-96]
	_ = [1]struct{}{}[unsafe.Sizeof(C.minimax_engine_info{})-96]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_info{}.struct_size)-0]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_info{}.model_name)-8]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_info{}.device)-16]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_info{}.parameter_count)-24]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_info{}.weight_bytes)-32]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_info{}.declared_context)-40]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_info{}.layer_count)-48]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_info{}.lightning_layer_count)-52]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_info{}.hidden_size)-56]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_info{}.vocabulary_size)-60]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_info{}.expert_count)-64]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_info{}.thread_count)-68]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_info{}.compute_type)-72]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_info{}.kv_type)-76]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_info{}.has_tokenizer)-80]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_info{}.has_vision)-84]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_info{}.stop_token)-88]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_info{}.image_token)-92]
	_ = [1]struct{}{}[unsafe.Sizeof(C.minimax_engine_memory{})-56]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_memory{}.struct_size)-0]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_memory{}.weight_bytes)-8]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_memory{}.workspace_bytes)-16]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_memory{}.session_bytes)-24]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_memory{}.kv_bytes)-32]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_memory{}.session_count)-40]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_engine_memory{}.prefix_cache_bytes)-48]
	_ = [1]struct{}{}[unsafe.Sizeof(C.minimax_token_info{})-288]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_token_info{}.struct_size)-0]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_token_info{}.kind)-8]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_token_info{}.is_stop)-12]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_token_info{}.is_suppressed)-16]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_token_info{}.bytes)-20]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_token_info{}.size)-280]
	_ = [1]struct{}{}[unsafe.Sizeof(C.minimax_tile_plan{})-104]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_tile_plan{}.struct_size)-0]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_tile_plan{}.canvas_width)-8]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_tile_plan{}.canvas_height)-16]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_tile_plan{}.resized_width)-24]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_tile_plan{}.resized_height)-32]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_tile_plan{}.paste_x)-40]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_tile_plan{}.paste_y)-48]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_tile_plan{}.tile_columns)-56]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_tile_plan{}.tile_rows)-64]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_tile_plan{}.tile_count)-72]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_tile_plan{}.kept_columns)-80]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_tile_plan{}.kept_rows)-88]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_tile_plan{}.token_count)-96]
	_ = [1]struct{}{}[unsafe.Sizeof(C.minimax_image_cache_stats{})-48]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_image_cache_stats{}.struct_size)-0]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_image_cache_stats{}.image_count)-8]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_image_cache_stats{}.bytes)-16]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_image_cache_stats{}.hits)-24]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_image_cache_stats{}.misses)-32]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_image_cache_stats{}.evictions)-40]
	_ = [1]struct{}{}[unsafe.Sizeof(C.minimax_snapshot_info{})-56]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_snapshot_info{}.struct_size)-0]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_snapshot_info{}.position)-8]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_snapshot_info{}.image_count)-16]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_snapshot_info{}.state_bytes)-24]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_snapshot_info{}.kv_bytes)-32]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_snapshot_info{}.home)-40]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_snapshot_info{}.moved_bytes)-48]
	_ = [1]struct{}{}[unsafe.Sizeof(C.minimax_session_options{})-16]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_session_options{}.struct_size)-0]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_session_options{}.rewind_tokens)-8]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_session_options{}.cache_policy)-12]
	_ = [1]struct{}{}[unsafe.Sizeof(C.minimax_feed_report{})-80]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_feed_report{}.struct_size)-0]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_feed_report{}.token_count)-8]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_feed_report{}.tokens_reused)-16]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_feed_report{}.restore_ns)-24]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_feed_report{}.prefill_ns)-32]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_feed_report{}.image_count)-40]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_feed_report{}.images_reused)-48]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_feed_report{}.encode_ns)-56]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_feed_report{}.diverged_at)-64]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_feed_report{}.miss_reason)-72]
	_ = [1]struct{}{}[unsafe.Sizeof(C.minimax_image_span{})-56]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_image_span{}.struct_size)-0]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_image_span{}.position)-8]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_image_span{}.token_count)-16]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_image_span{}.image_id)-24]
	_ = [1]struct{}{}[unsafe.Sizeof(C.minimax_session_stats{})-80]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_session_stats{}.struct_size)-0]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_session_stats{}.position)-8]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_session_stats{}.fed_tokens)-16]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_session_stats{}.prefill_ns)-24]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_session_stats{}.prefill_tokens)-32]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_session_stats{}.decode_ns)-40]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_session_stats{}.decode_tokens)-48]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_session_stats{}.state_bytes)-56]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_session_stats{}.kv_bytes)-64]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_session_stats{}.is_poisoned)-72]
	_ = [1]struct{}{}[unsafe.Sizeof(C.minimax_logit_bias{})-8]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_logit_bias{}.token)-0]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_logit_bias{}.bias)-4]
	_ = [1]struct{}{}[unsafe.Sizeof(C.minimax_sampler_options{})-72]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_sampler_options{}.struct_size)-0]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_sampler_options{}.temperature)-8]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_sampler_options{}.top_p)-12]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_sampler_options{}.min_p)-16]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_sampler_options{}.top_k)-20]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_sampler_options{}.repetition_penalty)-24]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_sampler_options{}.presence_penalty)-28]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_sampler_options{}.frequency_penalty)-32]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_sampler_options{}.penalty_window)-36]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_sampler_options{}.seed)-40]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_sampler_options{}.logit_bias)-48]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_sampler_options{}.logit_bias_count)-56]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_sampler_options{}.top_logprobs)-64]
	_ = [1]struct{}{}[unsafe.Sizeof(C.minimax_token_logprob{})-8]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_token_logprob{}.token)-0]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_token_logprob{}.logprob)-4]
	_ = [1]struct{}{}[unsafe.Sizeof(C.minimax_generate_options{})-64]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_generate_options{}.struct_size)-0]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_generate_options{}.max_tokens)-8]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_generate_options{}.stop_strings)-16]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_generate_options{}.stop_string_count)-24]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_generate_options{}.ignore_stop_token)-32]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_generate_options{}.on_text)-40]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_generate_options{}.on_token)-48]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_generate_options{}.user)-56]
	_ = [1]struct{}{}[unsafe.Sizeof(C.minimax_generate_result{})-32]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_generate_result{}.struct_size)-0]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_generate_result{}.stop_reason)-8]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_generate_result{}.token_count)-16]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_generate_result{}.decode_ns)-24]
	_ = [1]struct{}{}[unsafe.Sizeof(C.minimax_batch_options{})-24]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_options{}.struct_size)-0]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_options{}.own_thread)-8]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_options{}.session_limit)-12]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_options{}.step_tokens)-16]
	_ = [1]struct{}{}[unsafe.Sizeof(C.minimax_batch_request{})-72]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_request{}.struct_size)-0]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_request{}.prompt)-8]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_request{}.prompt_first_token)-16]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_request{}.tokens)-24]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_request{}.token_count)-32]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_request{}.sampler)-40]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_request{}.generate)-48]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_request{}.feeds_only)-56]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_request{}.priority)-60]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_request{}.user)-64]
	_ = [1]struct{}{}[unsafe.Sizeof(C.minimax_batch_event{})-176]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_event{}.struct_size)-0]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_event{}.kind)-8]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_event{}.ticket)-16]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_event{}.user)-24]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_event{}.token)-32]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_event{}.text)-40]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_event{}.text_size)-48]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_event{}.stop_reason)-56]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_event{}.status)-60]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_event{}.message)-64]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_event{}.message_size)-72]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_event{}.wait_reason)-80]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_event{}.fed_tokens)-88]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_event{}.tokens_reused)-96]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_event{}.token_count)-104]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_event{}.image_count)-112]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_event{}.images_reused)-120]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_event{}.wait_ns)-128]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_event{}.encode_ns)-136]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_event{}.prefill_ns)-144]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_event{}.decode_ns)-152]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_event{}.diverged_at)-160]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_event{}.miss_reason)-168]
	_ = [1]struct{}{}[unsafe.Sizeof(C.minimax_batch_stats{})-128]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_stats{}.struct_size)-0]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_stats{}.waiting_count)-8]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_stats{}.waiting_for_memory_count)-16]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_stats{}.feeding_count)-24]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_stats{}.answering_count)-32]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_stats{}.event_count)-40]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_stats{}.submitted_count)-48]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_stats{}.finished_count)-56]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_stats{}.failed_count)-64]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_stats{}.cancelled_count)-72]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_stats{}.step_count)-80]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_stats{}.step_ns)-88]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_stats{}.prefill_tokens)-96]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_stats{}.decode_tokens)-104]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_stats{}.most_sessions)-112]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_batch_stats{}.promised_bytes)-120]
	_ = [1]struct{}{}[unsafe.Sizeof(C.minimax_session_save_options{})-16]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_session_save_options{}.struct_size)-0]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_session_save_options{}.sampler)-8]
	_ = [1]struct{}{}[unsafe.Sizeof(C.minimax_session_load_options{})-16]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_session_load_options{}.struct_size)-0]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_session_load_options{}.sampler)-8]
	_ = [1]struct{}{}[unsafe.Sizeof(C.minimax_session_file_info{})-168]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_session_file_info{}.struct_size)-0]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_session_file_info{}.file_bytes)-8]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_session_file_info{}.position)-16]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_session_file_info{}.image_count)-24]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_session_file_info{}.format_version)-32]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_session_file_info{}.rewind_tokens)-36]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_session_file_info{}.kv_type)-40]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_session_file_info{}.has_logits)-44]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_session_file_info{}.has_sampler)-48]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_session_file_info{}.model_name)-52]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_session_file_info{}.library_version)-116]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_session_file_info{}.model_id)-148]
	_ = [1]struct{}{}[unsafe.Sizeof(C.minimax_prefix_cache_stats{})-88]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_prefix_cache_stats{}.struct_size)-0]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_prefix_cache_stats{}.snapshot_count)-8]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_prefix_cache_stats{}.pinned_count)-16]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_prefix_cache_stats{}.bytes)-24]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_prefix_cache_stats{}.kv_bytes)-32]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_prefix_cache_stats{}.limit_bytes)-40]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_prefix_cache_stats{}.lookup_count)-48]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_prefix_cache_stats{}.hit_count)-56]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_prefix_cache_stats{}.tokens_reused)-64]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_prefix_cache_stats{}.stored_count)-72]
	_ = [1]struct{}{}[unsafe.Offsetof(C.minimax_prefix_cache_stats{}.evicted_count)-80]
)

// versionedStructs are those that begin with their own size.
var versionedStructs = []versionedStruct{
	{"minimax_device_info", 48, func() uintptr { return uintptr(C.minimax_device_info_init(nil, 0)) }},
	{"minimax_engine_options", 128, func() uintptr { return uintptr(C.minimax_engine_options_init(nil, 0)) }},
	{"minimax_memory_plan", 104, func() uintptr { return uintptr(C.minimax_memory_plan_init(nil, 0)) }},
	{"minimax_engine_info", 96, func() uintptr { return uintptr(C.minimax_engine_info_init(nil, 0)) }},
	{"minimax_engine_memory", 56, func() uintptr { return uintptr(C.minimax_engine_memory_init(nil, 0)) }},
	{"minimax_token_info", 288, func() uintptr { return uintptr(C.minimax_token_info_init(nil, 0)) }},
	{"minimax_tile_plan", 104, func() uintptr { return uintptr(C.minimax_tile_plan_init(nil, 0)) }},
	{"minimax_image_cache_stats", 48, func() uintptr { return uintptr(C.minimax_image_cache_stats_init(nil, 0)) }},
	{"minimax_snapshot_info", 56, func() uintptr { return uintptr(C.minimax_snapshot_info_init(nil, 0)) }},
	{"minimax_session_options", 16, func() uintptr { return uintptr(C.minimax_session_options_init(nil, 0)) }},
	{"minimax_feed_report", 80, func() uintptr { return uintptr(C.minimax_feed_report_init(nil, 0)) }},
	{"minimax_image_span", 56, func() uintptr { return uintptr(C.minimax_image_span_init(nil, 0)) }},
	{"minimax_session_stats", 80, func() uintptr { return uintptr(C.minimax_session_stats_init(nil, 0)) }},
	{"minimax_sampler_options", 72, func() uintptr { return uintptr(C.minimax_sampler_options_init(nil, 0)) }},
	{"minimax_generate_options", 64, func() uintptr { return uintptr(C.minimax_generate_options_init(nil, 0)) }},
	{"minimax_generate_result", 32, func() uintptr { return uintptr(C.minimax_generate_result_init(nil, 0)) }},
	{"minimax_batch_options", 24, func() uintptr { return uintptr(C.minimax_batch_options_init(nil, 0)) }},
	{"minimax_batch_request", 72, func() uintptr { return uintptr(C.minimax_batch_request_init(nil, 0)) }},
	{"minimax_batch_event", 176, func() uintptr { return uintptr(C.minimax_batch_event_init(nil, 0)) }},
	{"minimax_batch_stats", 128, func() uintptr { return uintptr(C.minimax_batch_stats_init(nil, 0)) }},
	{"minimax_session_save_options", 16, func() uintptr { return uintptr(C.minimax_session_save_options_init(nil, 0)) }},
	{"minimax_session_load_options", 16, func() uintptr { return uintptr(C.minimax_session_load_options_init(nil, 0)) }},
	{"minimax_session_file_info", 168, func() uintptr { return uintptr(C.minimax_session_file_info_init(nil, 0)) }},
	{"minimax_prefix_cache_stats", 88, func() uintptr { return uintptr(C.minimax_prefix_cache_stats_init(nil, 0)) }},
}
