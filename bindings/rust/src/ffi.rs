// SPDX-License-Identifier: Apache-2.0
//! What all calls share: handles that free themselves, statuses, buffers, text, callbacks.
use std::any::Any;
use std::ffi::{CStr, CString};
use std::ops::ControlFlow;
use std::os::raw::{c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::path::Path;
use std::ptr::{null_mut, NonNull};
use std::sync::Once;

use crate::sys::{self, types::VERSIONED_STRUCTS};
use crate::{Error, Result, Status};

/// An opaque type of the library, and how it ends.
pub(crate) trait Free {
    const FREE: unsafe extern "C" fn(*mut Self);
}

macro_rules! free {
    ($($kind:ident $free:ident),*) => { $(impl Free for sys::$kind {
        const FREE: unsafe extern "C" fn(*mut Self) = sys::$free;
    })* };
}
free!(
    minimax_engine minimax_engine_free, minimax_session minimax_session_free,
    minimax_snapshot minimax_snapshot_free, minimax_prompt minimax_prompt_free,
    minimax_image minimax_image_free, minimax_sampler minimax_sampler_free,
    minimax_text_stream minimax_text_stream_free, minimax_batch minimax_batch_free
);

/// Owns what the library created.
#[derive(Debug)]
pub(crate) struct Handle<T: Free>(NonNull<T>);

impl<T: Free> Handle<T> {
    pub(crate) fn get(&self) -> *mut T {
        self.0.as_ptr()
    }
}

impl<T: Free> Drop for Handle<T> {
    fn drop(&mut self) {
        unsafe { T::FREE(self.get()) }
    }
}

// The header's rules: a handle may move to another thread, and these may be used by many at once.
unsafe impl<T: Free> Send for Handle<T> {}
unsafe impl Sync for Handle<sys::minimax_engine> {}
unsafe impl Sync for Handle<sys::minimax_image> {}
unsafe impl Sync for Handle<sys::minimax_snapshot> {}

/// A struct that the library fills, and what it is in Rust.
pub(crate) trait Filled: Sized {
    type Raw;
    /// With its size, else zero.
    fn empty() -> Self::Raw;
    /// # Safety
    /// The library has filled it, and its text is still there.
    unsafe fn read(raw: &Self::Raw) -> Self;
}

/// The calling thread's sentence, if the status is one of failure.
pub(crate) fn check(status: sys::minimax_status) -> Result<()> {
    if status == Status::OK.0 {
        return Ok(());
    }
    let sentence = unsafe { pointer_text(sys::minimax_last_error()) };
    Err(Error::new(Status(status), sentence))
}

pub(crate) fn made<T: Free>(create: impl FnOnce(*mut *mut T) -> sys::minimax_status) -> Result<Handle<T>> {
    let mut created = null_mut();
    check(create(&mut created))?;
    NonNull::new(created).map(Handle).ok_or_else(|| Error::new(Status::INTERNAL_ERROR, "the library created a NULL"))
}

pub(crate) fn filled<T: Filled>(fill: impl FnOnce(*mut T::Raw) -> sys::minimax_status) -> Result<T> {
    let mut raw = T::empty();
    check(fill(&mut raw))?;
    Ok(unsafe { T::read(&raw) })
}

pub(crate) fn number<T: Default>(set: impl FnOnce(*mut T) -> sys::minimax_status) -> Result<T> {
    let mut value = T::default();
    check(set(&mut value))?;
    Ok(value)
}

/// As many as there are: asks how many, then for them.
pub(crate) fn list<T: Clone + Default>(
    mut fill: impl FnMut(*mut T, usize, *mut usize) -> sys::minimax_status,
) -> Result<Vec<T>> {
    let mut values = Vec::new();
    loop {
        let mut count = 0;
        let status = fill(values.as_mut_ptr(), values.len(), &mut count);
        if status != Status::BUFFER_TOO_SMALL.0 {
            check(status)?;
            values.truncate(count);
            return Ok(values);
        }
        values.resize(count, T::default());
    }
}

/// # Safety
/// NULL, or text that ends at a zero byte.
pub(crate) unsafe fn pointer_text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// # Safety
/// `size` bytes, or NULL and 0; they must stay while the slice is used.
pub(crate) unsafe fn bytes<'a>(text: *const c_char, size: usize) -> &'a [u8] {
    if size == 0 {
        return &[];
    }
    unsafe { std::slice::from_raw_parts(text.cast(), size) }
}

/// The text of a field of so many bytes, up to its first zero.
pub(crate) fn array_text(text: &[c_char]) -> String {
    let bytes: Vec<u8> = text.iter().map(|&c| c as u8).take_while(|&c| c != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(crate) fn c_text(text: impl Into<Vec<u8>>, what: &str) -> Result<CString> {
    CString::new(text).map_err(|error| {
        let place = error.nul_position();
        Error::new(Status::INVALID_ARGUMENT, format!("{what} has a zero byte at {place}"))
    })
}

pub(crate) fn c_path(path: &Path) -> Result<CString> {
    c_text(path.as_os_str().as_bytes(), "path")
}

/// Strings for C, and the list of their addresses.
pub(crate) struct Strings {
    _owned: Vec<CString>,
    addresses: Vec<*const c_char>,
}

impl Strings {
    pub(crate) fn new(texts: &[String], what: &str) -> Result<Strings> {
        let owned = texts.iter().map(|text| c_text(text.as_str(), what)).collect::<Result<Vec<_>>>()?;
        let addresses = owned.iter().map(|text| text.as_ptr()).collect();
        Ok(Strings { _owned: owned, addresses })
    }

    /// NULL when there is none.
    pub(crate) fn get(&self) -> *const *const c_char {
        if self.addresses.is_empty() {
            std::ptr::null()
        } else {
            self.addresses.as_ptr()
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.addresses.len()
    }
}

/// Closures of one call, and what one of them panicked with.
pub(crate) struct Callbacks<T> {
    pub(crate) own: T,
    panic: Option<Box<dyn Any + Send>>,
}

impl<T> Callbacks<T> {
    pub(crate) fn new(own: T) -> Callbacks<T> {
        Callbacks { own, panic: None }
    }

    pub(crate) fn user(&mut self) -> *mut c_void {
        (self as *mut Callbacks<T>).cast()
    }

    /// # Safety
    /// `user` is that of a `Callbacks<T>` whose call is running.
    pub(crate) unsafe fn run(user: *mut c_void, body: impl FnOnce(&mut T) -> ControlFlow<()>) -> i32 {
        let this = unsafe { &mut *user.cast::<Callbacks<T>>() };
        match catch_unwind(AssertUnwindSafe(|| body(&mut this.own))) {
            Ok(ControlFlow::Continue(())) => 0,
            Ok(ControlFlow::Break(())) => 1,
            Err(panic) => {
                this.panic = Some(panic);
                1
            }
        }
    }

    /// After the call: lets a panic go on.
    pub(crate) fn end(self) -> T {
        match self.panic {
            Some(panic) => resume_unwind(panic),
            None => self.own,
        }
    }
}

/// How far something has come: bytes or tiles done, and all of them. `Break` gives up.
pub(crate) type Progress<'a> = &'a mut dyn FnMut(u64, u64) -> ControlFlow<()>;

pub(crate) unsafe extern "C" fn on_progress(user: *mut c_void, done: u64, total: u64) -> i32 {
    unsafe { Callbacks::<Progress<'_>>::run(user, |progress| progress(done, total)) }
}

/// Refuses a library that this crate does not fit; asked before the first handle is made.
pub(crate) fn ready() -> Result<()> {
    static ASKED: Once = Once::new();
    static mut MISFIT: Option<String> = None;
    let misfit = unsafe {
        ASKED.call_once(|| MISFIT = find_misfit());
        (*std::ptr::addr_of!(MISFIT)).clone()
    };
    misfit.map_or(Ok(()), |sentence| Err(Error::new(Status::UNSUPPORTED, sentence)))
}

fn find_misfit() -> Option<String> {
    let made_for = sys::MINIMAX_VERSION_NUMBER as i32;
    let found = unsafe { sys::minimax_version_number() };
    if found / 10000 != made_for / 10000 || found < made_for {
        return Some(format!(
            "libminimax {} was found, this crate was made for {} and later ones of its major version",
            version_text(found),
            version_text(made_for)
        ));
    }
    // Later libraries only append to structs, so theirs may be larger than ours.
    for &(name, expected, library_size) in VERSIONED_STRUCTS {
        let size = library_size();
        if size < expected {
            return Some(format!("{name} has {size} bytes in this libminimax, this crate was made for {expected}"));
        }
    }
    None
}

fn version_text(number: i32) -> String {
    format!("{}.{}.{}", number / 10000, number / 100 % 100, number % 100)
}
