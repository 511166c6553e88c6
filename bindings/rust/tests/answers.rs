// SPDX-License-Identifier: Apache-2.0
//! Answers are those of the C interface, to the bit, and dialogues go on in other languages.
use std::io::Cursor;
use std::ops::ControlFlow::{Break, Continue};
use std::thread;
use std::time::Duration;

use minimax::*;

mod support;
use support::*;

fn read_logits(name: &str) -> Option<Vec<u32>> {
    let bytes = std::fs::read(folder()?.join(name)).unwrap();
    Some(bytes.chunks_exact(4).map(|four| u32::from_ne_bytes(four.try_into().unwrap())).collect())
}

fn expect_the_answer_of_c(name: &str, question: &str, picture: Option<&Image>) {
    let (text, logits) = match (read_text(&format!("{name}.txt")), read_logits(&format!("{name}.logits"))) {
        (Some(text), Some(logits)) => (text, logits),
        _ => return,
    };
    let mut session = asked_with(question, picture, CachePolicy::OFF);
    let mut seen = bits(session.logits().unwrap());
    assert_eq!(answer(&mut session, &at_most(40)).0, text);
    seen.extend(bits(session.logits().unwrap()));
    assert!(seen == logits, "logits differ from those of C");

    let mut session = asked_with(question, picture, CachePolicy::OFF);
    let pieces: Vec<String> = session.answer(None, &at_most(40)).unwrap().map(|piece| piece.unwrap()).collect();
    assert_eq!(pieces.concat(), text);
    assert!(pieces.len() > 1, "it does not stream");
    assert!(bits(session.logits().unwrap()) == logits[logits.len() / 2..], "logits of the iterator differ");
}

#[test]
fn a_text_gives_the_answer_of_c() {
    expect_the_answer_of_c("text", QUESTION, None);
}

#[test]
fn a_picture_gives_the_answer_of_c() {
    expect_the_answer_of_c("picture", LOOK, Some(&bee()));
}

#[test]
fn answers() {
    let (text, result) = answer(&mut asked(QUESTION, None), &at_most(0));
    assert_eq!((text.as_str(), result.stop_reason), (ANSWER, StopReason::TOKEN));
}

#[test]
fn pictures_from_memory_and_pixels_are_the_same_pictures() {
    let bytes = std::fs::read(model().join("eval/pictures/173_emoji.png")).unwrap();
    assert_eq!(Image::from_memory(&bytes).unwrap().id().unwrap(), bee().id().unwrap());
    let pixels = Image::from_pixels(&[7; 60], 4, 5, 12).unwrap();
    assert_eq!(pixels.size().unwrap(), (4, 5));
    assert_eq!(pixels.id().unwrap(), Image::from_pixels(&[7; 60], 4, 5, 12).unwrap().id().unwrap());
    let plan = engine().image_plan(112, 112).unwrap();
    assert!(question(&engine(), LOOK, Some(&bee())).tokens().unwrap().len() as i64 > plan.token_count);
}

#[test]
fn an_answer_stops_where_it_is_told() {
    let stops = GenerateOptions { stop_strings: vec!["France".into()], ..GenerateOptions::default() };
    let (text, result) = answer(&mut asked(QUESTION, None), &stops);
    assert_eq!((text.as_str(), result.stop_reason), ("The capital of ", StopReason::STRING));
    let result = asked(QUESTION, None).generate(None, &at_most(0), |heard| match heard {
        Heard::Token(_) => Continue(()),
        _ => Break(()),
    });
    assert_eq!(result.unwrap().stop_reason, StopReason::CALLBACK);
    let mut session = asked(QUESTION, None);
    let mut answer = session.answer(None, &at_most(3)).unwrap();
    assert_eq!(answer.by_ref().map(|piece| piece.unwrap()).collect::<String>(), "The capital of");
    assert_eq!((answer.stop_reason(), answer.token_count()), (Some(StopReason::MAX_TOKENS), Some(3)));
}

#[test]
fn is_cancelled_in_the_middle_of_an_answer() {
    let forever = GenerateOptions { ignore_stop_token: true, ..GenerateOptions::default() };
    let mut session = asked("Tell me a story.", None);
    let before = session.position().unwrap();
    let canceller = session.canceller();
    let from_elsewhere = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        canceller.cancel();
    });
    let (_, result) = answer(&mut session, &forever);
    from_elsewhere.join().unwrap();
    assert_eq!(result.stop_reason, StopReason::CANCELLED);
    assert_eq!(session.position().unwrap(), before + result.token_count as i64);
    assert!(go_on(&mut session).len() > 1, "the session is not whole");
}

#[test]
fn an_answer_that_is_dropped_leaves_the_session_whole() {
    let mut session = asked("Tell me a story.", None);
    let before = session.position().unwrap();
    let taken = session.answer(None, &at_most(0)).unwrap().take(3).map(|piece| piece.unwrap()).collect::<String>();
    assert!(!taken.is_empty() && session.position().unwrap() > before);
    session.feed(&[1000]).unwrap();
}

