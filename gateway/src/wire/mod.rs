//! PostgreSQL's protocol, version 3: bytes on one side, a [`crate::session::protocol::Backend`]
//! on the other. Nothing in here knows SQL, and nothing outside knows a message.
//!
//! - [`startup`]: from the first byte to a proved actor; [`connection`]: the loop after that,
//!   with [`simple`], [`extended`] and [`copy`] for the three ways to run a statement.
//! - [`message`] takes the client's messages apart, [`reply`] puts ours together.
//! - [`rows`], [`encode_text`], [`encode_binary`]: results from Arrow; [`decode_text`],
//!   [`decode_binary`]: parameters.
//! - [`channel`]: the socket with its two bounded buffers; [`heavy`]: long computations.
//!
//! Messages are decoded and encoded here rather than by a library because the peer is not
//! trusted: a truncated message is an error and never a panic, text that is not UTF-8 is
//! refused and never repaired, and rows go into the output buffer without a copy.

pub mod channel;
pub mod connection;
pub mod copy;
pub mod decode_binary;
pub mod decode_text;
pub mod encode_binary;
pub mod encode_text;
pub mod extended;
pub mod heavy;
pub mod message;
pub mod portal;
pub mod reply;
pub mod rows;
pub mod simple;
pub mod startup;

#[cfg(test)]
mod tests;

/// The largest message after login.
pub const MAX_MESSAGE: usize = 64 * 1024 * 1024;
/// The largest startup packet, as in PostgreSQL.
pub const MAX_STARTUP: usize = 10_000;
/// The largest message while a client proves who it is.
pub const MAX_PASSWORD: usize = 512;
