//! PostgreSQL's functions and operators as DataFusion functions. The binder resolves names and
//! types and then asks here for the implementation; nothing is registered by name, so that no
//! query meets a DataFusion function that has PostgreSQL's name and another answer.

pub mod arithmetic;
pub mod array;
pub mod array_sort;
pub mod blob;
pub mod decimal_math;
mod degrees;
pub mod function;
pub mod json;
mod json_change;
pub mod json_record;
mod jsonpath;
pub mod math;
pub mod regex;
pub mod regex_position;
pub mod sample;
pub mod string;
pub mod text_search;
pub mod unicode;
pub mod variance;
pub mod vector;
pub mod words;

pub use function::{PgFunction, Strictness, call, call_with, rows};
