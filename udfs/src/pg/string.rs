//! Functions over text.

use std::cell::Cell;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Int32Array, ListBuilder, StringArray,
    StringBuilder,
};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type};
use datafusion::logical_expr::Expr;
use sha2::Digest;

use super::function::{self, call_with, rows};
use crate::error::{Error, Result};

/// The longest text that a function may make of short ones.
const MAX_TEXT: usize = 1 << 28;
/// And all those of one batch of rows together, whose offsets are 32-bit.
const MAX_TEXTS: usize = 1 << 30;

/// Counts what a function makes for the rows of one batch.
#[derive(Default)]
struct Made(Cell<usize>);

impl Made {
    fn add(&self, bytes: usize) -> Result<()> {
        let total = self.0.get().saturating_add(bytes);
        self.0.set(total);
        if bytes > MAX_TEXT || total > MAX_TEXTS {
            return Err(Error::value("54000", "requested length too large"));
        }
        Ok(())
    }
}

type Body = fn(&[ArrayRef]) -> Result<ArrayRef>;

/// A strict function over text and integers, by name; the binder has cast the arguments.
pub fn call(name: &str, returns: DataType, args: Vec<Expr>) -> Expr {
    let function_name = name.to_owned();
    let arity = args.len();
    let body = body(name, arity);
    call_with(name, "", returns, args, move |arrays| match body {
        Some(body) => body(arrays),
        None => Err(Error::value(
            "42883",
            format!("function {function_name} with {arity} arguments does not exist"),
        )),
    })
}

pub fn is_implemented(name: &str, arity: usize) -> bool {
    body(name, arity).is_some()
}

