// SPDX-License-Identifier: Apache-2.0
//! Many sessions at once.
use std::ptr::{null, null_mut};
use std::sync::Mutex;
use std::time::Duration;

use crate::ffi::{bytes, check, filled, made, number, Handle, Strings};
use crate::{
    sys, BatchStats, Engine, EventKind, GenerateOptions, MissReason, Prompt, Result, Sampler, Session, Status,
    StopReason, WaitReason,
};

/// How a batch is made; the default of each is the library's.
#[derive(Debug, Clone, Default)]
pub struct BatchOptions {
    /// A thread of the library's computes, and [`Batch::step`] waits for events.
    pub own_thread: bool,
    /// Sessions that are computed at once; 0: the library's choice.
    pub session_limit: i32,
    /// Tokens of one step; 0: the engine's chunk.
    pub step_tokens: i64,
}

/// What a session is asked for in a batch.
#[derive(Debug, Default)]
pub struct Request<'a> {
    /// Fed first.
    pub prompt: Option<&'a Prompt>,
    /// Those before it have been fed.
    pub prompt_first_token: usize,
    /// Fed first, when there is no prompt. Neither: the session stands at logits and answers.
    pub tokens: &'a [i32],
    /// `None`: greedy. It is the batch's until the ticket ends.
    pub sampler: Option<&'a mut Sampler>,
    /// `None`: until the model ends.
    pub generate: Option<&'a GenerateOptions>,
    /// Feeds and draws nothing.
    pub feeds_only: bool,
    /// [`Priority::LOWEST`](crate::Priority::LOWEST) to `HIGHEST`.
    pub priority: i32,
}

/// What happened to a ticket.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Event {
    /// What it is about.
    pub kind: EventKind,
    /// That [`Batch::submit`] gave.
    pub ticket: u64,
    /// Of [`EventKind::TOKEN`], else -1.
    pub token: i32,
    /// What can be shown now, whole characters, perhaps nothing.
    pub text: String,
    /// Of [`EventKind::FINISHED`].
    pub stop_reason: StopReason,
    /// Of [`EventKind::FAILED`].
    pub status: Status,
    /// A sentence of `FAILED` and `QUEUED`.
    pub message: String,
    /// Of [`EventKind::QUEUED`].
    pub wait_reason: WaitReason,
    /// Of its prompt.
    pub fed_tokens: u64,
    /// Of these, not computed.
    pub tokens_reused: u64,
    /// The token of its prompt up to which it was known.
    pub diverged_at: i64,
    /// Why the others were computed.
    pub miss_reason: MissReason,
    /// Drawn and fed.
    pub token_count: u64,
    /// Pictures encoded.
    pub image_count: u64,
    /// Of these, found in the cache.
    pub images_reused: u64,
    /// From submit to start.
    pub wait_time: Duration,
    /// Spent on pictures.
    pub encode_time: Duration,
    /// From the first step to the end of its prompt.
    pub prefill_time: Duration,
    /// From there to the last.
    pub decode_time: Duration,
}

impl Event {
    /// Whether none comes after it for its ticket.
    pub fn ends_ticket(&self) -> bool {
        [EventKind::FINISHED, EventKind::FAILED, EventKind::CANCELLED].contains(&self.kind)
    }

    // The event's text must still be there.
    unsafe fn read(raw: &sys::minimax_batch_event) -> Event {
        let text = |at, size| String::from_utf8_lossy(unsafe { bytes(at, size) }).into_owned();
        Event {
            kind: EventKind(raw.kind),
            ticket: raw.ticket,
            token: raw.token,
            text: text(raw.text, raw.text_size),
            stop_reason: StopReason(raw.stop_reason),
            status: Status(raw.status),
            message: text(raw.message, raw.message_size),
            wait_reason: WaitReason(raw.wait_reason),
            fed_tokens: raw.fed_tokens,
            tokens_reused: raw.tokens_reused,
            diverged_at: raw.diverged_at,
            miss_reason: MissReason(raw.miss_reason),
            token_count: raw.token_count,
            image_count: raw.image_count,
            images_reused: raw.images_reused,
            wait_time: Duration::from_nanos(raw.wait_ns),
            encode_time: Duration::from_nanos(raw.encode_ns),
            prefill_time: Duration::from_nanos(raw.prefill_ns),
            decode_time: Duration::from_nanos(raw.decode_ns),
        }
    }
}

