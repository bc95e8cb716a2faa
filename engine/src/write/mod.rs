//! How rows come to change: statements, their checks, and bulk loads.

pub(crate) mod bulk;
pub(crate) mod changes;
pub(crate) mod conditions;
pub(crate) mod constraint;
pub(crate) mod files;
pub mod identity;
pub(crate) mod locks;
pub(crate) mod row_text;
pub mod transaction;
pub mod value;
