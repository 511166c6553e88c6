// SPDX-License-Identifier: Apache-2.0
//! Tokens to whole characters.
use std::ptr::null;

use crate::ffi::{bytes, check, made, Handle, Strings};
use crate::{sys, Engine, Result};

/// Turns tokens into text piece by piece: never half a character, never a part of what may become
/// a stop string.
#[derive(Debug)]
pub struct TextStream {
    handle: Handle<sys::minimax_text_stream>,
}

impl Engine {
    /// Stop strings: at most 64, none empty.
    pub fn create_text_stream(&self, stop_strings: &[String]) -> Result<TextStream> {
        let stops = Strings::new(stop_strings, "stop string")?;
        let handle =
            made(|out| unsafe { sys::minimax_text_stream_create(self.get(), stops.get(), stops.count(), out) })?;
        Ok(TextStream { handle })
    }
}

impl TextStream {
    /// Adds a token: what can be shown now, and whether a stop string has appeared.
    pub fn push(&mut self, token: i32) -> Result<(String, bool)> {
        let (mut text, mut size, mut stopped) = (null(), 0, 0);
        check(unsafe { sys::minimax_text_stream_push(self.handle.get(), token, &mut text, &mut size, &mut stopped) })?;
        Ok((shown(unsafe { bytes(text, size) }), stopped != 0))
    }

    /// What was held back; the stream is as new then.
    pub fn flush(&mut self) -> Result<String> {
        let (mut text, mut size) = (null(), 0);
        check(unsafe { sys::minimax_text_stream_flush(self.handle.get(), &mut text, &mut size) })?;
        Ok(shown(unsafe { bytes(text, size) }))
    }
}

fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}
