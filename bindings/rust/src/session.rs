// SPDX-License-Identifier: Apache-2.0
//! One timeline of tokens: feeding, looking, going back, branching.
use std::path::Path;
use std::ptr::{null, NonNull};
use std::sync::{Arc, RwLock};

use crate::ffi::{c_path, check, filled, list, made, number, Handle};
use crate::{
    sys, CachePolicy, Engine, Error, FeedReport, ImageSpan, Prompt, Result, SessionStats, SnapshotHome, SnapshotInfo,
    Status,
};

/// How a session is made.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// How many of the last tokens can be taken back at least; 0: 32, at most 4096, -1: none.
    pub rewind_tokens: i32,
    /// What it has to do with the engine's prefix cache.
    pub cache_policy: CachePolicy,
}

impl Default for SessionOptions {
    fn default() -> SessionOptions {
        SessionOptions { rewind_tokens: 0, cache_policy: CachePolicy::AUTO }
    }
}

impl SessionOptions {
    pub(crate) fn raw(&self) -> sys::minimax_session_options {
        sys::minimax_session_options {
            struct_size: std::mem::size_of::<sys::minimax_session_options>(),
            rewind_tokens: self.rewind_tokens,
            cache_policy: self.cache_policy.0,
        }
    }
}

// The session while it lives, for those who may only cancel it.
#[derive(Debug)]
struct Life(RwLock<Option<Handle<sys::minimax_session>>>);

// Through a shared Life a session is cancelled, which any thread may do, or ended, by its owner.
unsafe impl Sync for Life {}

/// One timeline of tokens on an engine. One thread at a time.
#[derive(Debug)]
pub struct Session {
    at: NonNull<sys::minimax_session>,
    life: Arc<Life>,
    engine: Engine,
}

// NonNull is neither Send nor Sync; a session may move, and stays without Sync.
unsafe impl Send for Session {}

impl Drop for Session {
    fn drop(&mut self) {
        let ended = self.life.0.write().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        drop(ended);
    }
}

/// Stops what a session is doing, from any thread.
#[derive(Debug, Clone)]
pub struct Canceller {
    life: Arc<Life>,
}

impl Canceller {
    /// Ends the feed, score or generate that runs now, within one chunk or token. Nothing happens
    /// when none runs, or when the session is gone.
    pub fn cancel(&self) {
        let life = self.life.0.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(session) = &*life {
            unsafe { sys::minimax_session_cancel(session.get()) };
        }
    }
}

/// A session as it was at some moment; only where it lies can change.
#[derive(Debug)]
pub struct Snapshot {
    handle: Handle<sys::minimax_snapshot>,
}

impl Snapshot {
    /// Where it stands, and what it keeps.
    pub fn info(&self) -> Result<SnapshotInfo> {
        filled(|out| unsafe { sys::minimax_snapshot_get_info(self.handle.get(), out) })
    }

    /// Moves it off the device, or back; whoever returns to it goes on to the bit as if it had stayed.
    /// `folder`, with [`SnapshotHome::FILE`]: where the file is made, without a name, and gone with the
    /// snapshot.
    pub fn move_to(&self, home: SnapshotHome, folder: Option<&Path>) -> Result<()> {
        let folder = folder.map(c_path).transpose()?;
        let at = folder.as_ref().map_or(null(), |folder| folder.as_ptr());
        check(unsafe { sys::minimax_snapshot_move(self.handle.get(), home.0, at) })
    }
}

impl Engine {
    /// A new, empty timeline.
    pub fn create_session(&self) -> Result<Session> {
        self.create_session_with(&SessionOptions::default())
    }

    /// The same with options.
    pub fn create_session_with(&self, options: &SessionOptions) -> Result<Session> {
        let raw = options.raw();
        let handle = made(|out| unsafe { sys::minimax_session_create(self.get(), &raw, out) })?;
        Ok(Session::new(handle, self))
    }
}

impl Session {
    pub(crate) fn new(handle: Handle<sys::minimax_session>, engine: &Engine) -> Session {
        // Not NULL: Handle says so.
        let at = unsafe { NonNull::new_unchecked(handle.get()) };
        Session { at, life: Arc::new(Life(RwLock::new(Some(handle)))), engine: engine.clone() }
    }

    pub(crate) fn get(&self) -> *mut sys::minimax_session {
        self.at.as_ptr()
    }

    /// The engine it is a session of.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// For whoever may want to stop it: another thread, ctrl-C.
    pub fn canceller(&self) -> Canceller {
        Canceller { life: Arc::clone(&self.life) }
    }

    /// Feeds tokens, one or more; the session then stands after the last, with its logits. After
    /// [`Status::CANCELLED`] it stands after as many whole chunks as were finished.
    pub fn feed(&mut self, tokens: &[i32]) -> Result<()> {
        check(unsafe { sys::minimax_session_feed(self.get(), tokens.as_ptr(), tokens.len()) })
    }

