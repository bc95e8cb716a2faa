//! A scanner for JSON text. It hands out strings and numbers as they stand in the line, so
//! that each is read by the type of its property, once, without loss.

use std::borrow::Cow;

/// Reads one line from left to right. Errors say what is wrong with the JSON.
#[derive(Debug, Clone)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

/// What a value begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

pub(crate) type Result<T> = std::result::Result<T, String>;

impl<'a> Scanner<'a> {
    pub fn new(text: &'a str) -> Self {
        Scanner { text, at: 0 }
    }

    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// Passes over `byte` if it comes next.
    pub fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    pub fn expect(&mut self, byte: u8) -> Result<()> {
        if self.eat(byte) {
            Ok(())
        } else {
            Err(self.unexpected(&format!("\"{}\"", char::from(byte))))
        }
    }

    /// Nothing but white space is left.
    pub fn end(&mut self) -> Result<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.unexpected("the end of the line")),
        }
    }

    fn unexpected(&mut self, wanted: &str) -> String {
        self.peek();
        let column = self
            .text
            .get(..self.at)
            .map_or(0, |before| before.chars().count())
            + 1;
        match self
            .text
            .get(self.at..)
            .and_then(|rest| rest.chars().next())
        {
            Some(found) => {
                format!("not valid JSON: expected {wanted} at column {column}, found {found:?}")
            }
            None => format!("not valid JSON: expected {wanted}, found the end of the line"),
        }
    }

    pub fn kind(&mut self) -> Result<Kind> {
        Ok(match self.peek() {
            Some(b'"') => Kind::String,
            Some(b'-' | b'0'..=b'9') => Kind::Number,
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') => Kind::Null,
            _ => return Err(self.unexpected("a value")),
        })
    }

    pub fn null(&mut self) -> Result<()> {
        self.word("null")
    }

    pub fn bool(&mut self) -> Result<bool> {
        if self.peek() == Some(b't') {
            self.word("true").map(|()| true)
        } else {
            self.word("false").map(|()| false)
        }
    }

    fn word(&mut self, word: &str) -> Result<()> {
        if self.text[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(())
        } else {
            Err(self.unexpected(word))
        }
    }

    /// The text of a number.
    pub fn number(&mut self) -> Result<&'a str> {
        self.peek();
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut at = start;
        let digits = |at: &mut usize| {
            let from = *at;
            while bytes.get(*at).is_some_and(u8::is_ascii_digit) {
                *at += 1;
            }
            *at > from
        };
        if bytes.get(at) == Some(&b'-') {
            at += 1;
        }
        let leading_zero = bytes.get(at) == Some(&b'0');
        let whole = at;
        let mut valid = digits(&mut at) && !(leading_zero && at > whole + 1);
        if valid && bytes.get(at) == Some(&b'.') {
            at += 1;
            valid = digits(&mut at);
        }
        if valid && matches!(bytes.get(at), Some(b'e' | b'E')) {
            at += 1;
            if matches!(bytes.get(at), Some(b'+' | b'-')) {
                at += 1;
            }
            valid = digits(&mut at);
        }
        if !valid {
            self.at = at;
            return Err(self.unexpected("a number"));
        }
        self.at = at;
        Ok(&self.text[start..at])
    }

    pub fn string(&mut self) -> Result<Cow<'a, str>> {
        self.expect(b'"')?;
        let bytes = self.text.as_bytes();
        let start = self.at;
        while let Some(&byte) = bytes.get(self.at) {
            match byte {
                b'"' => {
                    let text = &self.text[start..self.at];
                    self.at += 1;
                    return Ok(Cow::Borrowed(text));
                }
                b'\\' => return self.escaped(start).map(Cow::Owned),
                0x00..=0x1f => return Err(self.control_character()),
                _ => self.at += 1,
            }
        }
        Err("not valid JSON: a string has no end".to_owned())
    }

    fn control_character(&self) -> String {
        let byte = self
            .text
            .as_bytes()
            .get(self.at)
            .copied()
            .unwrap_or_default();
        format!("not valid JSON: a string holds the control character \\u{byte:04x} unescaped")
    }

    /// The rest of a string that has escapes; `start` is where its characters begin.
    fn escaped(&mut self, start: usize) -> Result<String> {
        let bytes = self.text.as_bytes();
        let mut out = String::with_capacity(self.at - start + 32);
        let mut plain = start;
        while let Some(&byte) = bytes.get(self.at) {
            match byte {
                b'"' => {
                    out.push_str(&self.text[plain..self.at]);
                    self.at += 1;
                    return Ok(out);
                }
                b'\\' => {
                    out.push_str(&self.text[plain..self.at]);
                    self.at += 1;
                    out.push(self.escape()?);
                    plain = self.at;
                }
                0x00..=0x1f => return Err(self.control_character()),
                _ => self.at += 1,
            }
        }
        Err("not valid JSON: a string has no end".to_owned())
    }

    fn escape(&mut self) -> Result<char> {
        let byte = self.text.as_bytes().get(self.at).copied();
        self.at += usize::from(byte.is_some_and(|byte| byte.is_ascii()));
        Ok(match byte {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(),
            _ => return Err("not valid JSON: a string has an unknown escape".to_owned()),
        })
    }

    fn unicode_escape(&mut self) -> Result<char> {
        let first = self.four_hex_digits()?;
        let code = if (0xD800..0xDC00).contains(&first) {
            let is_pair = self.text[self.at..].starts_with("\\u");
            self.at += if is_pair { 2 } else { 0 };
            match if is_pair { self.four_hex_digits()? } else { 0 } {
                second @ 0xDC00..0xE000 => 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00),
                _ => first,
            }
        } else {
            first
        };
        match char::from_u32(code) {
            Some('\0') => Err("a text cannot hold the character \\u0000".to_owned()),
            Some(c) => Ok(c),
            None => Err(format!(
                "not valid JSON: \\u{code:04x} is half of a character"
            )),
        }
    }

    fn four_hex_digits(&mut self) -> Result<u32> {
        let digits = self
            .text
            .get(self.at..self.at + 4)
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|digits| u32::from_str_radix(digits, 16).ok());
        match digits {
            Some(code) => {
                self.at += 4;
                Ok(code)
            }
            None => Err("not valid JSON: \\u needs four hexadecimal digits".to_owned()),
        }
    }

    /// Passes over a value and gives its text. Only strings and brackets are looked at: who
    /// wants the value reads the text again, and who does not has an error to report already.
    pub fn skip(&mut self) -> Result<&'a str> {
        self.kind()?;
        let start = self.at;
        let mut depth = 0usize;
        loop {
            match self.kind_or_punctuation()? {
                b'"' => {
                    self.string()?;
                }
                b'{' | b'[' => {
                    self.at += 1;
                    depth += 1;
                }
                b'}' | b']' => {
                    self.at += 1;
                    depth = depth.saturating_sub(1);
                }
                b',' | b':' => self.at += 1,
                b't' | b'f' => {
                    self.bool()?;
                }
                b'n' => self.null()?,
                _ => {
                    self.number()?;
                }
            }
            if depth == 0 {
                return Ok(&self.text[start..self.at]);
            }
        }
    }

    fn kind_or_punctuation(&mut self) -> Result<u8> {
        match self.peek() {
            Some(byte @ (b'}' | b']' | b',' | b':')) => Ok(byte),
            _ => {
                self.kind()?;
                self.peek().ok_or_else(|| self.unexpected("a value"))
            }
        }
    }
}

