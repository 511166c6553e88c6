// SPDX-License-Identifier: Apache-2.0
// Talks with a model: messages from standard input, a line each; answers to standard output.
use std::io::{self, BufRead, Write};
use std::sync::{atomic::AtomicBool, atomic::Ordering::SeqCst, Mutex};
use std::{env, mem::take, ops::ControlFlow::*, process, thread, time::Duration};

use minimax::*;
type Outcome<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const HELP: &str = "usage: chat [--model FOLDER] [--max-tokens N] [--temp T]
/reset /system TEXT /image FILE /undo /retry /save FILE /load FILE /tokens /quit /help; ctrl-C ends an answer";
static ANSWERING: Mutex<Option<Canceller>> = Mutex::new(None);
static INTERRUPTED: AtomicBool = AtomicBool::new(false);
extern "C" fn interrupt(_: i32) {
    INTERRUPTED.store(true, SeqCst);
}
extern "C" {
    fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
}
// ctrl-C ends the answer, or the program when there is none.
fn watch_interrupts() {
    unsafe { signal(2, interrupt) };
    thread::spawn(|| loop {
        thread::sleep(Duration::from_millis(10));
        match &*ANSWERING.lock().unwrap() {
            Some(answering) if INTERRUPTED.load(SeqCst) => answering.cancel(),
            None if INTERRUPTED.load(SeqCst) => process::exit(130),
            _ => {}
        }
    });
}

fn show(text: &str) -> io::Result<()> {
    io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush())
}

// The dialogue before a message, and that message.
struct Turn(Snapshot, Vec<u8>, Vec<Image>);

struct Chat {
    engine: Engine,
    session: Session,
    sampler: Sampler,
    turns: Vec<Turn>,
    pictures: Vec<Image>, // for the next message
    system: String,
    options: GenerateOptions,
}

impl Chat {
    // Says a message and streams the answer; whatever fails leaves the dialogue as it was.
    fn ask(&mut self, message: Vec<u8>) -> Outcome<()> {
        self.turns.push(Turn(self.session.mark()?, message, take(&mut self.pictures)));
        *ANSWERING.lock().unwrap() = Some(self.session.canceller());
        let answered = self.answer();
        let interrupted = INTERRUPTED.swap(false, SeqCst);
        *ANSWERING.lock().unwrap() = None;
        if answered.is_err() {
            self.undo()?;
        }
        match interrupted {
            true => eprintln!("[interrupted]"),
            false => answered?,
        }
        Ok(())
    }

    fn answer(&mut self) -> Outcome<()> {
        let (mut prompt, turn) = (self.engine.create_prompt()?, &self.turns[self.turns.len() - 1]);
        match self.session.tokens((self.session.position()? - 1).max(0))?.pop() {
            Some(last) if self.engine.token_info(last)?.is_stop => prompt.end_reply(StopReason::TOKEN)?,
            Some(_) => prompt.end_reply(StopReason::CANCELLED)?,
            None if self.system.is_empty() => {}
            None => prompt.add_message(Role::SYSTEM, &self.system)?,
        }
        turn.2.iter().try_for_each(|picture| prompt.add_image(picture))?;
        prompt.add_message(Role::USER, &turn.1)?;
        prompt.begin_reply()?;
        self.session.feed_prompt(&prompt)?;
        self.session.generate(Some(&mut self.sampler), &self.options, |heard| match heard {
            Heard::Text(text) => show(text).map_or(Break(()), Continue),
            _ => Continue(()),
        })?;
        Ok(show("\n")?)
    }

    fn undo(&mut self) -> Result<Option<Turn>> {
        let turn = self.turns.pop();
        turn.iter().try_for_each(|turn| self.session.return_to(&turn.0))?;
        Ok(turn)
    }

    fn take_line(&mut self, line: Vec<u8>) -> Outcome<()> {
        let text = String::from_utf8_lossy(&line).into_owned();
        let (command, argument) = text.split_once(' ').unwrap_or((&text, ""));
        match command {
            "/quit" => process::exit(0),
            "/help" => eprintln!("{HELP}"),
            "/reset" | "/system" => {
                self.sampler.reset()?;
                (self.session, self.turns) = (self.engine.create_session()?, Vec::new());
                self.system = if command == "/system" { argument.into() } else { take(&mut self.system) };
            }
            "/image" => self.pictures.push(Image::from_file(argument)?),
            "/undo" | "/retry" => match self.undo()? {
                None => eprintln!("there is nothing to take back"),
                Some(_) if command == "/undo" => {}
                Some(Turn(_, message, pictures)) => {
                    self.pictures = pictures;
                    self.ask(message)?;
                }
            },
            "/save" => self.session.save(argument, Some(&self.sampler))?,
            "/load" => {
                let has_sampler = session_file_info(argument)?.has_sampler;
                let sampler = Some(&mut self.sampler).filter(|_| has_sampler);
                self.session = self.engine.load_session(argument, sampler)?;
                self.turns.clear();
            }
            "/tokens" => eprintln!("{} tokens", self.session.position()?),
            _ if command.starts_with('/') => eprintln!("{command} is no command; /help shows them"),
            _ if text.trim().is_empty() => {}
            _ => self.ask(line)?,
        }
        Ok(())
    }
}

fn main() -> Outcome<()> {
    let (mut model, mut drawing) = ("models/demo".to_string(), SamplerOptions::default());
    let mut options = GenerateOptions { max_tokens: 2048, ..GenerateOptions::default() };
    let mut words = env::args().skip(1);
    while let Some(name) = words.next() {
        match (name.as_str(), words.next()) {
            ("--model", Some(value)) => model = value,
            ("--max-tokens", Some(value)) => options.max_tokens = value.parse()?,
            ("--temp", Some(value)) => drawing.temperature = value.parse()?,
            _ => return Err(HELP.into()),
        }
    }
    let engine = Engine::open(model)?;
    let (session, sampler) = (engine.create_session()?, engine.create_sampler(&drawing)?);
    let mut chat = Chat { engine, session, sampler, turns: vec![], pictures: vec![], system: String::new(), options };
    watch_interrupts();
    for line in io::stdin().lock().split(b'\n') {
        chat.take_line(line?)?;
    }
    Ok(())
}
