// SPDX-License-Identifier: Apache-2.0
//! Mistakes and bad luck: wrong values, panics, many threads, ends in any order.
use std::io;
use std::ops::ControlFlow::{Break, Continue};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::thread;

use minimax::*;

mod support;
use support::*;

fn assert_send<T: Send>() {}
fn assert_sync<T: Sync>() {}

// Does not compile when the type is Sync: `some` is then ambiguous.
macro_rules! assert_not_sync {
    ($($kind:ty),*) => { $({
        trait Ambiguous<A> { fn some() {} }
        impl<T: ?Sized> Ambiguous<()> for T {}
        struct OfSync;
        impl<T: ?Sized + Sync> Ambiguous<OfSync> for T {}
        <$kind as Ambiguous<_>>::some();
    })* };
}

#[test]
fn threads_are_as_the_header_says() {
    assert_send::<(Engine, Session, Snapshot, Prompt, Image, Sampler, TextStream, Batch, Canceller)>();
    assert_send::<Answer<'_>>();
    assert_sync::<(Engine, Image, Snapshot, Batch, Canceller, Error)>();
    assert_not_sync!(Session, Prompt, Sampler, TextStream, Answer<'_>);
}

fn expect<T>(result: Result<T>, status: Status, word: &str) {
    let error = result.err().expect("it should fail");
    assert_eq!(error.status(), status, "{error}");
    assert!(error.sentence().contains(word), "{error}");
}

#[test]
fn wrong_values_get_a_status_and_a_sentence() {
    let engine = engine();
    expect(Engine::open("no/such/model"), Status::NOT_FOUND, "no/such/model");
    expect(Engine::open("a\0b"), Status::INVALID_ARGUMENT, "zero byte at 1");
    expect(Image::from_file("no/such.png"), Status::NOT_FOUND, "no/such.png");
    expect(Image::from_memory(b"not a picture"), Status::BAD_FILE, "");
    expect(Image::from_pixels(&[0; 100], 10, 10, 30), Status::INVALID_ARGUMENT, "100 bytes");
    expect(Image::from_pixels(&[0; 100], usize::MAX, usize::MAX, usize::MAX), Status::INVALID_ARGUMENT, "100");
    expect(Image::from_pixels(&[], 0, 0, 0), Status::INVALID_ARGUMENT, "");
    let mut session = engine.create_session().unwrap();
    expect(session.feed(&[]), Status::INVALID_ARGUMENT, "");
    expect(session.feed(&[-1]), Status::INVALID_ARGUMENT, "-1");
    expect(session.set_tokens(&[9999]), Status::INVALID_ARGUMENT, "9999");
    expect(session.feed_logits(&[9999]), Status::INVALID_ARGUMENT, "9999");
    expect(session.logits(), Status::NOT_AVAILABLE, "");
    expect(session.rewind(-5), Status::INVALID_ARGUMENT, "-5");
    expect(session.tokens(7), Status::INVALID_ARGUMENT, "7");
    expect(session.answer(None, &at_most(0)), Status::NOT_AVAILABLE, "");
    let options = SamplerOptions { temperature: f32::NAN, ..SamplerOptions::default() };
    expect(engine.create_sampler(&options), Status::INVALID_ARGUMENT, "temperature");
    let options = EngineOptions { devices: vec!["tpu:0".into()], ..EngineOptions::default() };
    expect(Engine::open_with(model(), &options, |_, _| Continue(())), Status::NOT_FOUND, "tpu:0");
    expect(
        plan(model(), &EngineOptions { thread_count: -1, ..EngineOptions::default() }),
        Status::INVALID_ARGUMENT,
        "-1",
    );
    let mut prompt = engine.create_prompt().unwrap();
    expect(prompt.add_message(Role(77), "a"), Status::INVALID_ARGUMENT, "77");
    expect(prompt.set_tools_json("{"), Status::INVALID_ARGUMENT, "");
    expect(engine.load_session(model().join("config.json"), None), Status::BAD_FILE, "");
    assert_eq!(session.position().unwrap(), 0);
}

#[test]
fn handles_of_other_engines_are_refused() {
    let other = Engine::open(model()).unwrap();
    let (mut session, prompt) = (other.create_session().unwrap(), question(&engine(), QUESTION, None));
    expect(session.feed_prompt(&prompt), Status::WRONG_MODEL, "");
    let mut sampler = engine().create_sampler(&SamplerOptions::default()).unwrap();
    session.feed(&[1000]).unwrap();
    expect(session.generate(Some(&mut sampler), &at_most(1), |_| Continue(())), Status::WRONG_MODEL, "");
    expect(session.return_to(&asked(QUESTION, None).mark().unwrap()), Status::WRONG_MODEL, "");
}

#[test]
fn opening_can_be_given_up() {
    let opened = Engine::open_with(model(), &EngineOptions::default(), |_, _| Break(()));
    expect(opened, Status::CANCELLED, "");
}

#[test]
fn panics_in_callbacks_arrive_and_leave_all_whole() {
    let mut session = asked(QUESTION, None);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        session.generate(None, &at_most(0), |heard| match heard {
            Heard::Text(_) => panic!("enough"),
            _ => Continue(()),
        })
    }));
    assert_eq!(*panicked.unwrap_err().downcast::<&str>().unwrap(), "enough");
    session.feed(&[1000]).unwrap();
    let opened =
        catch_unwind(|| Engine::open_with(model(), &EngineOptions::default(), |_, _| panic!("no")).map(drop).unwrap());
    assert!(opened.is_err());
}

