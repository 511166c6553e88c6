// SPDX-License-Identifier: Apache-2.0
//! A loaded model, what one would need, and its tokenizer.
use std::ops::ControlFlow;
use std::os::raw::c_void;
use std::path::Path;
use std::sync::Arc;

use crate::ffi::{
    bytes, c_path, check, filled, list, made, on_progress, ready, Callbacks, Filled, Handle, Progress, Strings,
};
use crate::{
    sys, EngineInfo, EngineMemory, FeedReport, Image, ImageCacheStats, MemoryPlan, NumberType, PrefixCacheStats,
    Prompt, Result, SessionOptions, TilePlan, TokenKind, WeightSource,
};

/// How a model is opened; the default of each is the library's.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// "cpu", "cuda:0"; none: the CPU.
    pub devices: Vec<String>,
    /// CPU threads, the caller's included; 0: one a core.
    pub thread_count: i32,
    /// How weights are kept.
    pub weight_type: NumberType,
    /// What activations are computed in.
    pub compute_type: NumberType,
    /// Stored keys and values of softmax layers.
    pub kv_type: NumberType,
    /// Lightning states.
    pub state_type: NumberType,
    /// The files, or random numbers for benchmarks.
    pub weight_source: WeightSource,
    /// Of the random numbers.
    pub synthetic_seed: u64,
    /// Tokens a session may hold; 0: as many as memory has room for.
    pub context_limit: i64,
    /// Keys and values of all sessions together; 0: no limit.
    pub kv_bytes_limit: i64,
    /// Longest piece of a prompt computed at once; 0: the library's choice.
    pub chunk_tokens: i64,
    /// Encoded pictures that are kept for reuse; 0: 256 MiB.
    pub image_cache_bytes_limit: i64,
    /// Snapshots that are kept for reuse; 0: an eighth of free memory, -1: none.
    pub prefix_cache_bytes_limit: i64,
}

impl Default for EngineOptions {
    fn default() -> EngineOptions {
        EngineOptions {
            devices: Vec::new(),
            thread_count: 0,
            weight_type: NumberType::AUTO,
            compute_type: NumberType::AUTO,
            kv_type: NumberType::AUTO,
            state_type: NumberType::AUTO,
            weight_source: WeightSource::FROM_FILES,
            synthetic_seed: 0,
            context_limit: 0,
            kv_bytes_limit: 0,
            chunk_tokens: 0,
            image_cache_bytes_limit: 0,
            prefix_cache_bytes_limit: 0,
        }
    }
}

impl EngineOptions {
    fn raw(&self, devices: &Strings) -> sys::minimax_engine_options {
        sys::minimax_engine_options {
            struct_size: std::mem::size_of::<sys::minimax_engine_options>(),
            devices: devices.get(),
            device_count: devices.count(),
            thread_count: self.thread_count,
            weight_type: self.weight_type.0,
            compute_type: self.compute_type.0,
            kv_type: self.kv_type.0,
            state_type: self.state_type.0,
            weight_source: self.weight_source.0,
            synthetic_seed: self.synthetic_seed,
            context_limit: self.context_limit,
            kv_bytes_limit: self.kv_bytes_limit,
            chunk_tokens: self.chunk_tokens,
            image_cache_bytes_limit: self.image_cache_bytes_limit,
            prefix_cache_bytes_limit: self.prefix_cache_bytes_limit,
            ..Default::default()
        }
    }
}

/// What a model would need, from its config.json and the headers of its weight files alone.
pub fn plan(path: impl AsRef<Path>, options: &EngineOptions) -> Result<MemoryPlan> {
    ready()?;
    let (path, devices) = (c_path(path.as_ref())?, Strings::new(&options.devices, "device")?);
    let raw = options.raw(&devices);
    filled(|out| unsafe { sys::minimax_plan(path.as_ptr(), &raw, out) })
}

/// A token of the vocabulary.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenInfo {
    /// Text, marker or neither.
    pub kind: TokenKind,
    /// Ends an answer.
    pub is_stop: bool,
    /// Never sampled.
    pub is_suppressed: bool,
    /// What it stands for, cut at 256.
    pub bytes: Vec<u8>,
}

impl Filled for TokenInfo {
    type Raw = sys::minimax_token_info;
    fn empty() -> Self::Raw {
        Self::Raw { struct_size: std::mem::size_of::<Self::Raw>(), ..Default::default() }
    }
    unsafe fn read(raw: &Self::Raw) -> TokenInfo {
        TokenInfo {
            kind: TokenKind(raw.kind),
            is_stop: raw.is_stop != 0,
            is_suppressed: raw.is_suppressed != 0,
            bytes: unsafe { bytes(raw.bytes.as_ptr(), raw.size.min(raw.bytes.len())) }.to_vec(),
        }
    }
}

/// A loaded model: weights and tokenizer, immutable. Clones are the same engine, which ends with
/// the last of them and of what was made from it.
#[derive(Debug, Clone)]
pub struct Engine {
    handle: Arc<Handle<sys::minimax_engine>>,
}

impl Engine {
    /// Loads a model: a folder with config.json, safetensors and a tokenizer.
    pub fn open(path: impl AsRef<Path>) -> Result<Engine> {
        Engine::open_with(path, &EngineOptions::default(), |_, _| ControlFlow::Continue(()))
    }

