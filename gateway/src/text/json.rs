//! JSON texts: checked for `json`, brought into PostgreSQL's normal form for `jsonb`.

use crate::error::{PgError, PgResult};
use crate::sqlstate;

/// PostgreSQL's stack allows some thousands; ours must hold in a worker thread.
const MAX_DEPTH: usize = 1_000;

/// Checks that a text is one JSON value.
pub fn check_json(text: &str) -> PgResult<()> {
    read(text, false).map(|_| ())
}

/// The text of the same value as jsonb prints it: keys by length and then bytes, the last of
/// equal keys, a blank after `:` and `,`.
pub fn normal_json(text: &str) -> PgResult<String> {
    read(text, true)
}

fn read(text: &str, keep: bool) -> PgResult<String> {
    let mut reader = Reader {
        text,
        at: 0,
        depth: 0,
        jsonb: keep,
    };
    let mut out = String::with_capacity(if keep { text.len() + text.len() / 8 } else { 0 });
    reader.blanks();
    reader.value(&mut out)?;
    reader.blanks();
    if reader.at < text.len() {
        return Err(reader.error("unexpected text after the value"));
    }
    Ok(out)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// Output is wanted and jsonb's own limits hold.
    jsonb: bool,
}

impl<'a> Reader<'a> {
    fn error(&self, what: &str) -> PgError {
        PgError::new(
            sqlstate::INVALID_TEXT_REPRESENTATION,
            "invalid input syntax for type json",
        )
        .detail(format!(
            "At character {}: {what}.",
            self.text[..self.at].chars().count() + 1
        ))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn put(&self, out: &mut String, text: &str) {
        if self.jsonb {
            out.push_str(text);
        }
    }

    fn value(&mut self, out: &mut String) -> PgResult<()> {
        match self.peek() {
            Some(b'{') => self.nested(out, Self::object),
            Some(b'[') => self.nested(out, Self::array),
            Some(b'"') => {
                let (raw, _) = self.string()?;
                if self.jsonb {
                    put_string(out, &raw);
                }
                Ok(())
            }
            Some(b'-' | b'0'..=b'9') => self.number(out),
            Some(_) => {
                for word in ["true", "false", "null"] {
                    if self.text[self.at..].starts_with(word) {
                        self.at += word.len();
                        self.put(out, word);
                        return Ok(());
                    }
                }
                Err(self.error("a value was expected"))
            }
            None => Err(self.error("the text ends too early")),
        }
    }

    fn nested(
        &mut self,
        out: &mut String,
        read: impl FnOnce(&mut Self, &mut String) -> PgResult<()>,
    ) -> PgResult<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(PgError::new(
                sqlstate::STATEMENT_TOO_COMPLEX,
                format!("JSON is nested deeper than {MAX_DEPTH} levels"),
            ));
        }
        self.at += 1;
        self.blanks();
        let result = stacker::maybe_grow(32 * 1024, 256 * 1024, || read(self, out));
        self.depth -= 1;
        result
    }

    fn array(&mut self, out: &mut String) -> PgResult<()> {
        self.put(out, "[");
        if self.peek() != Some(b']') {
            loop {
                self.blanks();
                self.value(out)?;
                self.blanks();
                match self.peek() {
                    Some(b',') => self.put(out, ", "),
                    Some(b']') => break,
                    _ => return Err(self.error("\",\" or \"]\" was expected")),
                }
                self.at += 1;
            }
        }
        self.at += 1;
        self.put(out, "]");
        Ok(())
    }

    fn object(&mut self, out: &mut String) -> PgResult<()> {
        let mut members: Vec<(String, String)> = Vec::new();
        if self.peek() != Some(b'}') {
            loop {
                self.blanks();
                if self.peek() != Some(b'"') {
                    return Err(self.error("a key in double quotes was expected"));
                }
                let (key, _) = self.string()?;
                self.blanks();
                if self.peek() != Some(b':') {
                    return Err(self.error("\":\" was expected"));
                }
                self.at += 1;
                self.blanks();
                let mut value = String::new();
                self.value(&mut value)?;
                if self.jsonb {
                    members.push((key, value));
                }
                self.blanks();
                match self.peek() {
                    Some(b',') => self.at += 1,
                    Some(b'}') => break,
                    _ => return Err(self.error("\",\" or \"}\" was expected")),
                }
            }
        }
        self.at += 1;
        if !self.jsonb {
            return Ok(());
        }
        // Stable, so that the last of equal keys comes last among them.
        members.sort_by(|(a, _), (b, _)| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
        out.push('{');
        let mut first = true;
        for (i, (key, value)) in members.iter().enumerate() {
            if members.get(i + 1).is_some_and(|(next, _)| next == key) {
                continue;
            }
            if !first {
                out.push_str(", ");
            }
            first = false;
            put_string(out, key);
            out.push_str(": ");
            out.push_str(value);
        }
        out.push('}');
        Ok(())
    }

    fn number(&mut self, out: &mut String) -> PgResult<()> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let whole = self.digits();
        let leading_zero = whole.len() > 1 && whole.starts_with('0');
        let mut valid = !whole.is_empty() && !leading_zero;
        let mut exponent = false;
        if self.peek() == Some(b'.') {
            self.at += 1;
            valid &= !self.digits().is_empty();
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            exponent = true;
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            valid &= !self.digits().is_empty();
        }
        if !valid {
            return Err(self.error("this is not a number"));
        }
        if !self.jsonb {
            return Ok(());
        }
        let written = &self.text[start..self.at];
        if exponent {
            // jsonb numbers are numeric: written out.
            let numeric = crate::text::numeric::Numeric::parse(written)?;
            let mut digits = Vec::new();
            crate::text::numeric::put_decimal(
                &mut digits,
                numeric.unscaled,
                numeric.scale as i8,
                numeric.scale,
            );
            out.extend(digits.into_iter().map(char::from));
        } else if written.starts_with('-')
            && written.bytes().all(|b| matches!(b, b'-' | b'0' | b'.'))
        {
            // There is no negative zero in numeric.
            out.push_str(&written[1..]);
        } else {
            out.push_str(written);
        }
        Ok(())
    }

    fn digits(&mut self) -> &'a str {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        &self.text[start..self.at]
    }

    /// The characters of a string, escapes undone, and whether there were any.
    fn string(&mut self) -> PgResult<(String, bool)> {
        self.at += 1;
        let mut value = String::new();
        let mut escaped = false;
        loop {
            let rest = &self.text[self.at..];
            let Some(stop) = rest.find(|c: char| c == '"' || c == '\\' || (c as u32) < 0x20) else {
                self.at = self.text.len();
                return Err(self.error("a string is not closed"));
            };
            value.push_str(&rest[..stop]);
            self.at += stop;
            match rest.as_bytes()[stop] {
                b'"' => {
                    self.at += 1;
                    return Ok((value, escaped));
                }
                b'\\' => {
                    escaped = true;
                    value.push(self.escape()?);
                }
                _ => return Err(self.error("a control character must be escaped")),
            }
        }
    }

    fn escape(&mut self) -> PgResult<char> {
        self.at += 1;
        let Some(letter) = self.peek() else {
            return Err(self.error("a string is not closed"));
        };
        let c = match letter {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(self.error("this escape is not valid")),
        };
        self.at += 1;
        Ok(c)
    }

    fn unicode(&mut self) -> PgResult<char> {
        let first = self.hex4()?;
        let code = match first {
            0xD800..=0xDBFF => {
                if !self.text[self.at..].starts_with("\\u") {
                    return Err(self.error("a high surrogate must be followed by a low one"));
                }
                self.at += 1;
                let second = self.hex4()?;
                if !(0xDC00..=0xDFFF).contains(&second) {
                    return Err(self.error("a high surrogate must be followed by a low one"));
                }
                0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)
            }
            0xDC00..=0xDFFF => return Err(self.error("a low surrogate must follow a high one")),
            0 if self.jsonb => {
                return Err(PgError::new(
                    sqlstate::UNTRANSLATABLE_CHARACTER,
                    "unsupported Unicode escape sequence",
                )
                .detail("\\u0000 cannot be converted to text."));
            }
            code => code,
        };
        char::from_u32(code).ok_or_else(|| self.error("this is not a character"))
    }

    /// `u` and four digits.
    fn hex4(&mut self) -> PgResult<u32> {
        self.at += 1;
        let digits = self.text.get(self.at..self.at + 4);
        let code = digits
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let code =
            code.ok_or_else(|| self.error("\"\\u\" must be followed by four hexadecimal digits"))?;
        self.at += 4;
        Ok(code)
    }
}