    /// Feeds a prompt, its pictures encoded first.
    pub fn feed_prompt(&mut self, prompt: &Prompt) -> Result<FeedReport> {
        filled(|out| unsafe { sys::minimax_session_feed_prompt(self.get(), prompt.get(), out) })
    }

    /// The same from the prompt's token `first_token` on: those before it have been fed, by a call
    /// that was cancelled.
    pub fn feed_prompt_from(&mut self, prompt: &Prompt, first_token: usize) -> Result<FeedReport> {
        filled(|out| unsafe { sys::minimax_session_feed_prompt_from(self.get(), prompt.get(), first_token, out) })
    }

    /// Makes the session hold this prompt and nothing else: what both begin with stays, the rest comes
    /// from the prefix cache or is computed.
    pub fn set_prompt(&mut self, prompt: &Prompt) -> Result<FeedReport> {
        filled(|out| unsafe { sys::minimax_session_set_prompt(self.get(), prompt.get(), out) })
    }

    /// The same with tokens.
    pub fn set_tokens(&mut self, tokens: &[i32]) -> Result<FeedReport> {
        filled(|out| unsafe { sys::minimax_session_set_tokens(self.get(), tokens.as_ptr(), tokens.len(), out) })
    }

    /// Feeds tokens, and gives the logits after each: a row of the vocabulary's size a token.
    pub fn feed_logits(&mut self, tokens: &[i32]) -> Result<Vec<f32>> {
        let columns = self.engine.info()?.vocabulary_size as usize;
        let count = columns.checked_mul(tokens.len());
        let count = count.ok_or_else(|| Error::new(Status::OUT_OF_MEMORY, "more logits than memory has addresses"))?;
        let mut logits = vec![0.0; count];
        check(unsafe {
            let (from, to) = (tokens.as_ptr(), logits.as_mut_ptr());
            sys::minimax_session_feed_logits(self.get(), from, tokens.len(), to, count)
        })?;
        Ok(logits)
    }

    /// Feeds tokens, and gives the natural logarithm of the probability of each, given all before;
    /// that of a first one, which nothing precedes, is NaN.
    pub fn score(&mut self, tokens: &[i32]) -> Result<Vec<f32>> {
        let mut logprobs = vec![0.0; tokens.len()];
        check(unsafe { sys::minimax_session_score(self.get(), tokens.as_ptr(), tokens.len(), logprobs.as_mut_ptr()) })?;
        Ok(logprobs)
    }

    /// Number of tokens fed.
    pub fn position(&self) -> Result<i64> {
        number(|out| unsafe { sys::minimax_session_position(self.get(), out) })
    }

    /// The tokens from position `first` on.
    pub fn tokens(&self, first: i64) -> Result<Vec<i32>> {
        list(|at, capacity, out| unsafe { sys::minimax_session_tokens(self.get(), first, at, capacity, out) })
    }

    /// Where its pictures lie.
    pub fn images(&self) -> Result<Vec<ImageSpan>> {
        let count: usize = number(|out| unsafe { sys::minimax_session_image_count(self.get(), out) })?;
        (0..count)
            .map(|index| filled(|out| unsafe { sys::minimax_session_get_image_span(self.get(), index, out) }))
            .collect()
    }

    /// The logits after the last token, the session's own: the slice lives until the session is
    /// changed.
    pub fn logits(&self) -> Result<&[f32]> {
        let (mut logits, mut count) = (null(), 0);
        check(unsafe { sys::minimax_session_logits(self.get(), &mut logits, &mut count) })?;
        Ok(unsafe { std::slice::from_raw_parts(logits, count) })
    }

    /// Takes back the last tokens, exactly.
    pub fn rewind(&mut self, token_count: i64) -> Result<()> {
        check(unsafe { sys::minimax_session_rewind(self.get(), token_count) })
    }

    /// The position that [`rewind`](Session::rewind) can go back to.
    pub fn rewind_floor(&self) -> Result<i64> {
        number(|out| unsafe { sys::minimax_session_rewind_floor(self.get(), out) })
    }

    /// Keeps the session as it is now.
    pub fn mark(&self) -> Result<Snapshot> {
        let handle = made(|out| unsafe { sys::minimax_session_mark(self.get(), out) })?;
        Ok(Snapshot { handle })
    }

    /// The session becomes what it, or another of the same engine, was.
    pub fn return_to(&mut self, snapshot: &Snapshot) -> Result<()> {
        check(unsafe { sys::minimax_session_return_to(self.get(), snapshot.handle.get()) })
    }

    /// Another session at the same place.
    pub fn fork(&self) -> Result<Session> {
        let handle = made(|out| unsafe { sys::minimax_session_fork(self.get(), out) })?;
        Ok(Session::new(handle, &self.engine))
    }

    /// Forgets everything.
    pub fn reset(&mut self) -> Result<()> {
        check(unsafe { sys::minimax_session_reset(self.get()) })
    }

    /// Counts and sizes.
    pub fn stats(&self) -> Result<SessionStats> {
        filled(|out| unsafe { sys::minimax_session_get_stats(self.get(), out) })
    }
}
