//! Who may do what: policy files and the requests that are put to them.
//!
//! Files are YAML ([`load`](fn@load)) and are compiled to Cedar ([`cedar`]), which decides.
//! [`Policy::check`] is the one question; [`crate::access`] is the one place that asks it.
//! What no rule allows is denied.

mod action;
mod cases;
mod cedar;
mod compile;
mod decide;
mod load;
mod part;

pub use action::{Action, ScopeKey};
pub use cases::{Case, Outcome, cases};
pub use cedar::text;
pub use compile::{check, restriction};
pub use decide::{Decision, Policy, Request};
pub use load::{Bundle, Kind, Rule, Scope, load};
pub use part::{Part, Share, TypePart, Types};
