//! `bytea` and `uuid`.

use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::text::ByteaOutput;
use crate::text::number::{invalid_syntax, is_blank};

const HEX: &[u8; 16] = b"0123456789abcdef";

pub fn put_bytea(out: &mut Vec<u8>, bytes: &[u8], style: ByteaOutput) {
    match style {
        ByteaOutput::Hex => {
            out.reserve(2 + 2 * bytes.len());
            out.extend_from_slice(b"\\x");
            for byte in bytes {
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
        }
        ByteaOutput::Escape => {
            for &byte in bytes {
                match byte {
                    b'\\' => out.extend_from_slice(b"\\\\"),
                    0x20..=0x7e => out.push(byte),
                    _ => {
                        let octal = [byte >> 6, byte >> 3 & 7, byte & 7];
                        out.push(b'\\');
                        out.extend(octal.map(|digit| b'0' + digit));
                    }
                }
            }
        }
    }
}

/// Both forms: `\x0aff` (with blanks between bytes) and `a\012\\`.
pub fn parse_bytea(text: &str) -> PgResult<Vec<u8>> {
    match text.strip_prefix("\\x") {
        Some(digits) => parse_hex(digits),
        None => parse_escapes(text),
    }
}

fn parse_hex(digits: &str) -> PgResult<Vec<u8>> {
    let mut bytes = Vec::with_capacity(digits.len() / 2);
    let mut half = None;
    for c in digits.chars() {
        if is_blank(c) && half.is_none() {
            continue;
        }
        let Some(digit) = c.to_digit(16) else {
            return Err(PgError::new(
                sqlstate::INVALID_PARAMETER_VALUE,
                format!("invalid hexadecimal digit: \"{c}\""),
            ));
        };
        match half.take() {
            None => half = Some(digit as u8),
            Some(high) => bytes.push(high << 4 | digit as u8),
        }
    }
    if half.is_some() {
        return Err(PgError::new(
            sqlstate::INVALID_PARAMETER_VALUE,
            "invalid hexadecimal data: odd number of digits",
        ));
    }
    Ok(bytes)
}

fn parse_escapes(text: &str) -> PgResult<Vec<u8>> {
    let input = text.as_bytes();
    let mut bytes = Vec::with_capacity(input.len());
    let mut at = 0;
    while at < input.len() {
        match input[at..] {
            [b'\\', b'\\', ..] => {
                bytes.push(b'\\');
                at += 2;
            }
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                at += 4;
            }
            [b'\\', ..] => {
                return Err(PgError::new(
                    sqlstate::INVALID_TEXT_REPRESENTATION,
                    "invalid input syntax for type bytea",
                ));
            }
            [byte, ..] => {
                bytes.push(byte);
                at += 1;
            }
            [] => break,
        }
    }
    Ok(bytes)
}

/// Any of PostgreSQL's forms: in braces, with hyphens after any group of four digits or none.
pub fn parse_uuid(text: &str) -> PgResult<[u8; 16]> {
    let error = || invalid_syntax("uuid", text);
    let trimmed = text.trim_matches(is_blank);
    let inner = match trimmed.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}').ok_or_else(error)?,
        None => trimmed,
    };
    let mut uuid = [0; 16];
    let mut digits = 0;
    let mut after_hyphen = true;
    for c in inner.chars() {
        if c == '-' {
            if after_hyphen || digits % 4 != 0 || digits == 32 {
                return Err(error());
            }
            after_hyphen = true;
            continue;
        }
        after_hyphen = false;
        let digit = c.to_digit(16).ok_or_else(error)? as u8;
        let byte = uuid.get_mut(digits / 2).ok_or_else(error)?;
        *byte = *byte << 4 | digit;
        digits += 1;
    }
    if digits != 32 { Err(error()) } else { Ok(uuid) }
}

pub fn put_uuid(out: &mut Vec<u8>, uuid: &[u8; 16]) {
    for (i, byte) in uuid.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    }
}

/// The one text a uuid is stored as.
pub fn uuid_text(uuid: &[u8; 16]) -> String {
    let mut out = Vec::with_capacity(36);
    put_uuid(&mut out, uuid);
    // Only hexadecimal digits and hyphens.
    String::from_utf8(out).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytea_is_written_and_read_in_both_forms() {
        let bytes = b"a\\\x00\xff\n";
        let mut hex = Vec::new();
        put_bytea(&mut hex, bytes, ByteaOutput::Hex);
        assert_eq!(hex, b"\\x615c00ff0a");
        let mut escape = Vec::new();
        put_bytea(&mut escape, bytes, ByteaOutput::Escape);
        assert_eq!(escape, b"a\\\\\\000\\377\\012");
        for text in [hex, escape] {
            let text = String::from_utf8(text).expect("ASCII");
            assert_eq!(parse_bytea(&text).expect("bytea"), bytes);
        }
        assert_eq!(parse_bytea("\\x61 62").expect("blanks"), b"ab");
        assert_eq!(parse_bytea("\\x6").unwrap_err().code, "22023");
        assert_eq!(parse_bytea("\\xzz").unwrap_err().code, "22023");
        assert_eq!(parse_bytea("\\9").unwrap_err().code, "22P02");
        assert_eq!(parse_bytea("\\400").unwrap_err().code, "22P02");
    }

    #[test]
    fn uuids_have_one_text() {
        let expected = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
        for text in [
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "{A0EEBC99-9C0B4EF8-BB6D6BB9-BD380A11}",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11",
            "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11",
        ] {
            assert_eq!(uuid_text(&parse_uuid(text).expect(text)), expected);
        }
        for bad in [
            "",
            "a0",
            "{a0eebc999c0b4ef8bb6d6bb9bd380a11",
            "a0e-ebc999c0b4ef8bb6d6bb9bd380a11",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11-",
            "a0eebc999c0b4ef8bb6d6bb9bd380a1g",
        ] {
            assert_eq!(parse_uuid(bad).unwrap_err().code, "22P02", "{bad}");
        }
    }
}
