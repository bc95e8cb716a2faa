//! The loop, spoken to over an in-memory pipe. [`fake`] is the session, [`client`] the client.

mod client;
mod encrypted;
mod fake;
mod hostile;
mod login;
mod queries;
mod values;
