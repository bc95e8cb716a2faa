//! Who may do what: policy files and the requests that are put to them.
//!
//! [`Policy::check`] is the one question; [`crate::access`] is the one place that asks it.
//! What no rule allows is denied.

mod action;
mod decide;
mod load;

pub use action::{Action, ScopeKey};
pub use decide::{Decision, Policy, Request};
pub use load::{Bundle, Kind, Rule, Scope, load};