/// A string with quotes and the escapes that are needed.
pub fn put_string(out: &mut String, value: &str) {
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jsonb_has_one_form() {
        for (text, expected) in [
            (
                r#" {"bb":1,"a":[1,2 , {"x":null}],"a":true} "#,
                r#"{"a": true, "bb": 1}"#,
            ),
            ("[]", "[]"),
            ("{ }", "{}"),
            (r#""\u00e9\n\/\ud83d\ude00""#, r#""é\n/😀""#),
            ("1.50", "1.50"),
            ("1e3", "1000"),
            ("-0", "0"),
            ("1.5e-3", "0.0015"),
            ("[1,\n2]", "[1, 2]"),
        ] {
            assert_eq!(normal_json(text).expect(text), expected, "{text}");
            check_json(text).expect(text);
        }
    }

    #[test]
    fn broken_json_is_refused() {
        for bad in [
            "",
            "{",
            "[1,]",
            "{\"a\"}",
            "{a:1}",
            "01",
            "1.",
            "-",
            "tru",
            "\"",
            "\"\\x\"",
            "\"\u{1}\"",
            "1 2",
            "\"\\ud800\"",
            "\"\\u12\"",
            "[1 2]",
            "nul\u{e9}",
        ] {
            assert_eq!(normal_json(bad).unwrap_err().code, "22P02", "{bad:?}");
        }
        assert_eq!(normal_json("\"\\u0000\"").unwrap_err().code, "22P05");
        check_json("\"\\u0000\"").expect("json keeps escapes");
        let deep = "[".repeat(100_000);
        assert_eq!(check_json(&deep).unwrap_err().code, "54001");
    }
}