/// Computes the requests of many sessions of one engine together. Any thread.
#[derive(Debug)]
pub struct Batch {
    handle: Handle<sys::minimax_batch>,
    // Events are taken one at a time, and copied before the next.
    taking: Mutex<()>,
}

// submit, cancel, step and stats from any thread at once; next_event takes its turn.
unsafe impl Sync for Batch {}

impl Engine {
    /// A batch of this engine's sessions.
    pub fn create_batch(&self, options: &BatchOptions) -> Result<Batch> {
        let raw = sys::minimax_batch_options {
            struct_size: std::mem::size_of::<sys::minimax_batch_options>(),
            own_thread: options.own_thread.into(),
            session_limit: options.session_limit,
            step_tokens: options.step_tokens,
        };
        let handle = made(|out| unsafe { sys::minimax_batch_create(self.get(), &raw, out) })?;
        Ok(Batch { handle, taking: Mutex::new(()) })
    }
}

impl Batch {
    /// Hands a session over until its ticket ends; other calls with it, and with the sampler, are
    /// [`Status::NOT_AVAILABLE`] meanwhile.
    pub fn submit(&self, session: &mut Session, request: Request<'_>) -> Result<u64> {
        let none = GenerateOptions::default();
        let stops = Strings::new(&request.generate.unwrap_or(&none).stop_strings, "stop string")?;
        let generate = request.generate.map(|options| options.raw(&stops));
        let raw = sys::minimax_batch_request {
            struct_size: std::mem::size_of::<sys::minimax_batch_request>(),
            prompt: request.prompt.map_or(null(), |prompt| prompt.get() as *const _),
            prompt_first_token: request.prompt_first_token,
            tokens: if request.tokens.is_empty() { null() } else { request.tokens.as_ptr() },
            token_count: request.tokens.len(),
            sampler: request.sampler.map_or(null_mut(), |sampler| sampler.get()),
            generate: generate.as_ref().map_or(null(), |options| options as *const _),
            feeds_only: request.feeds_only.into(),
            priority: request.priority,
            user: null_mut(),
        };
        number(|out| unsafe { sys::minimax_batch_submit(self.handle.get(), session.get(), &raw, out) })
    }

    /// Computes one step, or with a thread of the library's waits for an event. `None` waits as
    /// long as it takes for something to do.
    pub fn step(&self, timeout: Option<Duration>) -> Result<()> {
        let timeout_ms = timeout.map_or(-1, |time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
        check(unsafe { sys::minimax_batch_step(self.handle.get(), timeout_ms) })
    }

    /// The oldest event that was not taken yet.
    pub fn next_event(&self) -> Result<Option<Event>> {
        let _turn = self.taking.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut raw = sys::minimax_batch_event {
            struct_size: std::mem::size_of::<sys::minimax_batch_event>(),
            ..Default::default()
        };
        check(unsafe { sys::minimax_batch_next_event(self.handle.get(), &mut raw) })?;
        if raw.kind == EventKind::NONE.0 {
            return Ok(None);
        }
        Ok(Some(unsafe { Event::read(&raw) }))
    }

    /// Ends a ticket with [`EventKind::CANCELLED`].
    pub fn cancel(&self, ticket: u64) -> Result<()> {
        check(unsafe { sys::minimax_batch_cancel(self.handle.get(), ticket) })
    }

    /// Counts.
    pub fn stats(&self) -> Result<BatchStats> {
        filled(|out| unsafe { sys::minimax_batch_get_stats(self.handle.get(), out) })
    }
}
