//! Which graphs exist, who may do what, and how DataFusion sees them.

pub mod access;
pub mod actor;
pub mod cluster;
pub mod diagnostic;
pub mod information_schema;
pub mod lookup;
pub mod pg_catalog;
pub mod policy;
pub mod provider;
pub mod stored;
pub mod types;
pub mod yaml;