fn body(name: &str, arity: usize) -> Option<Body> {
    Some(match (name, arity) {
        ("textcat", 2) => |a| text2(a, |x, y| Ok(Some(format!("{x}{y}")))),
        ("starts_with", 2) => |a| {
            let (text, prefix) = (s(a, 0)?, s(a, 1)?);
            let values: BooleanArray = rows(a, |row| {
                Ok(Some(text.value(row).starts_with(prefix.value(row))))
            })?;
            Ok(Arc::new(values))
        },
        ("length" | "char_length" | "character_length", 1) => {
            |a| integer1(a, |text| text.chars().count())
        }
        ("octet_length", 1) => |a| integer1(a, str::len),
        ("bit_length", 1) => |a| integer1(a, |text| text.len() * 8),
        ("ascii", 1) => |a| integer1(a, |text| text.chars().next().map_or(0, |c| c as usize)),
        ("lower", 1) => |a| text1(a, |text| Ok(text.to_lowercase())),
        ("upper", 1) => |a| text1(a, |text| Ok(text.to_uppercase())),
        ("initcap", 1) => |a| text1(a, |text| Ok(initcap(text))),
        ("reverse", 1) => |a| text1(a, |text| Ok(text.chars().rev().collect())),
        ("parse_ident", 1 | 2) => parse_ident,
        ("unistr", 1) => |a| text1(a, unistr),
        ("md5", 1) => |a| text1(a, |text| Ok(md5(text.as_bytes()))),
        ("quote_ident", 1) => |a| {
            text1(a, |text| {
                Ok(omnigraph_catalog::lookup::quote_identifier(text))
            })
        },
        ("quote_literal", 1) => |a| text1(a, |text| Ok(quote_literal(text))),
        ("btrim", 1) => |a| text1(a, |text| Ok(text.trim_matches(' ').to_owned())),
        ("ltrim", 1) => |a| text1(a, |text| Ok(text.trim_start_matches(' ').to_owned())),
        ("rtrim", 1) => |a| text1(a, |text| Ok(text.trim_end_matches(' ').to_owned())),
        ("btrim", 2) => |a| {
            text2(a, |text, set| {
                Ok(Some(text.trim_matches(|c| set.contains(c)).to_owned()))
            })
        },
        ("ltrim", 2) => |a| {
            text2(a, |text, set| {
                Ok(Some(
                    text.trim_start_matches(|c| set.contains(c)).to_owned(),
                ))
            })
        },
        ("rtrim", 2) => |a| {
            text2(a, |text, set| {
                Ok(Some(text.trim_end_matches(|c| set.contains(c)).to_owned()))
            })
        },
        ("strpos" | "position", 2) => |a| {
            let (text, part) = (s(a, 0)?, s(a, 1)?);
            let values: Int32Array = rows(a, |row| {
                let text = text.value(row);
                Ok(Some(
                    text.find(part.value(row))
                        .map_or(0, |at| text[..at].chars().count() as i32 + 1),
                ))
            })?;
            Ok(Arc::new(values))
        },
        ("lpad" | "rpad", 2 | 3) if name == "lpad" => |a| pad(a, true),
        ("lpad" | "rpad", 2 | 3) => |a| pad(a, false),
        ("left", 2) => |a| text_int(a, |text, n| Ok(left(text, n).to_owned())),
        ("right", 2) => |a| text_int(a, |text, n| Ok(right(text, n).to_owned())),
        ("repeat", 2) => |a| {
            let made = Made::default();
            text_int(a, move |text, n| {
                let count = usize::try_from(n).unwrap_or(0);
                made.add(text.len().saturating_mul(count))?;
                Ok(text.repeat(count))
            })
        },
        ("chr", 1) => |a| {
            let code = i(a, 0)?;
            let values: StringArray = rows(a, |row| {
                match u32::try_from(code.value(row)).ok().and_then(char::from_u32) {
                    Some('\0') => Err(Error::value("54000", "null character not permitted")),
                    Some(c) => Ok(Some(c.to_string())),
                    None => Err(Error::value(
                        "54000",
                        "requested character not valid for encoding",
                    )),
                }
            })?;
            Ok(Arc::new(values))
        },
        ("to_hex", 1) => |a| {
            let values: StringArray = rows(a, |row| {
                Ok(Some(match a[0].data_type() {
                    DataType::Int32 => format!("{:x}", a[0].as_primitive::<Int32Type>().value(row)),
                    _ => format!("{:x}", a[0].as_primitive::<Int64Type>().value(row)),
                }))
            })?;
            Ok(Arc::new(values))
        },
        ("replace", 3) => |a| {
            let (text, from, to) = (s(a, 0)?, s(a, 1)?, s(a, 2)?);
            let values: StringArray = rows(a, |row| {
                let from = from.value(row);
                let text = text.value(row);
                Ok(Some(if from.is_empty() {
                    text.to_owned()
                } else {
                    text.replace(from, to.value(row))
                }))
            })?;
            Ok(Arc::new(values))
        },
        ("translate", 3) => |a| {
            let (text, from, to) = (s(a, 0)?, s(a, 1)?, s(a, 2)?);
            let values: StringArray = rows(a, |row| {
                let to: Vec<char> = to.value(row).chars().collect();
                let from: Vec<char> = from.value(row).chars().collect();
                Ok(Some(
                    text.value(row)
                        .chars()
                        .filter_map(|c| match from.iter().position(|f| *f == c) {
                            Some(at) => to.get(at).copied(),
                            None => Some(c),
                        })
                        .collect::<String>(),
                ))
            })?;
            Ok(Arc::new(values))
        },
        ("split_part", 3) => |a| {
            let (text, by, at) = (s(a, 0)?, s(a, 1)?, i(a, 2)?);
            let values: StringArray = rows(a, |row| {
                let n = at.value(row);
                if n == 0 {
                    return Err(Error::value("22023", "field position must not be zero"));
                }
                let text = text.value(row);
                let parts: Vec<&str> = match by.value(row) {
                    "" => vec![text],
                    by => text.split(by).collect(),
                };
                let at = if n > 0 {
                    (n - 1) as usize
                } else {
                    parts.len().wrapping_sub(n.unsigned_abs() as usize)
                };
                Ok(Some(parts.get(at).copied().unwrap_or_default().to_owned()))
            })?;
            Ok(Arc::new(values))
        },
        ("substring" | "substr", 2 | 3) => |a| {
            let (text, start) = (s(a, 0)?, i(a, 1)?);
            let count = if a.len() > 2 { Some(i(a, 2)?) } else { None };
            let values: StringArray = rows(a, |row| {
                let count = count.map(|count| count.value(row));
                substring(text.value(row), start.value(row), count)
                    .map(|part| Some(part.to_owned()))
            })?;
            Ok(Arc::new(values))
        },
        ("overlay", 3 | 4) => |a| {
            let (text, by, start) = (s(a, 0)?, s(a, 1)?, i(a, 2)?);
            let count = if a.len() > 3 { Some(i(a, 3)?) } else { None };
            let values: StringArray = rows(a, |row| {
                let (text, by, start) = (text.value(row), by.value(row), start.value(row));
                let count = count.map_or(by.chars().count() as i32, |count| count.value(row));
                if start <= 0 {
                    return Err(Error::value(
                        "22011",
                        "negative substring length not allowed",
                    ));
                }
                let after = start.saturating_add(count);
                Ok(Some(format!(
                    "{}{by}{}",
                    substring(text, 1, Some(start - 1))?,
                    substring(text, after, None)?
                )))
            })?;
            Ok(Arc::new(values))
        },
        ("encode", 2) => |a| {
            let bytes = a[0].as_binary_opt::<i32>().ok_or_else(mistyped)?;
            let format = s(a, 1)?;
            let values: StringArray = rows(a, |row| {
                encode(bytes.value(row), format.value(row)).map(Some)
            })?;
            Ok(Arc::new(values))
        },
        ("decode", 2) => |a| {
            let (text, format) = (s(a, 0)?, s(a, 1)?);
            let values: Vec<Option<Vec<u8>>> = rows(a, |row| {
                decode(text.value(row), format.value(row)).map(Some)
            })?;
            Ok(Arc::new(BinaryArray::from_iter(values)))
        },
        ("sha224", 1) => |a| digest(a, |bytes| sha2::Sha224::digest(bytes).to_vec()),
        ("sha256", 1) => |a| digest(a, |bytes| sha2::Sha256::digest(bytes).to_vec()),
        ("sha384", 1) => |a| digest(a, |bytes| sha2::Sha384::digest(bytes).to_vec()),
        ("sha512", 1) => |a| digest(a, |bytes| sha2::Sha512::digest(bytes).to_vec()),
        _ => return None,
    })
}

