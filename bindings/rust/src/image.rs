// SPDX-License-Identifier: Apache-2.0
//! Pictures.
use std::path::Path;

use crate::ffi::{c_path, check, made, ready, Handle};
use crate::{sys, Error, Result, Status};

/// A picture: 8-bit RGB, upright, immutable.
#[derive(Debug)]
pub struct Image {
    handle: Handle<sys::minimax_image>,
}

impl Image {
    /// Decodes a PNG, JPEG, WebP or BMP file.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Image> {
        ready()?;
        let path = c_path(path.as_ref())?;
        let handle = made(|out| unsafe { sys::minimax_image_from_file(path.as_ptr(), out) })?;
        Ok(Image { handle })
    }

    /// Decodes the bytes of such a file.
    pub fn from_memory(bytes: &[u8]) -> Result<Image> {
        ready()?;
        let handle = made(|out| unsafe { sys::minimax_image_from_memory(bytes.as_ptr().cast(), bytes.len(), out) })?;
        Ok(Image { handle })
    }

    /// Copies pixels, three bytes each, rows `stride` bytes apart.
    pub fn from_pixels(rgb: &[u8], width: usize, height: usize, stride: usize) -> Result<Image> {
        ready()?;
        // The library cannot know where the slice ends.
        let needed = height.checked_sub(1).and_then(|rows| rows.checked_mul(stride)).zip(width.checked_mul(3));
        let needed = needed.and_then(|(above, last)| above.checked_add(last)).unwrap_or(usize::MAX);
        if rgb.len() < needed {
            let found = rgb.len();
            let sentence = format!("{found} bytes of pixels, {width} x {height} with stride {stride} are more");
            return Err(Error::new(Status::INVALID_ARGUMENT, sentence));
        }
        let handle = made(|out| unsafe {
            sys::minimax_image_from_pixels(rgb.as_ptr(), width as i64, height as i64, stride, out)
        })?;
        Ok(Image { handle })
    }

    pub(crate) fn get(&self) -> *mut sys::minimax_image {
        self.handle.get()
    }

    /// Width and height in pixels.
    pub fn size(&self) -> Result<(i64, i64)> {
        let (mut width, mut height) = (0, 0);
        check(unsafe { sys::minimax_image_size(self.get(), &mut width, &mut height) })?;
        Ok((width, height))
    }

    /// 32 bytes that name the pixels: equal pictures have equal ids.
    pub fn id(&self) -> Result<[u8; 32]> {
        let mut id = [0; 32];
        check(unsafe { sys::minimax_image_id(self.get(), id.as_mut_ptr()) })?;
        Ok(id)
    }
}
