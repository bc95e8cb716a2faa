//! Access privileges as values: `{grantee=letters/grantor}`, in the type `aclitem`, which is
//! text here. Nothing grants any; clients take apart what catalogs hold.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, ListBuilder, StringArray, StringBuilder,
    UInt32Builder,
};
use arrow::datatypes::{DataType, Field};
use datafusion::logical_expr::{Expr, Volatility};
use omnigraph_catalog::lookup::{parse_qualified_name, quote_identifier};
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::pg::{PgFunction, rows};
use omnigraph_udfs::{Error, Result};

use super::catalog_functions::Lookup;
use super::function_body::{Found, oid, reads, text};
use super::typed::Typed;

/// Letters and what they stand for, in the order in which they are written.
const PRIVILEGES: [(char, &str); 14] = [
    ('a', "INSERT"),
    ('r', "SELECT"),
    ('w', "UPDATE"),
    ('d', "DELETE"),
    ('D', "TRUNCATE"),
    ('x', "REFERENCES"),
    ('t', "TRIGGER"),
    ('X', "EXECUTE"),
    ('U', "USAGE"),
    ('C', "CREATE"),
    ('T', "TEMPORARY"),
    ('c', "CONNECT"),
    ('s', "SET"),
    ('A', "ALTER SYSTEM"),
];

/// What everybody and an owner have on an object of a kind.
fn defaults(kind: &str) -> Option<(&'static str, &'static str)> {
    Some(match kind {
        "c" => ("", ""),
        "r" => ("", "arwdDxt"),
        "s" => ("", "rwU"),
        "d" => ("Tc", "CTc"),
        "f" => ("X", "X"),
        "l" | "T" => ("U", "U"),
        "L" => ("", "rw"),
        "n" => ("", "UC"),
        "t" => ("", "C"),
        "F" | "S" => ("", "U"),
        "p" => ("", "sA"),
        _ => return None,
    })
}

/// One item: who has which privileges from whom. Nobody's name is everybody.
struct Item<'a> {
    grantee: String,
    grantor: String,
    letters: &'a str,
}

impl<'a> Item<'a> {
    fn parse(written: &'a str) -> Option<Self> {
        let (who, grantor) = written.rsplit_once('/')?;
        let (grantee, letters) = who.rsplit_once('=')?;
        let name = |text: &str| match text {
            "" => Some(String::new()),
            text => parse_qualified_name(text)?.pop(),
        };
        Some(Item {
            grantee: name(grantee)?,
            grantor: name(grantor)?,
            letters,
        })
    }