/// A value as it is quoted in messages.
pub(crate) fn shown(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(text: &str) -> Result<String> {
        let mut scanner = Scanner::new(text);
        let found = scanner.string()?.into_owned();
        scanner.end()?;
        Ok(found)
    }

    #[test]
    fn strings_are_unescaped() {
        for (text, expected) in [
            (r#""abc""#, "abc"),
            (r#""""#, ""),
            (r#" "a\"b\\c\/d\b\f\n\r\t" "#, "a\"b\\c/d\u{8}\u{c}\n\r\t"),
            (r#""\u00e9\u20ac\ud83d\ude00x""#, "é€😀x"),
            ("\"é€😀\"", "é€😀"),
        ] {
            assert_eq!(string(text).as_deref(), Ok(expected), "{text}");
        }
        for bad in [
            r#"""#,
            r#""abc"#,
            r#""\x""#,
            r#""\u12g4""#,
            r#""\ud800""#,
            r#""\ud800\u0041""#,
            r#""\udc00""#,
            r#""\u0000""#,
            "\"a\u{1}\"",
            "\"\\é\"",
            r#""\u+123""#,
            r#""\"#,
        ] {
            assert!(string(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_are_kept_as_written() {
        for good in [
            "0",
            "-0",
            "12",
            "1.50",
            "-1e5",
            "1E+05",
            "18446744073709551616",
            "0.1e-7",
        ] {
            let mut scanner = Scanner::new(good);
            assert_eq!(scanner.number().as_deref(), Ok(good));
        }
        for bad in ["", "-", "01", "1.", ".5", "1e", "+1", "-a"] {
            let mut scanner = Scanner::new(bad);
            assert!(scanner.number().is_err(), "{bad}");
        }
    }

    #[test]
    fn skipped_values_are_whole() {
        let mut scanner = Scanner::new(r#" {"a":[1,"]}",{"b":null}],"c":true} , 1"#);
        assert_eq!(
            scanner.skip().as_deref(),
            Ok(r#"{"a":[1,"]}",{"b":null}],"c":true}"#)
        );
        assert!(scanner.eat(b','));
        for bad in ["", "{", "[1,", "{\"a\":", "tru", "@"] {
            assert!(Scanner::new(bad).skip().is_err(), "{bad}");
        }
    }
}