fn mistyped() -> Error {
    Error::value("XX000", "an argument is not of the type it was resolved to")
}

fn s(arrays: &[ArrayRef], at: usize) -> Result<&StringArray> {
    arrays
        .get(at)
        .and_then(|array| array.as_string_opt::<i32>())
        .ok_or_else(mistyped)
}

fn i(arrays: &[ArrayRef], at: usize) -> Result<&Int32Array> {
    arrays
        .get(at)
        .and_then(|array| array.as_primitive_opt::<Int32Type>())
        .ok_or_else(mistyped)
}

fn text1(arrays: &[ArrayRef], each: impl Fn(&str) -> Result<String>) -> Result<ArrayRef> {
    let text = s(arrays, 0)?;
    let values: StringArray = rows(arrays, |row| each(text.value(row)).map(Some))?;
    Ok(Arc::new(values))
}

fn text2(
    arrays: &[ArrayRef],
    each: impl Fn(&str, &str) -> Result<Option<String>>,
) -> Result<ArrayRef> {
    let (a, b) = (s(arrays, 0)?, s(arrays, 1)?);
    let values: StringArray = rows(arrays, |row| each(a.value(row), b.value(row)))?;
    Ok(Arc::new(values))
}

fn text_int(arrays: &[ArrayRef], each: impl Fn(&str, i32) -> Result<String>) -> Result<ArrayRef> {
    let (text, n) = (s(arrays, 0)?, i(arrays, 1)?);
    let values: StringArray = rows(arrays, |row| each(text.value(row), n.value(row)).map(Some))?;
    Ok(Arc::new(values))
}

fn integer1(arrays: &[ArrayRef], each: impl Fn(&str) -> usize) -> Result<ArrayRef> {
    // Over bytea, lengths are of its bytes.
    if let Some(bytes) = arrays[0].as_binary_opt::<i32>() {
        let values: Int32Array = bytes
            .iter()
            .map(|value| value.map(|value| value.len() as i32))
            .collect();
        return Ok(Arc::new(values));
    }
    let text = s(arrays, 0)?;
    let values: Int32Array = rows(arrays, |row| {
        Ok(Some(
            i32::try_from(each(text.value(row))).unwrap_or(i32::MAX),
        ))
    })?;
    Ok(Arc::new(values))
}

