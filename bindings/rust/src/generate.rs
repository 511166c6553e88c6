// SPDX-License-Identifier: Apache-2.0
//! Answers through callbacks.
use std::ops::ControlFlow;
use std::os::raw::{c_char, c_void};
use std::ptr::null_mut;

use crate::ffi::{bytes, check, Callbacks, Filled, Strings};
use crate::{sys, GenerateResult, Result, Sampler, Session, Status};

/// When an answer ends.
#[derive(Debug, Clone, Default)]
pub struct GenerateOptions {
    /// 0: until a stop.
    pub max_tokens: i64,
    /// At most 64, none empty.
    pub stop_strings: Vec<String>,
    /// Goes on after the model's own end.
    pub ignore_stop_token: bool,
}

/// What is told while an answer is generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Heard<'a> {
    /// A token that was drawn, before it is fed.
    Token(i32),
    /// A piece of the answer, whole characters.
    Text(&'a str),
}

type Listener<'a> = &'a mut dyn FnMut(Heard<'_>) -> ControlFlow<()>;

unsafe extern "C" fn on_text(user: *mut c_void, text: *const c_char, size: usize) -> i32 {
    let text = unsafe { bytes(text, size) };
    unsafe { Callbacks::<Listener<'_>>::run(user, |listen| listen(Heard::Text(&String::from_utf8_lossy(text)))) }
}

unsafe extern "C" fn on_token(user: *mut c_void, token: i32) -> i32 {
    unsafe { Callbacks::<Listener<'_>>::run(user, |listen| listen(Heard::Token(token))) }
}

impl GenerateOptions {
    pub(crate) fn raw(&self, stops: &Strings) -> sys::minimax_generate_options {
        sys::minimax_generate_options {
            struct_size: std::mem::size_of::<sys::minimax_generate_options>(),
            max_tokens: self.max_tokens,
            stop_strings: stops.get(),
            stop_string_count: stops.count(),
            ignore_stop_token: self.ignore_stop_token.into(),
            ..Default::default()
        }
    }
}

impl Session {
    /// Draws and feeds tokens until a stop, and tells of each token and of text as it comes; `Break`
    /// stops. `sampler` `None`: greedy. A cancel is a reason to stop like others:
    /// [`StopReason::CANCELLED`](crate::StopReason::CANCELLED).
    pub fn generate(
        &mut self,
        sampler: Option<&mut Sampler>,
        options: &GenerateOptions,
        mut listen: impl FnMut(Heard<'_>) -> ControlFlow<()>,
    ) -> Result<GenerateResult> {
        let stops = Strings::new(&options.stop_strings, "stop string")?;
        let has_tokenizer = self.engine().info()?.has_tokenizer;
        let mut callbacks = Callbacks::<Listener<'_>>::new(&mut listen);
        let mut raw = options.raw(&stops);
        raw.on_text = if has_tokenizer { Some(on_text) } else { None };
        raw.on_token = Some(on_token);
        raw.user = callbacks.user();
        let mut result = GenerateResult::empty();
        let sampler = sampler.map_or(null_mut(), |sampler| sampler.get());
        let status = unsafe { sys::minimax_session_generate(self.get(), sampler, &raw, &mut result) };
        let ended = if status == Status::CANCELLED.0 { Ok(()) } else { check(status) };
        callbacks.end();
        ended?;
        Ok(unsafe { GenerateResult::read(&result) })
    }
}