    /// Each privilege, and whether it may be passed on.
    fn privileges(&self) -> impl Iterator<Item = (&'static str, bool)> + '_ {
        let letters = self.letters;
        PRIVILEGES.iter().filter_map(move |(letter, name)| {
            let after = &letters[letters.find(*letter)? + letter.len_utf8()..];
            Some((*name, after.starts_with('*')))
        })
    }
}

pub(super) fn body(name: &'static str, lookup: &Lookup) -> Found {
    let catalog = Arc::clone(&lookup.catalog);
    let role = move |oid: u32| match oid {
        0 => String::new(),
        oid => quote_identifier(&catalog.role_text(oid)),
    };
    match name {
        "acldefault" => reads(Arc::new(move |a, count| {
            let field = Field::new("item", DataType::Utf8, true);
            let mut out = ListBuilder::new(StringBuilder::new()).with_field(field);
            for row in 0..count {
                if a.iter().any(|array| array.is_null(row)) {
                    out.append(false);
                    continue;
                }
                let kind = text(a, 0, row);
                let (public, own) = defaults(kind).ok_or_else(|| {
                    let message = format!("unrecognized objtype abbreviation: {kind}");
                    Error::value("22023", message)
                })?;
                let owner = role(oid(a, 1, row));
                if !public.is_empty() {
                    out.values().append_value(format!("={public}/{owner}"));
                }
                if !own.is_empty() {
                    out.values().append_value(format!("{owner}={own}/{owner}"));
                }
                out.append(true);
            }
            Ok(Arc::new(out.finish()))
        })),
        "makeaclitem" => reads(Arc::new(move |a, _| {
            let items: StringArray = rows(a, |row| {
                let word = text(a, 2, row).trim();
                let known = PRIVILEGES
                    .iter()
                    .find(|(_, name)| name.eq_ignore_ascii_case(word))
                    .ok_or_else(|| {
                        let message = format!("unrecognized privilege type: \"{word}\"");
                        Error::value("22023", message)
                    })?;
                let passed_on = if a[3].as_boolean().value(row) {
                    "*"
                } else {
                    ""
                };
                let (grantee, grantor) = (role(oid(a, 0, row)), role(oid(a, 1, row)));
                Ok(Some(format!("{grantee}={}{passed_on}/{grantor}", known.0)))
            })?;
            Ok(Arc::new(items))
        })),
        _ => None,
    }
}

/// `aclexplode`: a list for each of its columns.
pub(super) fn explode(lookup: &Lookup, items: &Expr) -> Vec<(String, Typed)> {
    let column = |name: &str, ty: PgType, list: PgType| {
        let (lookup, wanted) = (lookup.clone(), name.to_owned());
        let expr = PgFunction::new(
            format!("aclexplode_{name}"),
            list.arrow(),
            Volatility::Immutable,
            Arc::new(move |a, count| exploded(&lookup, &wanted, a, count)),
        )
        .over(vec![items.clone()]);
        debug_assert!(list.element().is_some_and(|element| element.oid == ty.oid));
        (name.to_owned(), Typed::new(expr, list))
    };
    vec![
        column("grantor", PgType::OID, PgType::OID_ARRAY),
        column("grantee", PgType::OID, PgType::OID_ARRAY),
        column("privilege_type", PgType::TEXT, PgType::TEXT_ARRAY),
        column("is_grantable", PgType::BOOL, PgType::BOOL_ARRAY),
    ]
}

fn exploded(lookup: &Lookup, wanted: &str, arrays: &[ArrayRef], count: usize) -> Result<ArrayRef> {
    let lists = arrays[0].as_list::<i32>();
    let field = |ty: DataType| Field::new("item", ty, true);
    let mut oids = ListBuilder::new(UInt32Builder::new()).with_field(field(DataType::UInt32));
    let mut texts = ListBuilder::new(StringBuilder::new()).with_field(field(DataType::Utf8));
    let mut flags = ListBuilder::new(BooleanBuilder::new()).with_field(field(DataType::Boolean));
    for row in 0..count {
        let known = lists.is_valid(row);
        let values = if known { Some(lists.value(row)) } else { None };
        let items = values.as_ref().map(|values| values.as_string::<i32>());
        for written in items.into_iter().flatten().flatten() {
            let item = Item::parse(written)
                .ok_or_else(|| Error::value("22P02", format!("invalid aclitem: \"{written}\"")))?;
            let role = |name: &str| match name {
                "" => Ok(0),
                name => lookup.catalog.role(name).ok_or_else(|| {
                    Error::value("42704", format!("role \"{name}\" does not exist"))
                }),
            };
            let (grantor, grantee) = (role(&item.grantor)?, role(&item.grantee)?);
            for (privilege, grantable) in item.privileges() {
                match wanted {
                    "grantor" => oids.values().append_value(grantor),
                    "grantee" => oids.values().append_value(grantee),
                    "privilege_type" => texts.values().append_value(privilege),
                    _ => flags.values().append_value(grantable),
                }
            }
        }
        match wanted {
            "grantor" | "grantee" => oids.append(known),
            "privilege_type" => texts.append(known),
            _ => flags.append(known),
        }
    }
    Ok(match wanted {
        "grantor" | "grantee" => Arc::new(oids.finish()),
        "privilege_type" => Arc::new(texts.finish()),
        _ => Arc::new(flags.finish()),
    })
}