fn digest(arrays: &[ArrayRef], each: impl Fn(&[u8]) -> Vec<u8>) -> Result<ArrayRef> {
    let bytes = arrays[0].as_binary_opt::<i32>().ok_or_else(mistyped)?;
    let values: Vec<Option<Vec<u8>>> = bytes.iter().map(|value| value.map(&each)).collect();
    Ok(Arc::new(BinaryArray::from_iter(values)))
}

/// Characters of a text from a 1-based start, which may lie before it.
fn substring(text: &str, start: i32, count: Option<i32>) -> Result<&str> {
    let start = i64::from(start);
    let end = match count {
        Some(count) if count < 0 => {
            return Err(Error::value(
                "22011",
                "negative substring length not allowed",
            ));
        }
        Some(count) => start + i64::from(count),
        None => i64::MAX,
    };
    let skip = usize::try_from((start - 1).max(0)).unwrap_or(usize::MAX);
    let take = usize::try_from((end - start.max(1)).max(0)).unwrap_or(usize::MAX);
    let from = text
        .char_indices()
        .nth(skip)
        .map_or(text.len(), |(at, _)| at);
    let rest = &text[from..];
    let to = rest
        .char_indices()
        .nth(take)
        .map_or(rest.len(), |(at, _)| at);
    Ok(&rest[..to])
}

fn left(text: &str, n: i32) -> &str {
    let count = if n >= 0 {
        n as usize
    } else {
        text.chars()
            .count()
            .saturating_sub(n.unsigned_abs() as usize)
    };
    &text[..text
        .char_indices()
        .nth(count)
        .map_or(text.len(), |(at, _)| at)]
}

fn right(text: &str, n: i32) -> &str {
    let length = text.chars().count();
    let skip = if n >= 0 {
        length.saturating_sub(n as usize)
    } else {
        n.unsigned_abs() as usize
    };
    &text[text
        .char_indices()
        .nth(skip)
        .map_or(text.len(), |(at, _)| at)..]
}

fn pad(arrays: &[ArrayRef], at_left: bool) -> Result<ArrayRef> {
    let (text, length) = (s(arrays, 0)?, i(arrays, 1)?);
    let fill = if arrays.len() > 2 {
        Some(s(arrays, 2)?)
    } else {
        None
    };
    let made = Made::default();
    let values: StringArray = rows(arrays, |row| {
        let (text, wanted) = (
            text.value(row),
            usize::try_from(length.value(row)).unwrap_or(0),
        );
        let fill = fill.map_or(" ", |fill| fill.value(row));
        let have = text.chars().count();
        if have >= wanted || fill.is_empty() {
            return Ok(Some(left(text, wanted as i32).to_owned()));
        }
        let (width, missing) = (fill.chars().count(), wanted - have);
        let rest = left(fill, (missing % width) as i32);
        let times = missing / width;
        made.add((fill.len().saturating_mul(times)).saturating_add(text.len()))?;
        let mut padding = fill.repeat(times);
        padding.push_str(rest);
        Ok(Some(match at_left {
            true => padding + text,
            false => format!("{text}{padding}"),
        }))
    })?;
    Ok(Arc::new(values))
}

fn initcap(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        if inside {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        inside = c.is_alphanumeric();
    }
    out
}

/// The parts of a qualified name; unquoted ones in lower case.
fn parse_ident(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let text = s(arrays, 0)?;
    let field = Arc::new(Field::new("item", DataType::Utf8, true));
    let mut out = ListBuilder::new(StringBuilder::new()).with_field(field);
    for row in 0..text.len() {
        if arrays.iter().any(|array| array.is_null(row)) {
            out.append(false);
            continue;
        }
        let strict = arrays
            .get(1)
            .is_none_or(|strict| strict.as_boolean().value(row));
        for part in identifiers(text.value(row), strict)? {
            out.values().append_value(part);
        }
        out.append(true);
    }
    Ok(Arc::new(out.finish()))
}