    /// The same with options. `progress` hears bytes done and of all; `Break` gives up, with
    /// [`Status::CANCELLED`](crate::Status::CANCELLED).
    pub fn open_with(
        path: impl AsRef<Path>,
        options: &EngineOptions,
        mut progress: impl FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<Engine> {
        ready()?;
        let (path, devices) = (c_path(path.as_ref())?, Strings::new(&options.devices, "device")?);
        let mut callbacks = Callbacks::<Progress<'_>>::new(&mut progress);
        let mut raw = options.raw(&devices);
        raw.progress = Some(on_progress);
        raw.progress_user = callbacks.user();
        let opened = made(|out| unsafe { sys::minimax_engine_open(path.as_ptr(), &raw, out) });
        callbacks.end();
        Ok(Engine { handle: Arc::new(opened?) })
    }

    pub(crate) fn get(&self) -> *mut sys::minimax_engine {
        self.handle.get()
    }

    /// What was loaded.
    pub fn info(&self) -> Result<EngineInfo> {
        filled(|out| unsafe { sys::minimax_engine_get_info(self.get(), out) })
    }

    /// The model's config.json as it was read.
    pub fn config_json(&self) -> Result<String> {
        let text = list(|at: *mut u8, capacity, out| unsafe {
            sys::minimax_engine_config_json(self.get(), at.cast(), capacity, out)
        })?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Memory in use now.
    pub fn memory(&self) -> Result<EngineMemory> {
        filled(|out| unsafe { sys::minimax_engine_get_memory(self.get(), out) })
    }

    /// Text to tokens; `<image>` and its like become markers.
    pub fn tokenize(&self, text: impl AsRef<[u8]>) -> Result<Vec<i32>> {
        self.tokenize_as(text.as_ref(), sys::MINIMAX_TOKENIZE_DEFAULT as i32)
    }

    /// Text to tokens, markers as ordinary text: for text from strangers.
    pub fn tokenize_plain(&self, text: impl AsRef<[u8]>) -> Result<Vec<i32>> {
        self.tokenize_as(text.as_ref(), sys::MINIMAX_TOKENIZE_PLAIN as i32)
    }

    fn tokenize_as(&self, text: &[u8], flags: i32) -> Result<Vec<i32>> {
        list(|at, capacity, out| unsafe {
            sys::minimax_engine_tokenize(self.get(), text.as_ptr().cast(), text.len(), flags, at, capacity, out)
        })
    }

    /// Tokens to bytes, which may begin or end within a character; markers are left out.
    pub fn detokenize(&self, tokens: &[i32]) -> Result<Vec<u8>> {
        self.detokenize_as(tokens, sys::MINIMAX_DETOKENIZE_DEFAULT as i32)
    }

    /// The same with markers written out.
    pub fn detokenize_special(&self, tokens: &[i32]) -> Result<Vec<u8>> {
        self.detokenize_as(tokens, sys::MINIMAX_DETOKENIZE_SPECIAL as i32)
    }

    fn detokenize_as(&self, tokens: &[i32], flags: i32) -> Result<Vec<u8>> {
        list(|at: *mut u8, capacity, out| unsafe {
            let (from, count) = (tokens.as_ptr(), tokens.len());
            sys::minimax_engine_detokenize(self.get(), from, count, flags, at.cast(), capacity, out)
        })
    }

    /// What a token is.
    pub fn token_info(&self, token: i32) -> Result<TokenInfo> {
        filled(|out| unsafe { sys::minimax_engine_token_info(self.get(), token, out) })
    }

    /// What a picture of so many pixels becomes.
    pub fn image_plan(&self, width: i64, height: i64) -> Result<TilePlan> {
        filled(|out| unsafe { sys::minimax_image_plan(self.get(), width, height, out) })
    }

    /// Encodes a picture ahead of its use, into the cache. `progress` hears tiles; it must not feed
    /// sessions of this engine, which waits for it. `Break` gives up.
    pub fn encode_image(&self, image: &Image, mut progress: impl FnMut(u64, u64) -> ControlFlow<()>) -> Result<()> {
        let mut callbacks = Callbacks::<Progress<'_>>::new(&mut progress);
        let user: *mut c_void = callbacks.user();
        let encoded =
            check(unsafe { sys::minimax_engine_encode_image(self.get(), image.get(), Some(on_progress), user) });
        callbacks.end();
        encoded
    }

    /// Counts of the cache of encoded pictures.
    pub fn image_cache_stats(&self) -> Result<ImageCacheStats> {
        filled(|out| unsafe { sys::minimax_engine_get_image_cache_stats(self.get(), out) })
    }

    /// Forgets encoded pictures.
    pub fn clear_image_cache(&self) -> Result<()> {
        check(unsafe { sys::minimax_engine_clear_image_cache(self.get()) })
    }

    /// Counts of the prefix cache.
    pub fn prefix_cache_stats(&self) -> Result<PrefixCacheStats> {
        filled(|out| unsafe { sys::minimax_engine_get_prefix_cache_stats(self.get(), out) })
    }

    /// Forgets all its snapshots, pinned ones too.
    pub fn clear_prefix_cache(&self) -> Result<()> {
        check(unsafe { sys::minimax_engine_clear_prefix_cache(self.get()) })
    }

    /// Computes a prompt and keeps its snapshot until it is unpinned, for what every conversation begins
    /// with. `options` are those of the sessions that shall find it.
    pub fn pin_prefix(&self, prompt: &Prompt, options: &SessionOptions) -> Result<FeedReport> {
        filled(|out| unsafe { sys::minimax_engine_pin_prefix(self.get(), prompt.get(), &options.raw(), out) })
    }

    /// The snapshot becomes one like others.
    pub fn unpin_prefix(&self, prompt: &Prompt, options: &SessionOptions) -> Result<()> {
        check(unsafe { sys::minimax_engine_unpin_prefix(self.get(), prompt.get(), &options.raw()) })
    }
}
