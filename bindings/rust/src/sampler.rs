// SPDX-License-Identifier: Apache-2.0
//! Logits to a token.
use crate::ffi::{check, list, made, number, Handle};
use crate::{sys, Engine, Result, Session};

/// How tokens are drawn; the default is the most probable one.
#[derive(Debug, Clone, Default)]
pub struct SamplerOptions {
    /// 0: greedy; up to 100.
    pub temperature: f32,
    /// Smallest set of tokens of at least this probability; 0 or 1: off.
    pub top_p: f32,
    /// Tokens of at least this share of the best one's probability; 0: off.
    pub min_p: f32,
    /// The k most probable tokens; 0: off.
    pub top_k: i32,
    /// Divides the logits of tokens of the session; 0 or 1: off.
    pub repetition_penalty: f32,
    /// Subtracted once for a token that was accepted.
    pub presence_penalty: f32,
    /// Subtracted for each time.
    pub frequency_penalty: f32,
    /// Penalties look at so many last tokens; 0: at all.
    pub penalty_window: i32,
    /// The same seed, prompt and options give the same text.
    pub seed: u64,
    /// Added to logits of tokens; negative infinity forbids one.
    pub logit_bias: Vec<(i32, f32)>,
    /// So many alternatives are kept for [`Sampler::logprobs`].
    pub top_logprobs: i32,
}

/// Logits to a token, by bias, penalties, temperature, top-k, top-p, min-p and a draw.
#[derive(Debug)]
pub struct Sampler {
    handle: Handle<sys::minimax_sampler>,
}

impl Engine {
    /// A sampler of this engine's vocabulary.
    pub fn create_sampler(&self, options: &SamplerOptions) -> Result<Sampler> {
        let bias: Vec<_> =
            options.logit_bias.iter().map(|&(token, bias)| sys::minimax_logit_bias { token, bias }).collect();
        let raw = sys::minimax_sampler_options {
            struct_size: std::mem::size_of::<sys::minimax_sampler_options>(),
            temperature: options.temperature,
            top_p: options.top_p,
            min_p: options.min_p,
            top_k: options.top_k,
            repetition_penalty: options.repetition_penalty,
            presence_penalty: options.presence_penalty,
            frequency_penalty: options.frequency_penalty,
            penalty_window: options.penalty_window,
            seed: options.seed,
            logit_bias: if bias.is_empty() { std::ptr::null() } else { bias.as_ptr() },
            logit_bias_count: bias.len(),
            top_logprobs: options.top_logprobs,
        };
        let handle = made(|out| unsafe { sys::minimax_sampler_create(self.get(), &raw, out) })?;
        Ok(Sampler { handle })
    }
}

impl Sampler {
    pub(crate) fn get(&self) -> *mut sys::minimax_sampler {
        self.handle.get()
    }

    /// Forgets accepted tokens and starts its random numbers anew.
    pub fn reset(&mut self) -> Result<()> {
        check(unsafe { sys::minimax_sampler_reset(self.get()) })
    }

    /// Draws the token that follows, and accepts it. The session is not fed.
    pub fn sample(&mut self, session: &Session) -> Result<i32> {
        number(|out| unsafe { sys::minimax_sampler_sample(self.get(), session.get(), out) })
    }

    /// Counts a token that was chosen elsewhere.
    pub fn accept(&mut self, token: i32) -> Result<()> {
        check(unsafe { sys::minimax_sampler_accept(self.get(), token) })
    }

    /// Of the last sample: the drawn token first, then the most probable ones; natural logarithms.
    pub fn logprobs(&self) -> Result<Vec<(i32, f32)>> {
        let entries: Vec<sys::minimax_token_logprob> =
            list(|at, capacity, out| unsafe { sys::minimax_sampler_logprobs(self.get(), at, capacity, out) })?;
        Ok(entries.iter().map(|entry| (entry.token, entry.logprob)).collect())
    }
}