fn identifiers(text: &str, strict: bool) -> Result<Vec<String>> {
    let invalid = || {
        Error::value(
            "22023",
            format!("string is not a valid identifier: \"{text}\""),
        )
    };
    let mut parts = Vec::new();
    let mut rest = text.trim_start();
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut name = String::new();
            let mut chars = quoted.char_indices().peekable();
            let end = loop {
                match chars.next() {
                    Some((_, '"')) if chars.next_if(|(_, next)| *next == '"').is_some() => {
                        name.push('"');
                    }
                    Some((at, '"')) => break at + 1,
                    Some((_, c)) => name.push(c),
                    None => return Err(invalid()),
                }
            };
            if name.is_empty() {
                return Err(invalid());
            }
            parts.push(name);
            rest = &quoted[end..];
        } else {
            let word: String = rest
                .chars()
                .take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '$'))
                .collect();
            if !word.starts_with(|c: char| c.is_alphabetic() || c == '_') {
                return Err(invalid());
            }
            rest = &rest[word.len()..];
            parts.push(word.to_lowercase());
        }
        rest = rest.trim_start();
        match rest.strip_prefix('.') {
            Some(after) => rest = after.trim_start(),
            None if rest.is_empty() || !strict => return Ok(parts),
            None => return Err(invalid()),
        }
    }
}

/// Escapes of Unicode characters: `\XXXX`, `\+XXXXXX`, `\uXXXX`, `\UXXXXXXXX`.
fn unistr(text: &str) -> Result<String> {
    let invalid = || Error::value("42601", "invalid Unicode escape");
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('\\') {
            out.push('\\');
            rest = after;
            continue;
        }
        let (skip, digits) = match rest.chars().next() {
            Some('+') => (1, 6),
            Some('u') => (1, 4),
            Some('U') => (1, 8),
            _ => (0, 4),
        };
        let hex = rest.get(skip..skip + digits).ok_or_else(invalid)?;
        let code = u32::from_str_radix(hex, 16).map_err(|_| invalid())?;
        out.push(char::from_u32(code).ok_or_else(invalid)?);
        rest = &rest[skip + digits..];
    }
    out.push_str(rest);
    Ok(out)
}

/// `quote_literal`: with backslashes it becomes an E'' string.
pub fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!(" E'{}'", quoted.replace('\\', "\\\\"))
            .trim_start()
            .to_owned()
    } else {
        format!("'{quoted}'")
    }
}

fn encode(bytes: &[u8], format: &str) -> Result<String> {
    match format.to_ascii_lowercase().as_str() {
        "hex" => Ok(hex(bytes)),
        "base64" => {
            let encoded = base64(bytes);
            // PostgreSQL breaks lines after 76 characters.
            let lines: Vec<&str> = encoded
                .as_bytes()
                .chunks(76)
                .map(|line| std::str::from_utf8(line).unwrap_or_default())
                .collect();
            Ok(lines.join("\n"))
        }
        "escape" => Ok(bytes
            .iter()
            .map(|byte| match byte {
                b'\\' => "\\\\".to_owned(),
                0 | 128..=255 => format!("\\{byte:03o}"),
                _ => char::from(*byte).to_string(),
            })
            .collect()),
        other => Err(Error::value(
            "22023",
            format!("unrecognized encoding: \"{other}\""),
        )),
    }
}