#[test]
fn goes_back_and_branches_exactly() {
    let mut session = asked(QUESTION, None);
    let (position, snapshot) = (session.position().unwrap(), session.mark().unwrap());
    assert_eq!(snapshot.info().unwrap().position, position);
    let mut branch = session.fork().unwrap();
    assert_eq!(answer(&mut session, &at_most(0)).0, ANSWER);
    let logits = bits(session.logits().unwrap());
    assert_eq!(answer(&mut branch, &at_most(0)).0, ANSWER);
    assert_eq!(bits(branch.logits().unwrap()), logits);
    session.return_to(&snapshot).unwrap();
    assert_eq!(session.position().unwrap(), position);
    assert_eq!(answer(&mut session, &at_most(0)).0, ANSWER);
    let last = session.tokens(session.position().unwrap() - 1).unwrap();
    session.rewind(1).unwrap();
    assert_eq!(session.logits().unwrap_err().status(), Status::NOT_AVAILABLE);
    assert!(session.rewind_floor().unwrap() <= session.position().unwrap());
    session.feed(&last).unwrap();
    assert_eq!(bits(session.logits().unwrap()), logits);
    session.reset().unwrap();
    assert_eq!(session.position().unwrap(), 0);
}

#[test]
fn scores_and_logits_of_each_token_agree() {
    let tokens = engine().tokenize("The capital of France is Paris.").unwrap();
    let logprobs = engine().create_session().unwrap().score(&tokens).unwrap();
    let logits = engine().create_session().unwrap().feed_logits(&tokens).unwrap();
    assert!(logprobs[0].is_nan() && logprobs[1..].iter().all(|logprob| *logprob < 0.0));
    assert_eq!(logits.len(), tokens.len() * engine().info().unwrap().vocabulary_size as usize);
    assert_eq!(engine().detokenize(&tokens).unwrap(), b"The capital of France is Paris.");
}

#[test]
fn sessions_of_others_go_on_and_ours_is_left_for_them() {
    let folder = match folder() {
        Some(folder) => folder,
        None => return,
    };
    let mut session = asked(LOOK, Some(&bee()));
    answer(&mut session, &at_most(40));
    session.save(folder.join("rust.session"), None).unwrap();
    std::fs::write(folder.join("rust.next"), go_on(&mut session)).unwrap();
    let mut found = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().map_or(false, |ending| ending == "session") {
            let mut loaded = engine().load_session(&path, None).unwrap();
            assert_eq!(loaded.images().unwrap().len(), 1, "{path:?}");
            let expected = std::fs::read_to_string(path.with_extension("next")).unwrap();
            assert_eq!(go_on(&mut loaded), expected, "{path:?}");
            found += 1;
        }
    }
    assert!(found >= 2, "C's and ours should be there");
}

#[test]
fn sessions_go_through_streams_with_their_sampler() {
    let engine = engine();
    let warm = SamplerOptions { temperature: 1.3, seed: 5, top_logprobs: 2, ..SamplerOptions::default() };
    let mut sampler = engine.create_sampler(&warm).unwrap();
    let mut session = asked("Tell me a story.", None);
    session.generate(Some(&mut sampler), &at_most(5), |_| Continue(())).unwrap();
    let mut bytes = Vec::new();
    session.save_to(&mut bytes, Some(&sampler)).unwrap();
    let mut resumed = engine.create_sampler(&SamplerOptions::default()).unwrap();
    let mut loaded = engine.load_session_from(Cursor::new(&bytes), Some(&mut resumed)).unwrap();
    for _ in 0..8 {
        let token = sampler.sample(&session).unwrap();
        assert_eq!(resumed.sample(&loaded).unwrap(), token);
        assert_eq!(sampler.logprobs().unwrap().len(), 3);
        session.feed(&[token]).unwrap();
        loaded.feed(&[token]).unwrap();
    }
}

#[test]
fn a_batch_answers_many() {
    let engine = engine();
    let batch = engine.create_batch(&BatchOptions::default()).unwrap();
    let mut sessions: Vec<Session> = (0..4).map(|_| engine.create_session().unwrap()).collect();
    let mut answers = std::collections::HashMap::new();
    for session in &mut sessions {
        let prompt = question(&engine, QUESTION, None);
        let ticket = batch.submit(session, Request { prompt: Some(&prompt), ..Request::default() }).unwrap();
        answers.insert(ticket, String::new());
    }
    assert_eq!(sessions[0].position().unwrap_err().status(), Status::NOT_AVAILABLE);
    let mut open = sessions.len();
    while open > 0 {
        batch.step(Some(Duration::from_secs(1))).unwrap();
        while let Some(event) = batch.next_event().unwrap() {
            *answers.get_mut(&event.ticket).unwrap() += &event.text;
            open -= usize::from(event.ends_ticket());
        }
    }
    assert!(answers.values().all(|text| text == ANSWER), "{answers:?}");
    assert_eq!(batch.stats().unwrap().finished_count, 4);
    assert!(sessions[0].position().unwrap() > 0);
}

#[test]
fn tools_and_tool_results_are_rendered() {
    let mut prompt = engine().create_prompt().unwrap();
    prompt.set_format(ChatFormat::M1).unwrap();
    prompt.set_tools_json(r#"[{"name": "weather", "description": "knows rain"}]"#).unwrap();
    prompt.add_message(Role::USER, "Will it rain?").unwrap();
    prompt.add_tool_result("weather", "It will.").unwrap();
    prompt.begin_reply().unwrap();
    let text = prompt.text().unwrap();
    assert!(text.contains("knows rain") && text.contains("It will."), "{text}");
}
