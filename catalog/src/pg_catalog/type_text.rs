//! Types as text: from any of PostgreSQL's spellings to a type, and from a type to the text
//! that `format_type` gives.

use super::data::type_row;
use crate::lookup::{parse_identifier, quote_identifier};
use crate::types::{PgType, numeric_modifier};

/// `format_type` of a built-in type, without a modifier.
pub fn built_in_text(oid: u32) -> Option<String> {
    if let Some(info) = PgType::new(oid).info() {
        return Some(info.sql_name.to_owned());
    }
    let row = type_row(oid)?;
    if row.category == 'A' && row.element != 0 && row.len == -1 && row.name.starts_with('_') {
        return Some(format!("{}[]", built_in_text(row.element)?));
    }
    let name = quote_identifier(row.name);
    Some(if row.schema == "pg_catalog" {
        name
    } else {
        format!("{}.{name}", row.schema)
    })
}

/// `format_type` of a built-in type with a modifier; -1 is none.
pub fn with_modifier(oid: u32, typmod: i32) -> Option<String> {
    if let Some(element) = PgType::new(oid).element()
        && type_row(oid).is_some_and(|row| row.name.starts_with('_'))
    {
        return Some(format!("{}[]", with_modifier(element.oid, typmod)?));
    }
    let name = built_in_text(oid)?;
    Some(match (oid, typmod) {
        // Without a length it is not `character`, which would mean one.
        (1042, ..0) => "bpchar".to_owned(),
        (_, ..0) => name,
        (1042 | 1043, _) => format!("{name}({})", typmod - 4),
        (1700, _) => match numeric_modifier(typmod) {
            Some((precision, scale)) => format!("numeric({precision},{scale})"),
            None => name,
        },
        (16_001, _) => format!("vector({typmod})"),
        (1083, _) => format!("time({typmod}) without time zone"),
        (1114, _) => format!("timestamp({typmod}) without time zone"),
        (1184, _) => format!("timestamp({typmod}) with time zone"),
        (1186, _) => interval(typmod),
        _ => name,
    })
}

/// An interval's modifier packs the fields that are kept and the digits of its seconds.
fn interval(typmod: i32) -> String {
    const FULL_PRECISION: i32 = 0xFFFF;
    let fields = match (typmod >> 16) & 0x7FFF {
        0x04 => " year",
        0x02 => " month",
        0x08 => " day",
        0x0400 => " hour",
        0x0800 => " minute",
        0x1000 => " second",
        0x06 => " year to month",
        0x0408 => " day to hour",
        0x0C08 => " day to minute",
        0x1C08 => " day to second",
        0x0C00 => " hour to minute",
        0x1C00 => " hour to second",
        0x1800 => " minute to second",
        _ => "",
    };
    match typmod & 0xFFFF {
        FULL_PRECISION => format!("interval{fields}"),
        digits => format!("interval{fields}({digits})"),
    }
}

/// A type's name as written: what stands before an optional modifier and brackets.
#[derive(Debug, PartialEq, Eq)]
pub struct WrittenType {
    pub schema: Option<String>,
    /// The catalog name, where SQL's spelling differs: `int4` for `integer`.
    pub name: String,
    pub typmod: i32,
    pub is_array: bool,
}

/// Reads PostgreSQL's spellings of a type. `None`: not a type's name. Whether a type of this
/// name exists is for the caller to find.
pub fn parse(text: &str) -> Option<WrittenType> {
    let (mut rest, is_array) = without_brackets(text.trim())?;
    let mut modifiers = None;
    let quoted = rest.starts_with('"');
    let (first, after) = parse_identifier(rest)?;
    rest = after.trim_start();
    let mut words = vec![first];
    let mut schema = None;
    if let Some(after) = rest.strip_prefix('.') {
        let (name, after) = parse_identifier(after.trim_start())?;
        schema = words.pop();
        words.push(name);
        rest = after.trim_start();
    }
    // Further words and one modifier, in either order: `timestamp(3) with time zone`.
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('(') {
            let end = inner.find(')')?;
            if modifiers.replace(numbers(&inner[..end])?).is_some() {
                return None;
            }
            rest = inner[end + 1..].trim_start();
        } else {
            if quoted || schema.is_some() {
                return None;
            }
            let (word, after) = parse_identifier(rest)?;
            words.push(word);
            rest = after.trim_start();
        }
    }
    let spelled = words.join(" ");
    let name = if quoted || schema.is_some() {
        Some(spelled.as_str())
    } else {
        catalog_name(&spelled)
    };
    let name = name?.to_owned();
    let typmod = modifier(&name, &spelled, modifiers.as_deref())?;
    Some(WrittenType {
        schema,
        name,
        typmod,
        is_array,
    })
}

/// Strips `[]`, `[3]`, `[][]` and ` ARRAY`. All arrays over one element are one type.
fn without_brackets(text: &str) -> Option<(&str, bool)> {
    let mut rest = text;
    let mut is_array = false;
    while let Some(inner) = rest.strip_suffix(']') {
        let open = inner.rfind('[')?;
        if !inner[open + 1..]
            .trim()
            .bytes()
            .all(|byte| byte.is_ascii_digit())
        {
            return None;
        }
        rest = inner[..open].trim_end();
        is_array = true;
    }
    let upper = rest.len().checked_sub(6).and_then(|at| rest.get(at..));
    if upper.is_some_and(|tail| tail.eq_ignore_ascii_case(" array")) {
        rest = rest[..rest.len() - 6].trim_end();
        is_array = true;
    }
    Some((rest, is_array))
}