fn decode(text: &str, format: &str) -> Result<Vec<u8>> {
    match format.to_ascii_lowercase().as_str() {
        "hex" => {
            let digits: Vec<u8> = text
                .bytes()
                .filter(|byte| !byte.is_ascii_whitespace())
                .collect();
            if digits.len() % 2 == 1 {
                return Err(Error::value(
                    "22023",
                    "invalid hexadecimal data: odd number of digits",
                ));
            }
            digits
                .chunks(2)
                .map(|pair| {
                    std::str::from_utf8(pair)
                        .ok()
                        .and_then(|pair| u8::from_str_radix(pair, 16).ok())
                        .ok_or_else(|| Error::value("22023", "invalid hexadecimal digit"))
                })
                .collect()
        }
        "base64" => decode_base64(text),
        "escape" => Ok(text.as_bytes().to_vec()),
        other => Err(Error::value(
            "22023",
            format!("unrecognized encoding: \"{other}\""),
        )),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().enumerate().fold(0u32, |word, (at, byte)| {
            word | u32::from(*byte) << (16 - 8 * at)
        });
        for at in 0..4 {
            if at <= chunk.len() {
                out.push(char::from(BASE64[(word >> (18 - 6 * at) & 63) as usize]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

fn decode_base64(text: &str) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut word, mut bits) = (0u32, 0);
    for byte in text.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        if byte == b'=' {
            break;
        }
        let value = BASE64
            .iter()
            .position(|known| *known == byte)
            .ok_or_else(|| {
                Error::value(
                    "22023",
                    format!(
                        "invalid symbol \"{}\" found while decoding base64 sequence",
                        char::from(byte)
                    ),
                )
            })?;
        word = word << 6 | value as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((word >> bits) as u8);
            word &= (1 << bits) - 1;
        }
    }
    Ok(out)
}

/// RFC 1321.
fn md5(bytes: &[u8]) -> String {
    const SHIFTS: [u32; 16] = [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21];
    let sines: Vec<u32> = (1..=64u32)
        .map(|i| (f64::from(i).sin().abs() * 4_294_967_296.0) as u32)
        .collect();
    let mut state = [0x6745_2301u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    let mut message = bytes.to_vec();
    message.push(0x80);
    while message.len() % 64 != 56 {
        message.push(0);
    }
    message.extend((bytes.len() as u64).wrapping_mul(8).to_le_bytes());
    for block in message.chunks_exact(64) {
        let words: Vec<u32> = block
            .chunks_exact(4)
            .map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]]))
            .collect();
        let [mut a, mut b, mut c, mut d] = state;
        for step in 0..64 {
            let (mix, at) = match step / 16 {
                0 => ((b & c) | (!b & d), step),
                1 => ((d & b) | (!d & c), (5 * step + 1) % 16),
                2 => (b ^ c ^ d, (3 * step + 5) % 16),
                _ => (c ^ (b | !d), (7 * step) % 16),
            };
            let turned = a
                .wrapping_add(mix)
                .wrapping_add(sines[step])
                .wrapping_add(words[at])
                .rotate_left(SHIFTS[step / 16 * 4 + step % 4]);
            (a, d, c, b) = (d, c, b, b.wrapping_add(turned));
        }
        for (sum, part) in state.iter_mut().zip([a, b, c, d]) {
            *sum = sum.wrapping_add(part);
        }
    }
    hex(&state
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect::<Vec<u8>>())
}

/// `concat` and `concat_ws` over texts: NULLs are left out. With a separator it comes first and
/// a NULL there makes the result NULL.
pub fn concat(args: Vec<Expr>, with_separator: bool) -> Expr {
    function::PgFunction::new(
        if with_separator {
            "concat_ws"
        } else {
            "concat"
        },
        DataType::Utf8,
        datafusion::logical_expr::Volatility::Immutable,
        Arc::new(move |arrays, count| {
            let mut out = StringBuilder::new();
            for row in 0..count {
                let parts = arrays.iter().skip(usize::from(with_separator));
                let separator = if with_separator {
                    if arrays[0].is_null(row) {
                        out.append_null();
                        continue;
                    }
                    s(arrays, 0)?.value(row)
                } else {
                    ""
                };
                let parts: Vec<&str> = parts
                    .filter_map(|array| {
                        array
                            .as_string_opt::<i32>()
                            .filter(|array| !array.is_null(row))
                            .map(|array| array.value(row))
                    })
                    .collect();
                out.append_value(parts.join(separator));
            }
            Ok(Arc::new(out.finish()))
        }),
    )
    .lenient()
    .over(args)
}

