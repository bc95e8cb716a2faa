//! Literals become typed values here, with one wording for every bad argument.

use arrow::array::{Array, AsArray};
use datafusion::scalar::ScalarValue;

use crate::error::{Error, Result};
use crate::function::{Argument, TableFunction};

/// The arguments of one call, read by their declared names.
#[derive(Debug)]
pub struct Args<'a> {
    function: &'static str,
    declared: &'a [Argument],
    values: &'a [ScalarValue],
}

impl<'a> Args<'a> {
    pub fn new(function: &'a dyn TableFunction, values: &'a [ScalarValue]) -> Self {
        Args {
            function: function.name(),
            declared: function.arguments(),
            values,
        }
    }

    pub fn text(&self, name: &'static str) -> Result<&'a str> {
        self.optional_text(name)?.ok_or_else(|| self.null(name))
    }

    pub fn optional_text(&self, name: &'static str) -> Result<Option<&'a str>> {
        match self.value(name)? {
            ScalarValue::Null => Ok(None),
            ScalarValue::Utf8(text)
            | ScalarValue::LargeUtf8(text)
            | ScalarValue::Utf8View(text) => Ok(text.as_deref()),
            other => Err(self.mistyped(name, "text", other)),
        }
    }

    /// One text or an array of them; nulls are left out, and a null stands for none.
    pub fn texts(&self, name: &'static str) -> Result<Vec<String>> {
        let list = match self.value(name)? {
            ScalarValue::List(list) => list,
            _ => {
                return Ok(self
                    .optional_text(name)?
                    .map(str::to_owned)
                    .into_iter()
                    .collect());
            }
        };
        let mut texts = Vec::new();
        for value in list.iter().flatten() {
            let Some(strings) = value.as_string_opt::<i32>() else {
                return Err(self.bad(name, format!("must be text, not {}", value.data_type())));
            };
            texts.extend(strings.iter().flatten().map(str::to_owned));
        }
        Ok(texts)
    }

    pub fn int(&self, name: &'static str) -> Result<i64> {
        self.optional_int(name)?.ok_or_else(|| self.null(name))
    }

    pub fn optional_int(&self, name: &'static str) -> Result<Option<i64>> {
        match self.value(name)? {
            ScalarValue::Null => Ok(None),
            ScalarValue::Int16(value) => Ok(value.map(i64::from)),
            ScalarValue::Int32(value) => Ok(value.map(i64::from)),
            ScalarValue::Int64(value) => Ok(*value),
            other => Err(self.mistyped(name, "an integer", other)),
        }
    }

    pub fn float(&self, name: &'static str) -> Result<f64> {
        match self.value(name)? {
            ScalarValue::Float64(Some(value)) => Ok(*value),
            ScalarValue::Float64(None) | ScalarValue::Null => Err(self.null(name)),
            other => Err(self.mistyped(name, "a number", other)),
        }
    }

    pub fn bool(&self, name: &'static str) -> Result<bool> {
        match self.value(name)? {
            ScalarValue::Boolean(Some(value)) => Ok(*value),
            ScalarValue::Boolean(None) | ScalarValue::Null => Err(self.null(name)),
            other => Err(self.mistyped(name, "a boolean", other)),
        }
    }

    /// One of a few words, whatever their case.
    pub fn choice<T: Copy>(&self, name: &'static str, choices: &[(&'static str, T)]) -> Result<T> {
        let given = self.text(name)?;
        if let Some((_, value)) = choices
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(given))
        {
            return Ok(*value);
        }
        let words: Vec<String> = choices
            .iter()
            .map(|(word, _)| format!("'{word}'"))
            .collect();
        Err(self.bad(
            name,
            format!("must be one of {}, not '{given}'", words.join(", ")),
        ))
    }

    /// An error about this argument.
    pub fn bad(&self, name: &'static str, what: impl std::fmt::Display) -> Error {
        Error::Argument {
            function: self.function,
            argument: name,
            message: format!("argument \"{name}\" {what}"),
            hint: None,
        }
    }

    /// An error about this argument, and what could be given.
    pub fn bad_with_hint(
        &self,
        name: &'static str,
        what: impl std::fmt::Display,
        hint: impl Into<String>,
    ) -> Error {
        Error::Argument {
            function: self.function,
            argument: name,
            message: format!("argument \"{name}\" {what}"),
            hint: Some(hint.into()),
        }
    }

    fn null(&self, name: &'static str) -> Error {
        Error::NullArgument {
            function: self.function,
            argument: name,
        }
    }

    fn mistyped(&self, name: &'static str, wanted: &str, given: &ScalarValue) -> Error {
        self.bad(name, format!("must be {wanted}, not {}", given.data_type()))
    }

    fn value(&self, name: &'static str) -> Result<&'a ScalarValue> {
        self.declared
            .iter()
            .position(|argument| argument.name == name)
            .and_then(|at| self.values.get(at))
            .ok_or_else(|| {
                Error::Engine(omnigraph_engine::Error::internal(format!(
                    "{}() was called without its argument \"{name}\"",
                    self.function
                )))
            })
    }
}
