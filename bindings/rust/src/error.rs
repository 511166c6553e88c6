// SPDX-License-Identifier: Apache-2.0
//! A status and its sentence.
use std::fmt;
use std::io;

use crate::Status;

/// Why a call did not do what it was asked.
#[derive(Debug)]
pub struct Error {
    status: Status,
    sentence: String,
    cause: Option<io::Error>,
}

/// What can fail.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(status: Status, sentence: impl Into<String>) -> Error {
        Error { status, sentence: sentence.into(), cause: None }
    }

    // Of the reader or writer that made the library give up.
    pub(crate) fn caused_by(mut self, cause: Option<io::Error>) -> Error {
        self.cause = cause;
        self
    }

    /// The number to act on.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The sentence for a person: what was found, what was expected and where.
    pub fn sentence(&self) -> &str {
        &self.sentence
    }
}

impl fmt::Display for Error {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.sentence)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_ref().map(|cause| cause as &dyn std::error::Error)
    }
}
