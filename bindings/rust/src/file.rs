// SPDX-License-Identifier: Apache-2.0
//! Sessions as files and streams of bytes.
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::os::raw::c_void;
use std::path::Path;
use std::ptr::{null, null_mut};

use crate::ffi::{c_path, check, filled, made, ready, Callbacks};
use crate::{sys, Engine, Result, Sampler, Session, SessionFileInfo};

/// What a file of a session says of itself, without an engine.
pub fn session_file_info(path: impl AsRef<Path>) -> Result<SessionFileInfo> {
    ready()?;
    let path = c_path(path.as_ref())?;
    filled(|out| unsafe { sys::minimax_get_session_file_info(path.as_ptr(), out) })
}

// A reader or writer, and why it gave up.
struct Stream<T> {
    io: T,
    error: Option<io::Error>,
}

impl<T> Stream<T> {
    fn heed<R>(&mut self, done: io::Result<R>) -> Option<R> {
        done.map_err(|error| self.error = Some(error)).ok()
    }
}

type Writer<'a> = Stream<&'a mut dyn Write>;
type Reader<'a> = Stream<&'a mut dyn Read>;

fn flow(done: Option<()>) -> ControlFlow<()> {
    done.map_or(ControlFlow::Break(()), ControlFlow::Continue)
}

unsafe extern "C" fn on_write(user: *mut c_void, bytes: *const c_void, size: usize) -> i32 {
    let bytes = unsafe { crate::ffi::bytes(bytes.cast(), size) };
    unsafe {
        Callbacks::<Writer<'_>>::run(user, |to| {
            let written = to.io.write_all(bytes);
            flow(to.heed(written))
        })
    }
}

unsafe extern "C" fn on_read(user: *mut c_void, bytes: *mut c_void, size: usize, out_size: *mut usize) -> i32 {
    let room: &mut [u8] = unsafe {
        bytes.cast::<u8>().write_bytes(0, size);
        std::slice::from_raw_parts_mut(bytes.cast(), size)
    };
    unsafe {
        Callbacks::<Reader<'_>>::run(user, |from| {
            let read = read_some(from.io, room);
            flow(from.heed(read).map(|count| *out_size = count))
        })
    }
}

fn read_some(from: &mut dyn Read, room: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(room) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

fn save_options(sampler: Option<&Sampler>) -> sys::minimax_session_save_options {
    sys::minimax_session_save_options {
        struct_size: std::mem::size_of::<sys::minimax_session_save_options>(),
        sampler: sampler.map_or(null(), |sampler| sampler.get() as *const _),
    }
}

fn load_options(sampler: Option<&mut Sampler>) -> sys::minimax_session_load_options {
    sys::minimax_session_load_options {
        struct_size: std::mem::size_of::<sys::minimax_session_load_options>(),
        sampler: sampler.map_or(null_mut(), |sampler| sampler.get()),
    }
}

impl Session {
    /// Writes the session, and the sampler with it if there is one, to a file, which is replaced
    /// when the new one is whole.
    pub fn save(&self, path: impl AsRef<Path>, sampler: Option<&Sampler>) -> Result<()> {
        let (path, options) = (c_path(path.as_ref())?, save_options(sampler));
        check(unsafe { sys::minimax_session_save(self.get(), path.as_ptr(), &options) })
    }

    /// The same bytes into a writer. What it says when it fails is the error's source.
    pub fn save_to(&mut self, mut to: impl Write, sampler: Option<&Sampler>) -> Result<()> {
        let options = save_options(sampler);
        let mut callbacks = Callbacks::new(Writer { io: &mut to, error: None });
        let user = callbacks.user();
        let saved = check(unsafe { sys::minimax_session_save_to(self.get(), Some(on_write), user, &options) });
        let cause = callbacks.end().error;
        saved.map_err(|error| error.caused_by(cause))
    }
}

impl Engine {
    /// A new session from a file that any engine of the same model has written. A sampler that is
    /// given becomes the one that was saved.
    pub fn load_session(&self, path: impl AsRef<Path>, sampler: Option<&mut Sampler>) -> Result<Session> {
        let (path, options) = (c_path(path.as_ref())?, load_options(sampler));
        let handle = made(|out| unsafe { sys::minimax_session_load(self.get(), path.as_ptr(), &options, out) })?;
        Ok(Session::new(handle, self))
    }

    /// The same from a reader, which is asked for the session's bytes and no more.
    pub fn load_session_from(&self, mut from: impl Read, sampler: Option<&mut Sampler>) -> Result<Session> {
        let options = load_options(sampler);
        let mut callbacks = Callbacks::new(Reader { io: &mut from, error: None });
        let user = callbacks.user();
        let loaded =
            made(|out| unsafe { sys::minimax_session_load_from(self.get(), Some(on_read), user, &options, out) });
        let cause = callbacks.end().error;
        let handle = loaded.map_err(|error| error.caused_by(cause))?;
        Ok(Session::new(handle, self))
    }
}
