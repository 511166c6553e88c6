// SPDX-License-Identifier: Apache-2.0
//! Answers as iterators: a batch of one session, stepped as pieces are asked for.
use std::collections::VecDeque;

use crate::{
    Batch, BatchOptions, Error, Event, EventKind, GenerateOptions, Request, Result, Sampler, Session, StopReason,
};

/// The pieces of an answer, whole characters. Dropped early, it leaves the session after the tokens
/// that were fed.
#[derive(Debug)]
pub struct Answer<'a> {
    batch: Batch,
    pieces: VecDeque<String>,
    end: Option<Event>,
    failed: bool,
    // Both are the batch's until it is gone.
    _session: &'a mut Session,
    _sampler: Option<&'a mut Sampler>,
}

impl Session {
    /// Draws and feeds tokens until a stop, as pieces of text are asked for. `sampler` `None`:
    /// greedy. The tokens are those of [`generate`](Session::generate).
    pub fn answer<'a>(
        &'a mut self,
        mut sampler: Option<&'a mut Sampler>,
        options: &GenerateOptions,
    ) -> Result<Answer<'a>> {
        let batch = self.engine().create_batch(&BatchOptions::default())?;
        let request = Request { sampler: sampler.as_deref_mut(), generate: Some(options), ..Request::default() };
        batch.submit(self, request)?;
        Ok(Answer { batch, pieces: VecDeque::new(), end: None, failed: false, _session: self, _sampler: sampler })
    }
}

impl Answer<'_> {
    /// Why it ended; `None` before.
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.end.as_ref().map(|event| {
            if event.kind == EventKind::CANCELLED {
                StopReason::CANCELLED
            } else {
                event.stop_reason
            }
        })
    }

    /// Tokens drawn and fed, once it has ended.
    pub fn token_count(&self) -> Option<u64> {
        self.end.as_ref().map(|event| event.token_count)
    }

    fn take_event(&mut self, event: Event) -> Result<()> {
        if !event.text.is_empty() {
            self.pieces.push_back(event.text.clone());
        }
        if event.kind == EventKind::FAILED {
            return Err(Error::new(event.status, event.message));
        }
        if event.ends_ticket() {
            self.end = Some(event);
        }
        Ok(())
    }

    // Until there is a piece, or no more will come.
    fn step(&mut self) -> Result<()> {
        while self.pieces.is_empty() && self.end.is_none() {
            self.batch.step(None)?;
            while let Some(event) = self.batch.next_event()? {
                self.take_event(event)?;
            }
        }
        Ok(())
    }
}

impl Iterator for Answer<'_> {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Result<String>> {
        if self.failed {
            return None;
        }
        if let Err(error) = self.step() {
            self.failed = true;
            return Some(Err(error));
        }
        self.pieces.pop_front().map(Ok)
    }
}