struct Broken;

impl io::Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::new(io::ErrorKind::Other, "the wire is cut"))
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        panic!("the reader panics")
    }
}

#[test]
fn broken_streams_are_the_cause_of_the_error() {
    let mut session = asked(QUESTION, None);
    let error = session.save_to(Broken, None).unwrap_err();
    assert_eq!(error.status(), Status::IO_ERROR);
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "the wire is cut");
    assert!(catch_unwind(|| engine().load_session_from(Broken, None).map(drop).unwrap()).is_err());
    let mut whole = Vec::new();
    session.save_to(&mut whole, None).unwrap();
    expect(engine().load_session_from(&whole[..whole.len() / 2], None), Status::BAD_FILE, "");
    whole[1000] ^= 1;
    expect(engine().load_session_from(&whole[..], None), Status::BAD_FILE, "");
}

#[test]
fn handles_end_in_any_order() {
    for first in 0..4 {
        let engine = Engine::open(model()).unwrap();
        let mut session = engine.create_session().unwrap();
        let prompt = question(&engine, QUESTION, None);
        session.feed_prompt(&prompt).unwrap();
        let (snapshot, canceller) = (session.mark().unwrap(), session.canceller());
        let (sampler, stream) =
            (engine.create_sampler(&SamplerOptions::default()).unwrap(), engine.create_text_stream(&[]).unwrap());
        let batch = engine.create_batch(&BatchOptions::default()).unwrap();
        batch.submit(&mut session, Request::default()).unwrap();
        let mut parts: Vec<Box<dyn std::any::Any>> =
            vec![Box::new(engine), Box::new(session), Box::new(batch), Box::new((prompt, snapshot, sampler, stream))];
        parts.rotate_left(first);
        parts.into_iter().for_each(drop);
        canceller.cancel();
    }
}

#[test]
fn many_threads_share_an_engine_a_picture_and_a_snapshot() {
    let (engine, image, snapshot) = (engine(), bee(), asked(QUESTION, None).mark().unwrap());
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let mut session = engine.create_session().unwrap();
                snapshot.move_to(SnapshotHome::FILE, Some(&std::env::temp_dir())).unwrap();
                session.return_to(&snapshot).unwrap();
                snapshot.move_to(SnapshotHome::DEVICE, None).unwrap();
                assert_eq!(answer(&mut session, &at_most(0)).0, ANSWER);
                session.reset().unwrap();
                session.feed_prompt(&question(&engine, LOOK, Some(&image))).unwrap();
                let missing = Engine::open("no/such/model").unwrap_err();
                assert!(missing.sentence().contains("no/such/model"));
            });
        }
    });
}

#[test]
fn cancelling_from_many_threads_while_sessions_end() {
    for _ in 0..20 {
        let mut session = asked(QUESTION, None);
        let cancellers: Vec<Canceller> = (0..3).map(|_| session.canceller()).collect();
        thread::scope(|scope| {
            for canceller in &cancellers {
                scope.spawn(move || (0..200).for_each(|_| canceller.cancel()));
            }
            let _ = session.feed(&[1000]);
            drop(session);
        });
    }
}

#[test]
fn a_batch_is_used_by_many_threads() {
    let engine = engine();
    let batch = engine.create_batch(&BatchOptions { own_thread: true, ..BatchOptions::default() }).unwrap();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut session = engine.create_session().unwrap();
                let prompt = question(&engine, QUESTION, None);
                let options = at_most(4);
                let request = Request { prompt: Some(&prompt), generate: Some(&options), ..Request::default() };
                let ticket = batch.submit(&mut session, request).unwrap();
                let _ = batch.cancel(ticket);
                while session.position().is_err() {
                    batch.step(Some(std::time::Duration::from_millis(5))).unwrap();
                    batch.next_event().unwrap();
                    batch.stats().unwrap();
                }
            });
        }
    });
}

#[test]
fn the_log_may_panic_and_be_replaced() {
    set_log(LogLevel::DEBUG, |_, _| panic!("in the log")).unwrap();
    drop(Engine::open(model()).unwrap());
    clear_log().unwrap();
    assert_eq!(version_number(), sys::MINIMAX_VERSION_NUMBER as i32);
    assert!(has_feature("cpu") && !has_feature("a\0b") && !source_id().is_empty());
    assert_eq!(devices().unwrap()[0].name, "cpu");
}