fn numbers(text: &str) -> Option<Vec<i32>> {
    text.split(',')
        .map(|number| number.trim().parse().ok())
        .collect()
}

/// The name in pg_type of SQL's own spellings; other single words are names already.
fn catalog_name(spelled: &str) -> Option<&str> {
    Some(match spelled {
        "int" | "integer" => "int4",
        "smallint" => "int2",
        "bigint" => "int8",
        "real" => "float4",
        "float" | "double precision" => "float8",
        "decimal" | "dec" => "numeric",
        "boolean" => "bool",
        "character varying" | "char varying" => "varchar",
        "national character varying" | "national char varying" | "nchar varying" => "varchar",
        "character" | "char" | "national character" | "national char" | "nchar" => "bpchar",
        "time without time zone" => "time",
        "time with time zone" => "timetz",
        "timestamp without time zone" => "timestamp",
        "timestamp with time zone" => "timestamptz",
        "bit varying" => "varbit",
        single if !single.contains(' ') => single,
        fields => fields.starts_with("interval ").then_some("interval")?,
    })
}

fn modifier(name: &str, spelled: &str, given: Option<&[i32]>) -> Option<i32> {
    let Some(given) = given else {
        // SQL's `character` is of length 1 unless it says otherwise.
        return Some(if name == "bpchar" && spelled != "bpchar" {
            5
        } else {
            -1
        });
    };
    match (name, given) {
        ("varchar" | "bpchar", [length @ 1..=10_485_760]) => Some(length + 4),
        ("numeric", [precision @ 1..=1000]) => Some((precision << 16) + 4),
        ("numeric", [precision @ 1..=1000, scale @ -1000..=1000]) => {
            Some(((precision << 16) | (scale & 0x7ff)) + 4)
        }
        ("vector", [dimensions @ 1..=16_000]) => Some(*dimensions),
        ("time" | "timestamp" | "timestamptz", [digits @ 0..=6]) => Some(*digits),
        ("interval", [digits @ 0..=6]) => Some((0x7FFF << 16) | digits),
        // `float(24)` is real, which its modifier alone cannot say.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Option<(String, i32, bool)> {
        parse(text).map(|ty| (ty.name, ty.typmod, ty.is_array))
    }

    fn is(text: &str, name: &str, typmod: i32, is_array: bool) {
        assert_eq!(
            written(text),
            Some((name.to_owned(), typmod, is_array)),
            "{text}"
        );
    }

    #[test]
    fn every_spelling_is_read() {
        is("int", "int4", -1, false);
        is(" INTEGER ", "int4", -1, false);
        is("varchar(10)", "varchar", 14, false);
        is("character varying (10) []", "varchar", 14, true);
        is("text[]", "text", -1, true);
        is("text[][3]", "text", -1, true);
        is("integer array", "int4", -1, true);
        is("\"char\"", "char", -1, false);
        is("char", "bpchar", 5, false);
        is("bpchar", "bpchar", -1, false);
        is("double precision", "float8", -1, false);
        is("numeric(10, 2)", "numeric", ((10 << 16) | 2) + 4, false);
        is("timestamp(3) with time zone", "timestamptz", 3, false);
        is("timestamp with time zone", "timestamptz", -1, false);
        is("_text", "_text", -1, false);
        is("vector(3)", "vector", 3, false);
        assert_eq!(
            parse("pg_catalog.int4").and_then(|ty| ty.schema).as_deref(),
            Some("pg_catalog")
        );
        assert_eq!(
            parse("\"review/1\".person").map(|ty| ty.name).as_deref(),
            Some("person")
        );
    }

    #[test]
    fn what_is_no_type_is_refused() {
        for wrong in [
            "",
            "int int",
            "varchar(",
            "varchar(0)",
            "numeric(1,2,3)",
            "1",
            "a.b.c",
            "int[x]",
            "\"a\" b",
        ] {
            assert_eq!(written(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn types_print_as_in_postgresql() {
        let text = |oid, typmod| with_modifier(oid, typmod).unwrap_or_default();
        assert_eq!(text(23, -1), "integer");
        assert_eq!(text(1009, -1), "text[]");
        assert_eq!(text(1043, 14), "character varying(10)");
        assert_eq!(text(1015, 14), "character varying(10)[]");
        assert_eq!(text(1042, -1), "bpchar");
        assert_eq!(built_in_text(1042).as_deref(), Some("character"));
        assert_eq!(text(1700, 655_366), "numeric(10,2)");
        assert_eq!(text(1184, 3), "timestamp(3) with time zone");
        assert_eq!(text(18, -1), "\"char\"");
        assert_eq!(text(22, -1), "int2vector");
        assert_eq!(text(16_001, 384), "vector(384)");
        assert_eq!(text(13_226, -1), "information_schema.sql_identifier");
        assert_eq!(text(869, -1), "inet");
        assert_eq!(with_modifier(1, -1), None);
    }
}
