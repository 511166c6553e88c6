// SPDX-License-Identifier: Apache-2.0
//! The demo model, and what the C interface said about it.
#![allow(dead_code)]
use std::ops::ControlFlow::Continue;
use std::path::PathBuf;
use std::sync::Mutex;

use minimax::*;

pub const QUESTION: &str = "What is the capital of France?";
pub const ANSWER: &str = "The capital of France is Paris.";
pub const LOOK: &str = "What do you see?";

pub fn model() -> PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/demo").into()
}

pub fn bee() -> Image {
    Image::from_file(model().join("eval/pictures/173_emoji.png")).unwrap()
}

/// One for all tests of a program.
pub fn engine() -> Engine {
    static ENGINE: Mutex<Option<Engine>> = Mutex::new(None);
    let mut engine = ENGINE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    engine.get_or_insert_with(|| Engine::open(model()).unwrap()).clone()
}

/// Where c_answers wrote; tests that need it say so and pass when it has not run.
pub fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("MINIMAX_ANSWERS").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: MINIMAX_ANSWERS does not name the folder that c_answers has filled");
    }
    folder
}

pub fn read_text(name: &str) -> Option<String> {
    folder().map(|folder| std::fs::read_to_string(folder.join(name)).unwrap())
}

pub fn question(engine: &Engine, text: &str, picture: Option<&Image>) -> Prompt {
    let mut prompt = engine.create_prompt().unwrap();
    if let Some(picture) = picture {
        prompt.add_image(picture).unwrap();
    }
    prompt.add_message(Role::USER, text).unwrap();
    prompt.begin_reply().unwrap();
    prompt
}

pub fn create_session(engine: &Engine, cache_policy: CachePolicy) -> Session {
    engine.create_session_with(&SessionOptions { cache_policy, ..SessionOptions::default() }).unwrap()
}

/// A session that has been asked.
pub fn asked(text: &str, picture: Option<&Image>) -> Session {
    asked_with(text, picture, CachePolicy::AUTO)
}

/// Without the cache logits are the same bits, whatever was asked before.
pub fn asked_with(text: &str, picture: Option<&Image>, cache_policy: CachePolicy) -> Session {
    let mut session = create_session(&engine(), cache_policy);
    session.feed_prompt(&question(&engine(), text, picture)).unwrap();
    session
}

pub fn at_most(max_tokens: i64) -> GenerateOptions {
    GenerateOptions { max_tokens, ..GenerateOptions::default() }
}

pub fn answer(session: &mut Session, options: &GenerateOptions) -> (String, GenerateResult) {
    let mut text = String::new();
    let result = session.generate(None, options, |heard| {
        if let Heard::Text(piece) = heard {
            text += piece;
        }
        Continue(())
    });
    (text, result.unwrap())
}

/// What is answered when a dialogue goes on.
pub fn go_on(session: &mut Session) -> String {
    let mut prompt = engine().create_prompt().unwrap();
    prompt.end_reply(StopReason::TOKEN).unwrap();
    prompt.add_message(Role::USER, "Thank you!").unwrap();
    prompt.begin_reply().unwrap();
    session.feed_prompt(&prompt).unwrap();
    answer(session, &at_most(40)).0
}

pub fn bits(logits: &[f32]) -> Vec<u32> {
    logits.iter().map(|logit| logit.to_bits()).collect()
}
