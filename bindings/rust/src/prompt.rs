// SPDX-License-Identifier: Apache-2.0
//! Messages, tools, pictures and plain pieces, on their way to become tokens.
use std::ptr::null;

use crate::ffi::{c_text, check, list, made, Handle};
use crate::{sys, ChatFormat, Engine, Image, Result, Role, StopReason};

/// A prompt. The order of rendering is the chat format's: system messages and tools may move.
#[derive(Debug)]
pub struct Prompt {
    handle: Handle<sys::minimax_prompt>,
}

impl Engine {
    /// An empty prompt.
    pub fn create_prompt(&self) -> Result<Prompt> {
        let handle = made(|out| unsafe { sys::minimax_prompt_create(self.get(), out) })?;
        Ok(Prompt { handle })
    }
}

impl Prompt {
    pub(crate) fn get(&self) -> *mut sys::minimax_prompt {
        self.handle.get()
    }

    /// Back to empty; the chat format stays.
    pub fn clear(&mut self) -> Result<()> {
        check(unsafe { sys::minimax_prompt_clear(self.get()) })
    }

    /// The prompt must be empty.
    pub fn set_format(&mut self, format: ChatFormat) -> Result<()> {
        check(unsafe { sys::minimax_prompt_set_format(self.get(), format.0) })
    }

    /// One message. Nobody can forge a marker by writing it.
    pub fn add_message(&mut self, role: Role, text: impl AsRef<[u8]>) -> Result<()> {
        let text = text.as_ref();
        let (at, size) = (text.as_ptr().cast(), text.len());
        check(unsafe { sys::minimax_prompt_add_message(self.get(), role.0, null(), at, size) })
    }

    /// The result of a tool.
    pub fn add_tool_result(&mut self, tool: &str, text: impl AsRef<[u8]>) -> Result<()> {
        let (tool, text) = (c_text(tool, "the name of the tool")?, text.as_ref());
        let (at, size) = (text.as_ptr().cast(), text.len());
        check(unsafe { sys::minimax_prompt_add_message(self.get(), Role::TOOL.0, tool.as_ptr(), at, size) })
    }

    /// A picture for the message that is added next, in front of its text.
    pub fn add_image(&mut self, image: &Image) -> Result<()> {
        check(unsafe { sys::minimax_prompt_add_image(self.get(), image.get()) })
    }

    /// A list of messages as of OpenAI's chat API.
    pub fn add_messages_json(&mut self, json: &str) -> Result<()> {
        check(unsafe { sys::minimax_prompt_add_messages_json(self.get(), json.as_ptr().cast(), json.len()) })
    }

    /// The tools the model may call: a list of objects, rendered as they are written.
    pub fn set_tools_json(&mut self, json: &str) -> Result<()> {
        check(unsafe { sys::minimax_prompt_set_tools_json(self.get(), json.as_ptr().cast(), json.len()) })
    }

    /// Ends the messages with the header of the assistant's answer.
    pub fn begin_reply(&mut self) -> Result<()> {
        check(unsafe { sys::minimax_prompt_begin_reply(self.get()) })
    }

    /// Goes on after an answer that was generated into the session: call it first, then add the
    /// next message.
    pub fn end_reply(&mut self, stop_reason: StopReason) -> Result<()> {
        check(unsafe { sys::minimax_prompt_end_reply(self.get(), stop_reason.0) })
    }

    /// A piece outside any message; `<image>` and its like become markers.
    pub fn add_text(&mut self, text: impl AsRef<[u8]>) -> Result<()> {
        self.add_text_as(text.as_ref(), sys::MINIMAX_TOKENIZE_DEFAULT as i32)
    }

    /// The same with markers as ordinary text.
    pub fn add_plain_text(&mut self, text: impl AsRef<[u8]>) -> Result<()> {
        self.add_text_as(text.as_ref(), sys::MINIMAX_TOKENIZE_PLAIN as i32)
    }

    fn add_text_as(&mut self, text: &[u8], flags: i32) -> Result<()> {
        check(unsafe { sys::minimax_prompt_add_text(self.get(), text.as_ptr().cast(), text.len(), flags) })
    }

    /// Tokens outside any message.
    pub fn add_tokens(&mut self, tokens: &[i32]) -> Result<()> {
        check(unsafe { sys::minimax_prompt_add_tokens(self.get(), tokens.as_ptr(), tokens.len()) })
    }

    /// What the prompt has become.
    pub fn tokens(&self) -> Result<Vec<i32>> {
        list(|at, capacity, out| unsafe { sys::minimax_prompt_tokens(self.get(), at, capacity, out) })
    }

    /// The rendered text, markers written out.
    pub fn text(&self) -> Result<String> {
        let text = list(|at: *mut u8, capacity, out| unsafe {
            sys::minimax_prompt_text(self.get(), at.cast(), capacity, out)
        })?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}