/// `format(template, …)` over texts: `%s`, `%I`, `%L`, `%%`, positions and widths.
pub fn format(args: Vec<Expr>) -> Expr {
    function::PgFunction::new(
        "format",
        DataType::Utf8,
        datafusion::logical_expr::Volatility::Immutable,
        Arc::new(|arrays, count| {
            let templates = s(arrays, 0)?;
            let mut out = StringBuilder::new();
            for row in 0..count {
                if templates.is_null(row) {
                    out.append_null();
                    continue;
                }
                let values: Vec<Option<&str>> = arrays[1..]
                    .iter()
                    .map(|array| {
                        array
                            .as_string_opt::<i32>()
                            .filter(|array| !array.is_null(row))
                            .map(|array| array.value(row))
                    })
                    .collect();
                out.append_value(formatted(templates.value(row), &values)?);
            }
            Ok(Arc::new(out.finish()))
        }),
    )
    .lenient()
    .over(args)
}

fn formatted(template: &str, values: &[Option<&str>]) -> Result<String> {
    let mut out = String::new();
    let mut next = 0;
    let mut chars = template.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if chars.next_if_eq(&'%').is_some() {
            out.push('%');
            continue;
        }
        let mut number = String::new();
        let mut left = false;
        let mut position = None;
        loop {
            match chars.peek() {
                Some('-') => left = true,
                Some(digit) if digit.is_ascii_digit() => number.push(*digit),
                Some('$') => position = Some(std::mem::take(&mut number)),
                _ => break,
            }
            chars.next();
        }
        let at = match position {
            Some(text) => text
                .parse::<usize>()
                .unwrap_or(0)
                .checked_sub(1)
                .ok_or_else(|| {
                    Error::value(
                        "22023",
                        "format specifies argument 0, but arguments are numbered from 1",
                    )
                })?,
            None => next,
        };
        next = at + 1;
        let kind = chars.next();
        let value = *values
            .get(at)
            .ok_or_else(|| Error::value("22023", "too few arguments for format()"))?;
        let text = match (kind, value) {
            (Some('s'), value) => value.unwrap_or_default().to_owned(),
            (Some('I'), Some(value)) => omnigraph_catalog::lookup::quote_identifier(value),
            (Some('I'), None) => {
                return Err(Error::value(
                    "22004",
                    "null values cannot be formatted as an SQL identifier",
                ));
            }
            (Some('L'), Some(value)) => quote_literal(value),
            (Some('L'), None) => "NULL".to_owned(),
            (Some(other), _) => {
                return Err(Error::value(
                    "22023",
                    format!("unrecognized format() type specifier \"{other}\""),
                ));
            }
            (None, _) => {
                return Err(Error::value(
                    "22023",
                    "unterminated format() type specifier",
                ));
            }
        };
        let width = number.parse::<usize>().unwrap_or(0).min(MAX_TEXT);
        let missing = " ".repeat(width.saturating_sub(text.chars().count()));
        if left {
            out.push_str(&text);
            out.push_str(&missing);
        } else {
            out.push_str(&missing);
            out.push_str(&text);
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_text_are_cut_as_in_postgres() {
        assert_eq!(substring("héllo", 2, Some(3)).unwrap(), "éll");
        assert_eq!(substring("hello", -1, Some(4)).unwrap(), "he");
        assert!(substring("hello", 1, Some(-1)).is_err());
        assert_eq!((left("hello", -2), right("hello", -2)), ("hel", "llo"));
        assert_eq!(initcap("hello WORLD-x"), "Hello World-X");
    }

    #[test]
    fn digests_and_encodings_are_the_known_ones() {
        assert_eq!(md5(b""), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(
            md5(b"The quick brown fox jumps over the lazy dog"),
            "9e107d9d372bb6826bd81d3542a419d6"
        );
        assert_eq!(base64(b"hello"), "aGVsbG8=");
        assert_eq!(decode("aGVsbG8=", "base64").unwrap(), b"hello");
    }

    #[test]
    fn format_knows_its_specifiers() {
        let values = [Some("a b"), None, Some("it's")];
        assert_eq!(formatted("%s|%%|%s|%L", &values).unwrap(), "a b|%||'it''s'");
        assert_eq!(
            formatted("%1$I %3$-6s|", &values).unwrap(),
            "\"a b\" it's  |"
        );
        assert!(formatted("%s %s %s %s", &values).is_err());
    }
}
