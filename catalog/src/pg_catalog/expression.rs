//! Defaults and checks as PostgreSQL prints them. The text is what `pg_attrdef.adbin` and
//! `pg_constraint.conbin` hold here, so `pg_get_expr` gives it back unchanged.

use omnigraph_engine::schema::{Literal, PropertyType, TypeDef};

use crate::lookup::quote_identifier;
use crate::provider::property_type;
use crate::types::PgType;

/// A check's expression: with every parenthesis, and as `pretty` asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckText {
    pub full: String,
    pub pretty: String,
}

/// `kind = ANY (ARRAY['alpha'::text, …])`.
pub fn one_of(column: &str, words: &[String]) -> CheckText {
    let column = quote_identifier(column);
    let pretty = match words {
        [only] => format!("{column} = {}::text", quote_literal(only)),
        _ => {
            let items: Vec<String> = words
                .iter()
                .map(|word| format!("{}::text", quote_literal(word)))
                .collect();
            format!("{column} = ANY (ARRAY[{}])", items.join(", "))
        }
    };
    CheckText {
        full: format!("({pretty})"),
        pretty,
    }
}

/// The whole value matches.
pub fn matches(column: &str, pattern: &str) -> CheckText {
    let anchored = quote_literal(&format!("^(?:{pattern})$"));
    let pretty = format!("{} ~ {anchored}::text", quote_identifier(column));
    CheckText {
        full: format!("({pretty})"),
        pretty,
    }
}

/// Inclusive; `None` where neither side is bounded.
pub fn range(column: &str, ty: PgType, min: Option<&str>, max: Option<&str>) -> Option<CheckText> {
    let name = quote_identifier(column);
    let side = |operator: &str, bound: &str| {
        let (full, pretty) = bound_text(ty, bound);
        (
            format!("({name} {operator} {full})"),
            format!("{name} {operator} {pretty}"),
        )
    };
    let sides: Vec<(String, String)> = [("> =", min), ("< =", max)]
        .into_iter()
        .filter_map(|(operator, bound)| Some(side(&operator.replace(' ', ""), bound?)))
        .collect();
    match sides.as_slice() {
        [] => None,
        [(full, pretty)] => Some(CheckText {
            full: full.clone(),
            pretty: pretty.clone(),
        }),
        sides => {
            let (full, pretty): (Vec<_>, Vec<_>) = sides.iter().cloned().unzip();
            Some(CheckText {
                full: format!("({})", full.join(" AND ")),
                pretty: pretty.join(" AND "),
            })
        }
    }
}

/// A number as PostgreSQL shows it beside a column of this type.
fn bound_text(ty: PgType, bound: &str) -> (String, String) {
    let constant = numeric_constant(bound);
    let wanted = match ty.oid {
        700 | 701 => "double precision",
        1700 if constant.kind != "numeric" => "numeric",
        _ => return (constant.text.clone(), constant.text),
    };
    (
        format!("({})::{wanted}", constant.text),
        format!("{}::{wanted}", constant.text),
    )
}

struct Constant {
    text: String,
    kind: &'static str,
}

fn numeric_constant(text: &str) -> Constant {
    let text = text.trim().trim_start_matches('+');
    let negative = text.starts_with('-');
    if let Ok(small) = text.parse::<i32>() {
        let text = if negative {
            format!("'{small}'::integer")
        } else {
            small.to_string()
        };
        return Constant {
            text,
            kind: "integer",
        };
    }
    if let Ok(big) = text.parse::<i64>() {
        return Constant {
            text: format!("'{big}'::bigint"),
            kind: "bigint",
        };
    }
    let text = if !negative && text.contains('.') && !text.contains(['e', 'E']) {
        text.to_owned()
    } else {
        format!("'{text}'::numeric")
    };
    Constant {
        text,
        kind: "numeric",
    }
}

/// The default of a column, or `None` where the literal does not stand for a value.
pub fn default_text(literal: &Literal, property: &PropertyType, ty: PgType) -> Option<String> {
    let quoted = |text: &str, ty: &str| format!("{}::{ty}", quote_literal(text));
    Some(match literal {
        Literal::Null => return None,
        Literal::Bool(value) => value.to_string(),
        Literal::Number(text) => numeric_constant(text).text,
        Literal::String(text) | Literal::Ident(text) => match property {
            PropertyType::Enum(_) => quoted(text, "text"),
            _ => quoted(text, ty.info().map_or("text", |info| info.sql_name)),
        },
    })
}

