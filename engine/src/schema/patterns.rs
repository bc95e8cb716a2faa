//! The regular expressions of `@check`.

use std::sync::{Arc, OnceLock};

use regex::{Regex, RegexBuilder};

use super::{CheckRule, TypeDef};

/// A regular expression that must match a whole value.
pub(crate) fn whole_value_regex(pattern: &str) -> Result<Regex, String> {
    const SIZE_LIMIT: usize = 1 << 20;
    let compile = |pattern: &str| {
        RegexBuilder::new(pattern)
            .size_limit(SIZE_LIMIT)
            .build()
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
                error => {
                    let text = error.to_string();
                    text.lines()
                        .last()
                        .unwrap_or(&text)
                        .trim_start_matches("error: ")
                        .to_owned()
                }
            })
    };
    // Alone first: `a)(b` must not become valid by the brackets around it.
    compile(pattern)?;
    compile(&format!(r"\A(?:{pattern})\z"))
}

/// The compiled patterns of a type's checks, made when first asked for and shared by all who
/// hold the type. They follow from the checks, so two types differ in them only if they differ
/// there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Patterns(OnceLock<Arc<[Option<Regex>]>>);

impl PartialEq for Patterns {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl TypeDef {
    /// Parallel to `checks`; `None` where a check is no pattern.
    pub(crate) fn patterns(&self) -> &[Option<Regex>] {
        self.patterns.0.get_or_init(|| {
            self.checks
                .iter()
                .map(|check| match &check.rule {
                    // A pattern that does not compile was refused with the schema.
                    CheckRule::Regex(pattern) => whole_value_regex(pattern).ok(),
                    CheckRule::Range { .. } => None,
                })
                .collect()
        })
    }
}
