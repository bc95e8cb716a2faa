//! Literals and parameters.

use datafusion::common::ScalarValue;
use omnigraph_catalog::types::PgType;
use sqlparser::ast;

use super::coerce::{Context, positioned};
use super::expr::Ctx;
use super::typed::{Kind, Typed};
use super::{Binder, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;

impl Binder<'_> {
    pub(super) fn value(&mut self, value: &ast::Value, at: Option<u32>) -> PgResult<Typed> {
        use ast::Value as V;
        if let V::UnicodeStringLiteral(text) = value
            && text.contains('\0')
        {
            let error = PgError::new(sqlstate::SYNTAX_ERROR, "invalid Unicode escape value")
                .detail("A text cannot hold the character with code zero.");
            return Err(positioned(error, at));
        }
        Ok(match value {
            V::Number(text, _) => self.number(text, at)?,
            V::SingleQuotedString(text)
            | V::EscapedStringLiteral(text)
            | V::UnicodeStringLiteral(text)
            | V::NationalStringLiteral(text)
            | V::DoubleQuotedString(text) => Typed::literal(Some(text.clone()), at),
            V::DollarQuotedString(text) => Typed::literal(Some(text.value.clone()), at),
            V::Boolean(value) => {
                Typed::value(ScalarValue::Boolean(Some(*value)), PgType::BOOL).at(at)
            }
            V::Null => Typed::literal(None, at),
            V::Placeholder(name) => self.placeholder(name, at)?,
            other => return Err(unsupported(&format!("the literal {other}"), at)),
        })
    }

    pub(super) fn number(&mut self, text: &str, at: Option<u32>) -> PgResult<Typed> {
        let plain = text.replace('_', "");
        if let Ok(value) = plain.parse::<i32>() {
            return Ok(Typed::value(ScalarValue::Int32(Some(value)), PgType::INT4).at(at));
        }
        if let Ok(value) = plain.parse::<i64>() {
            return Ok(Typed::value(ScalarValue::Int64(Some(value)), PgType::INT8).at(at));
        }
        let literal = Typed::literal(Some(plain.clone()), at);
        match self.coerce(literal, PgType::NUMERIC, Context::Implicit) {
            // More digits than numeric has here: as near as a double comes.
            Err(error) if error.code == sqlstate::NUMERIC_VALUE_OUT_OF_RANGE => {
                let literal = Typed::literal(Some(plain), at);
                self.coerce(literal, PgType::FLOAT8, Context::Implicit)
            }
            value => value,
        }
    }

    fn placeholder(&mut self, name: &str, at: Option<u32>) -> PgResult<Typed> {
        if let Some(number) = name.strip_prefix(super::gq::GIVEN) {
            return self.given_value(number);
        }
        if self.named.is_some() {
            return self.named_value(name, at);
        }
        let number = name
            .strip_prefix('$')
            .and_then(|number| number.parse::<usize>().ok())
            .filter(|number| *number >= 1 && *number <= 65_535);
        let Some(number) = number else {
            return Err(positioned(
                PgError::new(
                    sqlstate::UNDEFINED_PARAMETER,
                    format!("there is no parameter {name}"),
                ),
                at,
            ));
        };
        if self.params.len() < number {
            self.params.resize(number, None);
        }
        let number = number - 1;
        Ok(match self.params[number] {
            Some(ty) => self.param(number, ty).at(at),
            None => Typed {
                kind: Kind::Param(number),
                ..self.param(number, PgType::UNKNOWN).at(at)
            },
        })
    }

    pub(super) fn interval(
        &mut self,
        ctx: &mut Ctx,
        interval: &ast::Interval,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        let value = self.expr(ctx, &interval.value)?;
        let Kind::Literal(Some(text)) = &value.kind else {
            return self.coerce(value, PgType::INTERVAL, Context::Explicit);
        };
        let text = match &interval.leading_field {
            // `interval '1' day`: the field is the unit of a bare number.
            Some(field) if text.trim().parse::<f64>().is_ok() => {
                format!("{text} {}", interval.last_field.as_ref().unwrap_or(field))
            }
            _ => text.clone(),
        };
        let literal = Typed::literal(Some(text), value.at.or(at));
        self.coerce(literal, PgType::INTERVAL, Context::Explicit)
    }
}
