//! Unicode's normal forms.

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, StringArray};
use arrow::datatypes::DataType;
use datafusion::logical_expr::Expr;
use unicode_normalization::UnicodeNormalization;

use super::function::{call, rows};
use crate::error::{Error, Result};

/// `normalize(text, form)`.
pub fn normalize(args: Vec<Expr>) -> Expr {
    call("normalize", DataType::Utf8, args, |arrays| {
        let (texts, forms) = (arrays[0].as_string::<i32>(), arrays[1].as_string::<i32>());
        let values: StringArray = rows(arrays, |row| {
            normal(texts.value(row), forms.value(row)).map(Some)
        })?;
        Ok(Arc::new(values))
    })
}

/// `is_normalized(text, form)`.
pub fn is_normalized(args: Vec<Expr>) -> Expr {
    call("is_normalized", DataType::Boolean, args, |arrays| {
        let (texts, forms) = (arrays[0].as_string::<i32>(), arrays[1].as_string::<i32>());
        let values: BooleanArray = rows(arrays, |row| {
            let text = texts.value(row);
            Ok(Some(normal(text, forms.value(row))? == text))
        })?;
        Ok(Arc::new(values))
    })
}

fn normal(text: &str, form: &str) -> Result<String> {
    Ok(match form.to_ascii_uppercase().as_str() {
        "NFC" => text.nfc().collect(),
        "NFD" => text.nfd().collect(),
        "NFKC" => text.nfkc().collect(),
        "NFKD" => text.nfkd().collect(),
        _ => {
            let message = format!("invalid normalization form: {form}");
            return Err(Error::value("22023", message));
        }
    })
}