/// The key as an expression: what `id` is generated from.
pub fn key_text(def: &TypeDef) -> String {
    let part = |at: &usize| -> Option<String> {
        let property = def.properties.get(*at)?;
        let column = quote_identifier(&property.column);
        Some(if property_type(&property.ty) == PgType::TEXT {
            column
        } else {
            format!("({column})::text")
        })
    };
    let parts: Vec<String> = def.key.iter().filter_map(part).collect();
    match parts.as_slice() {
        [only] => only.clone(),
        _ => format!("(json_build_array({}))::text", parts.join(", ")),
    }
}

/// `quote_literal`, without the `E` form: only quotes are doubled.
pub fn quote_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    // The expected texts are what PostgreSQL 15's pg_get_expr prints for the same checks.
    fn check(text: Option<CheckText>, full: &str, pretty: &str) {
        let text = text.expect("bounded");
        assert_eq!((text.full.as_str(), text.pretty.as_str()), (full, pretty));
    }

    #[test]
    fn ranges_of_integers() {
        check(
            range("age", PgType::INT4, Some("0"), Some("150")),
            "((age >= 0) AND (age <= 150))",
            "age >= 0 AND age <= 150",
        );
        check(
            range("age", PgType::INT4, Some("-5"), None),
            "(age >= '-5'::integer)",
            "age >= '-5'::integer",
        );
        check(
            range("n", PgType::INT8, None, Some("5000000000")),
            "(n <= '5000000000'::bigint)",
            "n <= '5000000000'::bigint",
        );
        assert_eq!(range("n", PgType::INT8, None, None), None);
    }

    #[test]
    fn ranges_of_other_numbers() {
        check(
            range("score", PgType::FLOAT8, Some("0"), None),
            "(score >= (0)::double precision)",
            "score >= 0::double precision",
        );
        check(
            range("score", PgType::FLOAT8, Some("-1.5"), None),
            "(score >= ('-1.5'::numeric)::double precision)",
            "score >= '-1.5'::numeric::double precision",
        );
        check(
            range(
                "n",
                crate::types::numeric(20, 0),
                Some("0"),
                Some("18446744073709551615"),
            ),
            "((n >= (0)::numeric) AND (n <= '18446744073709551615'::numeric))",
            "n >= 0::numeric AND n <= '18446744073709551615'::numeric",
        );
    }

    #[test]
    fn words_and_patterns() {
        let words = ["alpha".to_owned(), "it's".to_owned()];
        assert_eq!(
            one_of("kind", &words).full,
            "(kind = ANY (ARRAY['alpha'::text, 'it''s'::text]))"
        );
        assert_eq!(
            one_of("Kind", &words[..1]).pretty,
            "\"Kind\" = 'alpha'::text"
        );
        assert_eq!(
            matches("slug", "[a-z]+").full,
            "(slug ~ '^(?:[a-z]+)$'::text)"
        );
    }

    #[test]
    fn defaults() {
        let text = |literal, property: PropertyType| {
            let ty = property_type(&property);
            default_text(&literal, &property, ty)
        };
        use omnigraph_engine::schema::Scalar;
        let scalar = PropertyType::Scalar;
        assert_eq!(
            text(Literal::Number("5".into()), scalar(Scalar::I64)).as_deref(),
            Some("5")
        );
        assert_eq!(
            text(Literal::Number("-5".into()), scalar(Scalar::I32)).as_deref(),
            Some("'-5'::integer")
        );
        assert_eq!(
            text(Literal::Bool(true), scalar(Scalar::Bool)).as_deref(),
            Some("true")
        );
        assert_eq!(
            text(Literal::String("a'b".into()), scalar(Scalar::String)).as_deref(),
            Some("'a''b'::text")
        );
        assert_eq!(
            text(Literal::String("2026-01-31".into()), scalar(Scalar::Date)).as_deref(),
            Some("'2026-01-31'::date")
        );
        assert_eq!(text(Literal::Null, scalar(Scalar::Date)), None);
    }
}
