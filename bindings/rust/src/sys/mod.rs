// SPDX-License-Identifier: Apache-2.0
//! The C interface as it is, for what the rest of this crate does not offer: see `minimax.h`.
#[allow(non_camel_case_types, non_upper_case_globals, non_snake_case, missing_docs, clippy::all, deref_nullptr)]
mod raw;
pub(crate) mod types;

pub use raw::*;
