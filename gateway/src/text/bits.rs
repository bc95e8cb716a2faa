//! Strings of bits: as text `101`, and as the bytes that clients send and get.

use crate::error::{PgError, PgResult};
use crate::sqlstate;

/// The digits of a text, cut or filled up with zeros to a length if there is one.
pub fn parse_bits(text: &str, length: Option<usize>) -> PgResult<String> {
    if let Some(other) = text.chars().find(|c| !matches!(c, '0' | '1')) {
        return Err(PgError::new(
            sqlstate::INVALID_TEXT_REPRESENTATION,
            format!("\"{other}\" is not a valid binary digit"),
        ));
    }
    let mut bits = text.to_owned();
    if let Some(length) = length {
        bits.truncate(length);
        bits.extend(std::iter::repeat_n('0', length - bits.len()));
    }
    Ok(bits)
}

/// How many bits there are, and then they, the first one the highest of its byte.
pub fn put_binary(out: &mut Vec<u8>, bits: &str) {
    out.extend_from_slice(&(bits.len() as u32).to_be_bytes());
    for byte in bits.as_bytes().chunks(8) {
        let set = byte.iter().zip((0..8).rev());
        out.push(set.fold(0, |all, (bit, at)| all | u8::from(*bit == b'1') << at));
    }
}

/// `None`: the bytes are no string of bits.
pub fn from_binary(bytes: &[u8]) -> Option<String> {
    let (length, bytes) = bytes.split_first_chunk::<4>()?;
    let length = usize::try_from(i32::from_be_bytes(*length)).ok()?;
    let bits = bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1));
    let digit = |bit| if bit == 1 { '1' } else { '0' };
    (bytes.len() == length.div_ceil(8)).then(|| bits.take(length).map(digit).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_read_and_written() {
        for (text, length, expected) in [
            ("101", None, "101"),
            ("101", Some(5), "10100"),
            ("101", Some(2), "10"),
            ("", None, ""),
        ] {
            assert_eq!(parse_bits(text, length).ok().as_deref(), Some(expected));
        }
        assert!(parse_bits("12", None).is_err());
        for bits in ["", "1", "10110111", "101101110"] {
            let mut bytes = Vec::new();
            put_binary(&mut bytes, bits);
            assert_eq!(from_binary(&bytes).as_deref(), Some(bits));
        }
        assert_eq!(from_binary(&[0, 0, 0, 9, 1]), None);
        assert_eq!(from_binary(&[255, 0, 0, 9, 1]), None);
    }
}
