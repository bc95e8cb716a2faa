//! Words as `tsvector` and `tsquery` write them: quoted, or up to a sign that ends them.

use std::fmt;

/// A word in quotes.
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("'")?;
        for c in self.0.chars() {
            match c {
                '\'' => f.write_str("''")?,
                '\\' => f.write_str("\\\\")?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("'")
    }
}

/// The word that a text begins with, and what follows; `None`: a quote is not closed.
pub fn quoted(text: &str, ends: impl Fn(char) -> bool) -> Option<(String, &str)> {
    let mut word = String::new();
    let inside = text.starts_with('\'');
    let mut chars = text.char_indices().skip(usize::from(inside)).peekable();
    while let Some((at, c)) = chars.next() {
        let doubled = matches!(chars.peek(), Some((_, '\'')));
        match c {
            '\\' => word.push(chars.next()?.1),
            '\'' if doubled => {
                chars.next();
                word.push('\'');
            }
            '\'' if inside => return Some((word, &text[at + 1..])),
            c if !inside && ends(c) => return Some((word, &text[at..])),
            c => word.push(c),
        }
    }
    (!inside).then_some((word, ""))
}
