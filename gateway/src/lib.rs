//! The server: the wire, sessions, authentication, statements.

pub mod auth;
pub mod cli;
pub mod config;
pub mod error;
pub mod execute;
pub mod http;
pub mod lint;
pub mod metrics;
pub mod plan;
pub mod serve;
pub mod server;
pub mod serving;
pub mod session;
pub mod sqlstate;
pub mod statement;
pub mod stored;
pub mod telemetry;
pub mod text;
pub mod tls;
pub mod wire;
