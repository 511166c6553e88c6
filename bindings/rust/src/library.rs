// SPDX-License-Identifier: Apache-2.0
//! The library itself: versions, features, devices, its log.
use std::ffi::CString;
use std::os::raw::{c_char, c_void};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Mutex;

use crate::ffi::{bytes, check, filled, number, pointer_text, ready};
use crate::{sys, DeviceInfo, LogLevel, Result};

/// The version of the library that runs, as a number: 0.1.0 is 100.
pub fn version_number() -> i32 {
    unsafe { sys::minimax_version_number() }
}

/// "0.1.0".
pub fn version() -> String {
    unsafe { pointer_text(sys::minimax_version_string()) }
}

/// The sources that the library was built from: a commit, or "unknown".
pub fn source_id() -> String {
    unsafe { pointer_text(sys::minimax_source_id()) }
}

/// Whether this build on this machine has the feature: "cpu", "cuda", "nccl", "vision",
/// "sentencepiece", "avx2", "avx512", "avx512_bf16".
pub fn has_feature(name: &str) -> bool {
    CString::new(name).map_or(false, |name| unsafe { sys::minimax_has_feature(name.as_ptr()) } != 0)
}

/// Devices that engines can be opened on; "cpu" is always the first.
pub fn devices() -> Result<Vec<DeviceInfo>> {
    ready()?;
    let count: usize = number(|out| unsafe { sys::minimax_device_count(out) })?;
    (0..count).map(|index| filled(|out| unsafe { sys::minimax_get_device_info(index, out) })).collect()
}

type Log = Box<dyn Fn(LogLevel, &str) + Send + Sync>;

// A second box, so that C has a thin pointer to the first.
static LOG: Mutex<Option<Box<Log>>> = Mutex::new(None);

unsafe extern "C" fn on_log(user: *mut c_void, level: i32, message: *const c_char, size: usize) {
    let (log, text) = unsafe { (&*user.cast::<Log>(), bytes(message, size)) };
    // Nobody is there to go on panicking in: the thread may be the library's.
    let _ = catch_unwind(AssertUnwindSafe(|| log(LogLevel(level), &String::from_utf8_lossy(text))));
}

/// Sends the library's messages of `level` and below to `log`. It may be called from any thread, one
/// message at a time, and must not use this crate. When this returns the one before is no longer
/// running.
pub fn set_log(level: LogLevel, log: impl Fn(LogLevel, &str) + Send + Sync + 'static) -> Result<()> {
    replace_log(level, Some(Box::new(Box::new(log))))
}

/// Silence, which is the default.
pub fn clear_log() -> Result<()> {
    replace_log(LogLevel::ERROR, None)
}

fn replace_log(level: LogLevel, mut next: Option<Box<Log>>) -> Result<()> {
    ready()?;
    let mut kept = LOG.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let status = match &mut next {
        Some(log) => {
            let user = (&mut **log as *mut Log).cast();
            unsafe { sys::minimax_set_log(Some(on_log), user, level.0) }
        }
        None => unsafe { sys::minimax_set_log(None, std::ptr::null_mut(), level.0) },
    };
    check(status)?;
    *kept = next;
    Ok(())
}
