//! A row as PostgreSQL prints it in an error's detail.

use std::fmt::Write;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, FixedSizeListArray, Float32Array,
    Float64Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt32Array, UInt64Array,
};

use crate::blob;
use crate::schema::text::{push_date, push_datetime, push_f32, push_f64};

/// Longer values are cut.
const MAX_VALUE_BYTES: usize = 64;

/// `Failing row contains (1, abc, null).`
pub(crate) fn failing_row(batch: &RecordBatch, row: usize) -> String {
    let mut out = "Failing row contains (".to_owned();
    let mut value = String::new();
    for (at, column) in batch.columns().iter().enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        if column.is_null(row) {
            out.push_str("null");
            continue;
        }
        value.clear();
        push_value(&mut value, column, row);
        if value.len() > MAX_VALUE_BYTES {
            let mut end = MAX_VALUE_BYTES;
            while !value.is_char_boundary(end) {
                end -= 1;
            }
            value.truncate(end);
            value.push_str("...");
        }
        out.push_str(&value);
    }
    out.push_str(").");
    out
}

/// One value, as messages show it.
pub(crate) fn value_text(array: &ArrayRef, row: usize) -> String {
    let mut out = String::new();
    if array.is_null(row) {
        out.push_str("null");
    } else {
        push_value(&mut out, array, row);
    }
    out
}

/// The text PostgreSQL's output function gives, in UTC.
fn push_value(out: &mut String, array: &ArrayRef, row: usize) {
    let any = array.as_any();
    // Writing to a string cannot fail.
    if let Some(array) = any.downcast_ref::<StringArray>() {
        out.push_str(array.value(row));
    } else if let Some(array) = any.downcast_ref::<BooleanArray>() {
        out.push(if array.value(row) { 't' } else { 'f' });
    } else if let Some(array) = any.downcast_ref::<Int32Array>() {
        let _ = write!(out, "{}", array.value(row));
    } else if let Some(array) = any.downcast_ref::<Int64Array>() {
        let _ = write!(out, "{}", array.value(row));
    } else if let Some(array) = any.downcast_ref::<UInt32Array>() {
        let _ = write!(out, "{}", array.value(row));
    } else if let Some(array) = any.downcast_ref::<UInt64Array>() {
        let _ = write!(out, "{}", array.value(row));
    } else if let Some(array) = any.downcast_ref::<Float32Array>() {
        let value = array.value(row);
        negative_zero(out, value == 0.0 && value.is_sign_negative());
        push_f32(out, value);
    } else if let Some(array) = any.downcast_ref::<Float64Array>() {
        let value = array.value(row);
        negative_zero(out, value == 0.0 && value.is_sign_negative());
        push_f64(out, value);
    } else if let Some(array) = any.downcast_ref::<Date32Array>() {
        push_date(out, array.value(row));
    } else if let Some(array) = any.downcast_ref::<TimestampMicrosecondArray>() {
        let start = out.len();
        push_datetime(out, array.value(row));
        // `2026-01-02T03:04:05Z` is `2026-01-02 03:04:05+00` there.
        if let Some(at) = out[start..].find('T') {
            out.replace_range(start + at..=start + at, " ");
        }
        if out.ends_with('Z') {
            out.pop();
            out.push_str("+00");
        }
    } else if let Some(array) = any.downcast_ref::<BinaryArray>() {
        if let Ok(Some(described)) = blob::described(array.value(row)) {
            out.push_str(&described);
            return;
        }
        out.push_str("\\x");
        // What is beyond would be cut from the row anyway.
        for byte in array.value(row).iter().take(MAX_VALUE_BYTES) {
            let _ = write!(out, "{byte:02x}");
        }
    } else if let Some(array) = any.downcast_ref::<ListArray>() {
        push_elements(out, &array.value(row), '{', '}');
    } else if let Some(array) = any.downcast_ref::<FixedSizeListArray>() {
        push_elements(out, &array.value(row), '[', ']');
    }
}

fn negative_zero(out: &mut String, is: bool) {
    if is {
        out.push('-');
    }
}

fn push_elements(out: &mut String, elements: &ArrayRef, open: char, close: char) {
    out.push(open);
    let mut element = String::new();
    for at in 0..elements.len() {
        if at > 0 {
            out.push(',');
        }
        if elements.is_null(at) {
            out.push_str("NULL");
            continue;
        }
        element.clear();
        push_value(&mut element, elements, at);
        if needs_quotes(&element) {
            out.push('"');
            for c in element.chars() {
                if matches!(c, '"' | '\\') {
                    out.push('\\');
                }
                out.push(c);
            }
            out.push('"');
        } else {
            out.push_str(&element);
        }
        if out.len() > 2 * MAX_VALUE_BYTES {
            break;
        }
    }
    out.push(close);
}

fn needs_quotes(element: &str) -> bool {
    element.is_empty()
        || element.eq_ignore_ascii_case("null")
        || element.chars().any(|c| {
            matches!(
                c,
                '"' | '\\' | '{' | '}' | ',' | ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c'
            )
        })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use arrow::array::{ListBuilder, StringBuilder};

    fn shown(array: ArrayRef) -> String {
        let batch = RecordBatch::try_from_iter_with_nullable([("a", array, true)]).unwrap();
        let text = failing_row(&batch, 0);
        text.strip_prefix("Failing row contains (")
            .unwrap()
            .strip_suffix(").")
            .unwrap()
            .to_owned()
    }

    #[test]
    fn values_look_as_in_postgresql() {
        assert_eq!(
            shown(Arc::new(StringArray::from(vec![Some("a, b")]))),
            "a, b"
        );
        assert_eq!(
            shown(Arc::new(StringArray::from(vec![None::<&str>]))),
            "null"
        );
        assert_eq!(shown(Arc::new(BooleanArray::from(vec![true]))), "t");
        assert_eq!(shown(Arc::new(Float64Array::from(vec![1e20]))), "1e+20");
        assert_eq!(shown(Arc::new(Float64Array::from(vec![-0.0]))), "-0");
        assert_eq!(
            shown(Arc::new(BinaryArray::from_vec(vec![b"\x01\xff"]))),
            "\\x01ff"
        );
        let moment = TimestampMicrosecondArray::from(vec![1_500_000]).with_timezone("UTC");
        assert_eq!(shown(Arc::new(moment)), "1970-01-01 00:00:01.5+00");
        let mut list = ListBuilder::new(StringBuilder::new());
        for element in [
            Some("a"),
            Some("b c"),
            None,
            Some("null"),
            Some("q\"x"),
            Some(""),
        ] {
            list.values().append_option(element);
        }
        list.append(true);
        assert_eq!(
            shown(Arc::new(list.finish())),
            r#"{a,"b c",NULL,"null","q\"x",""}"#
        );
    }

    #[test]
    fn long_values_are_cut() {
        let text = "ä".repeat(40);
        assert_eq!(
            shown(Arc::new(StringArray::from(vec![text.as_str()]))),
            format!("{}...", "ä".repeat(32))
        );
    }
}
