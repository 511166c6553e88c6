// SPDX-License-Identifier: Apache-2.0
//! MiniMax-01 models (Text-01, VL-01, M1) inside your program: the Rust face of libminimax.
//!
//! Two nouns carry it. An [`Engine`] is a loaded model, shared by any number of threads. A
//! [`Session`] is one timeline of tokens on it. A [`Prompt`] holds messages and pictures on their
//! way to become tokens, a [`Sampler`] turns logits into a token, a [`Batch`] computes many
//! sessions together.
//!
//! ```no_run
//! use minimax::{Engine, GenerateOptions, Role};
//!
//! # fn main() -> minimax::Result<()> {
//! let engine = Engine::open("models/demo")?;
//! let mut session = engine.create_session()?;
//! let mut prompt = engine.create_prompt()?;
//! prompt.add_message(Role::USER, "What is the capital of France?")?;
//! prompt.begin_reply()?;
//! session.feed_prompt(&prompt)?;
//! for piece in session.answer(None, &GenerateOptions::default())? {
//!     print!("{}", piece?);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Threads
//!
//! [`Engine`], [`Image`], [`Snapshot`], [`Batch`] and [`Canceller`] are `Send` and `Sync`; all
//! else is `Send`, one thread at a time.
//!
//! # Unsafe code
//!
//! Declarations are generated from the header ([`sys`]). Unsafe code is there, in `ffi` (what all
//! calls share: handles, statuses, buffers, callbacks), and in the modules marked below, whose
//! functions are one call of the C interface each; the compiler refuses it elsewhere.
//!
//! # Errors
//!
//! An [`Error`] has a [`Status`] and one sentence with the names and numbers at fault. After an
//! error nothing has changed, unless a function says otherwise. A panic in a callback ends the
//! call and goes on in the caller.
#![deny(unsafe_code)]
#![deny(unsafe_op_in_unsafe_fn)]

mod answer;
#[allow(unsafe_code)]
mod batch;
#[allow(unsafe_code)]
mod engine;
mod error;
#[allow(unsafe_code)]
mod ffi;
#[allow(unsafe_code)]
mod file;
#[allow(unsafe_code)]
mod generate;
#[allow(unsafe_code)]
mod image;
#[allow(unsafe_code)]
mod library;
#[allow(unsafe_code)]
mod prompt;
#[allow(unsafe_code)]
mod sampler;
#[allow(unsafe_code)]
mod session;
#[allow(unsafe_code, unsafe_op_in_unsafe_fn)]
pub mod sys;
#[allow(unsafe_code)]
mod text_stream;

pub use answer::Answer;
pub use batch::{Batch, BatchOptions, Event, Request};
pub use engine::{plan, Engine, EngineOptions, TokenInfo};
pub use error::{Error, Result};
pub use file::session_file_info;
pub use generate::{GenerateOptions, Heard};
pub use image::Image;
pub use library::{clear_log, devices, has_feature, set_log, source_id, version, version_number};
pub use prompt::Prompt;
pub use sampler::{Sampler, SamplerOptions};
pub use session::{Canceller, Session, SessionOptions, Snapshot};
pub use sys::types::*;
pub use text_stream::TextStream;

// The tour of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
