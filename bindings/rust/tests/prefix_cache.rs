// SPDX-License-Identifier: Apache-2.0
//! Prompts that begin alike: what is reused of them, what is told of it, and that answers stay the same.
use std::ops::ControlFlow::Continue;

use minimax::*;

mod support;
use support::*;

const SYSTEM: &str = "You are a helpful assistant who answers every question in one short and friendly sentence.";

/// Its counts are not those of other tests, which run beside.
fn own_engine() -> Engine {
    Engine::open(model()).unwrap()
}

/// A whole conversation, as a program hands it over at its second turn.
fn dialogue(engine: &Engine, last: &str) -> Prompt {
    let mut prompt = engine.create_prompt().unwrap();
    for (role, text) in [(Role::SYSTEM, SYSTEM), (Role::USER, QUESTION), (Role::ASSISTANT, ANSWER), (Role::USER, last)]
    {
        prompt.add_message(role, text).unwrap();
    }
    prompt.begin_reply().unwrap();
    prompt
}

/// Where two texts part.
fn parting(one: &[i32], other: &[i32]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

/// A session that was fed the same pieces by hand: one text, taken back up to the cut, then the end of another.
fn fed(engine: &Engine, first: &[i32], cut: usize, last: &[i32]) -> Session {
    let mut session = create_session(engine, CachePolicy::OFF);
    session.feed(first).unwrap();
    session.rewind((first.len() - cut) as i64).unwrap();
    session.feed(&last[cut..]).unwrap();
    session
}

fn expect_same(session: &mut Session, other: &mut Session) {
    assert_eq!(session.tokens(0).unwrap(), other.tokens(0).unwrap());
    assert!(bits(session.logits().unwrap()) == bits(other.logits().unwrap()), "logits differ");
    assert_eq!(answer(session, &at_most(20)).0, answer(other, &at_most(20)).0);
}

#[test]
fn an_edited_turn_is_computed_and_no_more() {
    let engine = own_engine();
    let (first, edited) = (dialogue(&engine, "What is red?"), dialogue(&engine, "What is blue?"));
    let mut session = engine.create_session().unwrap();
    let report = session.set_prompt(&first).unwrap();
    assert_eq!((report.tokens_reused, report.miss_reason), (0, MissReason::NEW));
    answer(&mut session, &at_most(5));
    let report = session.set_prompt(&edited).unwrap();
    let (before, tokens) = (first.tokens().unwrap(), edited.tokens().unwrap());
    let cut = parting(&before, &tokens);
    assert_eq!((report.token_count, report.tokens_reused), (tokens.len() as u64, cut as u64));
    assert_eq!((report.diverged_at, report.miss_reason), (cut as i64, MissReason::DIVERGED));
    expect_same(&mut session, &mut fed(&engine, &before, cut, &tokens));
}

#[test]
fn tokens_are_taken_and_misses_tell_why() {
    let engine = own_engine();
    let before: Vec<i32> = (1000..1200).collect();
    let mut tokens = before.clone();
    tokens[199] = 2000;
    let mut session = engine.create_session().unwrap();
    assert_eq!(session.set_tokens(&before).unwrap().miss_reason, MissReason::NEW);
    let report = session.set_tokens(&tokens).unwrap();
    assert_eq!((report.tokens_reused, report.diverged_at, report.miss_reason), (199, 199, MissReason::DIVERGED));
    expect_same(&mut session, &mut fed(&engine, &before, 199, &tokens));
    for (token, tokens_reused, reason) in [(2000, 0, MissReason::NO_CHECKPOINT), (3000, 100, MissReason::DIVERGED)] {
        let mut tokens = before[..100].to_vec();
        tokens.extend([token; 20]);
        let report = engine.create_session().unwrap().set_tokens(&tokens).unwrap();
        assert_eq!((report.tokens_reused, report.diverged_at, report.miss_reason), (tokens_reused, 100, reason));
    }
    let position = session.position().unwrap();
    for wrong in [&[][..], &[-1], &[8192]] {
        assert_eq!(session.set_tokens(wrong).unwrap_err().status(), Status::INVALID_ARGUMENT);
    }
    let foreign = question(&support::engine(), QUESTION, None);
    assert_eq!(session.set_prompt(&foreign).unwrap_err().status(), Status::WRONG_MODEL);
    assert_eq!(session.position().unwrap(), position);
}

#[test]
fn sessions_take_what_others_left() {
    let engine = own_engine();
    let prompt = question(&engine, LOOK, Some(&bee()));
    let mut alone = create_session(&engine, CachePolicy::OFF);
    assert_eq!(alone.set_prompt(&prompt).unwrap().miss_reason, MissReason::DISABLED);
    engine.create_session().unwrap().set_prompt(&prompt).unwrap();
    let mut session = create_session(&engine, CachePolicy::NO_STORE);
    let report = session.set_prompt(&prompt).unwrap();
    assert_eq!((report.tokens_reused, report.miss_reason), (report.token_count, MissReason::NONE));
    assert_eq!((report.images_reused, report.prefill_time.as_nanos()), (1, 0));
    expect_same(&mut session, &mut alone);
    let stats = engine.prefix_cache_stats().unwrap();
    assert_eq!((stats.hit_count, stats.tokens_reused), (1, report.token_count));
}

#[test]
fn events_of_a_batch_tell_of_reuse() {
    let engine = own_engine();
    let (red, blue) = (dialogue(&engine, "What is red?"), dialogue(&engine, "What is blue?"));
    let tokens = red.tokens().unwrap();
    let cut = parting(&tokens, &blue.tokens().unwrap());
    for (prompt, reason, reused) in
        [(&red, MissReason::NEW, 0), (&red, MissReason::NONE, tokens.len()), (&blue, MissReason::DIVERGED, cut)]
    {
        let batch = engine.create_batch(&BatchOptions::default()).unwrap();
        let mut session = engine.create_session().unwrap();
        let request = Request { prompt: Some(prompt), feeds_only: true, ..Request::default() };
        batch.submit(&mut session, request).unwrap();
        let last = loop {
            batch.step(None).unwrap();
            if let Some(last) = std::iter::from_fn(|| batch.next_event().unwrap()).find(Event::ends_ticket) {
                break last;
            }
        };
        assert_eq!((last.kind, last.miss_reason), (EventKind::FINISHED, reason));
        assert_eq!((last.tokens_reused as usize, last.diverged_at as usize), (reused, reused));
    }
}

#[test]
fn pins_stay_until_they_are_taken_back() {
    let engine = own_engine();
    let mut prefix = engine.create_prompt().unwrap();
    prefix.add_message(Role::SYSTEM, SYSTEM).unwrap();
    let options = SessionOptions { rewind_tokens: 64, ..SessionOptions::default() };
    let report = engine.pin_prefix(&prefix, &options).unwrap();
    assert_eq!((report.token_count as usize, report.miss_reason), (prefix.tokens().unwrap().len(), MissReason::NEW));
    let stats = engine.prefix_cache_stats().unwrap();
    assert_eq!((stats.pinned_count, stats.snapshot_count), (1, 1));
    assert_eq!(engine.memory().unwrap().prefix_cache_bytes, stats.bytes - stats.kv_bytes);
    let prompt = dialogue(&engine, "Hello!");
    let found = engine.create_session_with(&options).unwrap().set_prompt(&prompt).unwrap();
    assert_eq!(found.tokens_reused, report.token_count);
    assert_eq!(engine.create_session().unwrap().set_prompt(&prompt).unwrap().tokens_reused, 0);
    let none = engine.unpin_prefix(&prefix, &SessionOptions::default()).unwrap_err();
    assert_eq!(none.status(), Status::NOT_FOUND);
    engine.unpin_prefix(&prefix, &options).unwrap();
    let stats = engine.prefix_cache_stats().unwrap();
    assert!(stats.pinned_count == 0 && stats.snapshot_count > 1, "{stats:?}");
    engine.clear_prefix_cache().unwrap();
    assert_eq!(engine.prefix_cache_stats().unwrap().snapshot_count, 0);
    let options = SessionOptions { cache_policy: CachePolicy::NO_STORE, ..SessionOptions::default() };
    assert_eq!(engine.pin_prefix(&prefix, &options).unwrap_err().status(), Status::UNSUPPORTED);
}

#[test]
fn an_engine_may_keep_none() {
    let options = EngineOptions { prefix_cache_bytes_limit: -1, ..EngineOptions::default() };
    let engine = Engine::open_with(model(), &options, |_, _| Continue(())).unwrap();
    assert_eq!(engine.prefix_cache_stats().unwrap().limit_bytes, 0);
    let prompt = question(&engine, QUESTION, None);
    let report = engine.create_session().unwrap().set_prompt(&prompt).unwrap();
    assert_eq!(report.miss_reason, MissReason::DISABLED);
    let refused = engine.pin_prefix(&prompt, &SessionOptions::default()).unwrap_err();
    assert_eq!(refused.status(), Status::NOT_AVAILABLE);
}

#[test]
fn a_mark_that_moves_goes_on_to_the_bit() {
    let mut session = asked(QUESTION, None);
    let (mark, expected) = (session.mark().unwrap(), bits(session.logits().unwrap()));
    let kept = mark.info().unwrap();
    assert_eq!((kept.home, kept.moved_bytes), (SnapshotHome::DEVICE, 0));
    answer(&mut session, &at_most(0));
    let after = bits(session.logits().unwrap());
    let folder = std::env::temp_dir();
    for (home, place) in [
        (SnapshotHome::HOST, None),
        (SnapshotHome::FILE, Some(folder.as_path())),
        (SnapshotHome::HOST, None),
        (SnapshotHome::DEVICE, None),
    ] {
        mark.move_to(home, place).unwrap();
        let info = mark.info().unwrap();
        if home == SnapshotHome::FILE {
            assert!(info.home == home && info.moved_bytes > 0 && info.state_bytes == 0, "{info:?}");
        } else {
            assert_eq!(info, kept, "the CPU's memory is the program's");
        }
        session.return_to(&mark).unwrap();
        assert!(bits(session.logits().unwrap()) == expected, "logits differ in {home:?}");
        assert_eq!(answer(&mut session, &at_most(0)).0, ANSWER);
        assert!(bits(session.logits().unwrap()) == after, "logits after the answer differ in {home:?}");
    }
    let nowhere = mark.move_to(SnapshotHome::FILE, Some("no/such/folder".as_ref())).unwrap_err();
    assert_eq!(nowhere.status(), Status::NOT_FOUND);
    for (home, place) in [
        (SnapshotHome::FILE, None),
        (SnapshotHome::HOST, Some(folder.as_path())),
        (SnapshotHome(3), None),
        (SnapshotHome::FILE, Some("a\0b".as_ref())),
    ] {
        assert_eq!(mark.move_to(home, place).unwrap_err().status(), Status::INVALID_ARGUMENT);
    }
    assert_eq!(mark.info().unwrap(), kept);
}
