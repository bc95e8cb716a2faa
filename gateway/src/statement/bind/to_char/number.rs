//! Numbers by a template.

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int32Type, Int64Type};
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::{Error, Result};

use crate::statement::bind::text_io::carried;
use crate::text::write::Formatter;

/// A number as its plain decimal text.
pub(super) fn number_of(array: &ArrayRef, ty: &DataType, row: usize) -> Result<String> {
    Ok(match ty {
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float64 => format!("{}", array.as_primitive::<Float64Type>().value(row)),
        DataType::Float32 => format!("{}", array.as_primitive::<Float32Type>().value(row)),
        DataType::Decimal128(..) | DataType::Decimal256(..) => {
            let formatter = Formatter::default();
            formatter
                .text(PgType::NUMERIC, array, row)
                .map_err(carried)?
                .unwrap_or_default()
        }
        other => {
            return Err(Error::value(
                "42883",
                format!("to_char over {other} is not supported"),
            ));
        }
    })
}

/// `9`, `0`, `.`, `,`, `D`, `G`, `S`, `MI`, `PL`, `SG`, `FM`, `%` and plain text.
pub(super) fn number_text(template: &str, number: &str) -> String {
    let negative = number.starts_with('-');
    let digits = number.trim_start_matches('-');
    let fill = template.to_uppercase().contains("FM");
    let cleaned: String = template.replace("FM", "").replace("fm", "");
    let upper = cleaned.to_uppercase();
    let point = upper.find(['.', 'D']);
    let (whole_part, fraction_part) = match point {
        Some(at) => (&upper[..at], &upper[at + 1..]),
        None => (upper.as_str(), ""),
    };
    let decimals = fraction_part
        .chars()
        .filter(|c| matches!(c, '9' | '0'))
        .count();
    let rounded = crate::text::numeric::Numeric::parse(digits)
        .and_then(|value| value.rescale(decimals as u8))
        .map(|value| {
            let mut out = Vec::new();
            crate::text::numeric::put_decimal(
                &mut out,
                value.unscaled,
                value.scale as i8,
                value.scale,
            );
            String::from_utf8_lossy(&out).into_owned()
        })
        .unwrap_or_else(|_| digits.to_owned());
    let (whole, fraction) = rounded.split_once('.').unwrap_or((&rounded, ""));
    let whole = whole.trim_start_matches('0');
    let places = whole_part
        .chars()
        .filter(|c| matches!(c, '9' | '0'))
        .count();
    let explicit_sign = ["S", "MI", "PL", "SG"]
        .iter()
        .any(|sign| upper.contains(sign));
    let overflow = whole.len() > places;
    let mut out = String::new();
    let mut place = 0;
    let mut started = false;
    let first_zero = whole_part
        .chars()
        .filter(|c| matches!(c, '9' | '0'))
        .position(|c| c == '0')
        .unwrap_or(places);
    for c in whole_part.chars() {
        match c {
            '9' | '0' => {
                let from_right = places - place;
                let digit = if overflow {
                    Some('#')
                } else {
                    whole
                        .len()
                        .checked_sub(from_right)
                        .and_then(|at| whole.chars().nth(at))
                };
                match digit {
                    Some(digit) => {
                        started = true;
                        out.push(digit);
                    }
                    None if place >= first_zero => {
                        started = true;
                        out.push('0');
                    }
                    // A lone zero shows where nothing follows the point.
                    None if from_right == 1
                        && (decimals == 0 || point.is_none())
                        && whole.is_empty() =>
                    {
                        started = true;
                        out.push('0');
                    }
                    None if !fill => out.push(' '),
                    None => {}
                }
                place += 1;
            }
            ',' | 'G' if started => out.push(','),
            ',' | 'G' if !fill => out.push(' '),
            _ => {}
        }
    }
    if point.is_some() {
        out.push('.');
        let mut fraction = if overflow {
            "#".repeat(decimals)
        } else {
            fraction.to_owned()
        };
        if fill {
            let kept = fraction_part
                .chars()
                .filter(|c| matches!(c, '9' | '0'))
                .collect::<Vec<_>>()
                .iter()
                .rposition(|c| *c == '0')
                .map_or(0, |at| at + 1);
            while fraction.len() > kept && fraction.ends_with('0') {
                fraction.pop();
            }
        }
        out.push_str(&fraction);
    }
    let sign = if negative { "-" } else { "" };
    if upper.ends_with("MI") {
        out.push_str(if negative {
            "-"
        } else if fill {
            ""
        } else {
            " "
        });
    } else if upper.ends_with('S') {
        out.push_str(if negative { "-" } else { "+" });
    } else if upper.starts_with("SG") || upper.starts_with('S') {
        let blank = out.len() - out.trim_start().len();
        out.insert_str(blank, if negative { "-" } else { "+" });
    } else if explicit_sign {
        out.insert_str(0, sign);
    } else {
        // The sign stands before the first digit, in a place of its own.
        let blank = out.len() - out.trim_start().len();
        out.insert_str(
            blank,
            if negative {
                "-"
            } else if fill {
                ""
            } else {
                " "
            },
        );
    }
    if upper.ends_with('%') {
        out.push('%');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_their_templates() {
        let check = |template: &str, number: &str, expected: &str| {
            assert_eq!(
                number_text(template, number),
                expected,
                "{template} {number}"
            )
        };
        check("999", "12", "  12");
        check("FM999.00", "12.5", "12.50");
        check("9,999.99", "1234.567", " 1,234.57");
        check("000", "-5", "-005");
        check("99", "123", " ##");
    }
}
