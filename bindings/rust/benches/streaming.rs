// SPDX-License-Identifier: Apache-2.0
// Streams a long answer and prints tokens a second: streaming MODEL TOKENS [iterator]
use std::io::Write;
use std::ops::ControlFlow::{Break, Continue};
use std::time::Instant;

use minimax::{Engine, GenerateOptions, Heard, Role};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // cargo bench adds flags of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let model = arguments.first().map_or(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/demo"), String::as_str);
    let max_tokens = arguments.get(1).map_or(Ok(500), |count| count.parse())?;
    let engine = Engine::open(model)?;
    let (mut session, mut prompt) = (engine.create_session()?, engine.create_prompt()?);
    prompt.add_message(Role::USER, "Tell me a story.")?;
    prompt.begin_reply()?;
    session.feed_prompt(&prompt)?;
    let options = GenerateOptions { max_tokens, ignore_stop_token: true, ..GenerateOptions::default() };
    let mut sink = std::fs::File::create("/dev/null")?;
    let start = Instant::now();
    if arguments.len() > 2 {
        for piece in session.answer(None, &options)? {
            sink.write_all(piece?.as_bytes())?;
        }
    } else {
        session.generate(None, &options, |heard| match heard {
            Heard::Text(text) => sink.write_all(text.as_bytes()).map_or(Break(()), Continue),
            _ => Continue(()),
        })?;
    }
    println!("{:.2}", max_tokens as f64 / start.elapsed().as_secs_f64());
    Ok(())
}
