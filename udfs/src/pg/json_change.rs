//! What changes a jsonb value at a path, and objects from arrays of texts.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use serde_json::Value;

use super::json::{index, normal, parse, quote, text};
use crate::error::{Error, Result};

/// What is put in the place that a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// In the place of what is there; with `create` also where nothing is.
    Set { create: bool },
    /// Beside what is there in an array; a new key of an object.
    Insert { after: bool },
}

fn path_of(arrays: &[ArrayRef], row: usize) -> Result<Vec<String>> {
    let path = arrays[1].as_list::<i32>().value(row);
    path.as_string::<i32>()
        .iter()
        .enumerate()
        .map(|(at, key)| {
            key.map(str::to_owned).ok_or_else(|| {
                Error::value(
                    "22004",
                    format!("path element at position {} is null", at + 1),
                )
            })
        })
        .collect()
}

fn flag(arrays: &[ArrayRef], at: usize, row: usize, default: bool) -> bool {
    arrays
        .get(at)
        .map_or(default, |array| array.as_boolean().value(row))
}

pub(super) fn set(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    changed(arrays, |row| How::Set {
        create: flag(arrays, 3, row, true),
    })
}

pub(super) fn insert(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    changed(arrays, |row| How::Insert {
        after: flag(arrays, 3, row, false),
    })
}

fn changed(arrays: &[ArrayRef], how: impl Fn(usize) -> How) -> Result<ArrayRef> {
    let (json, new) = (arrays[0].as_string::<i32>(), arrays[2].as_string::<i32>());
    text(arrays, |row| {
        let mut value = parse(json.value(row))?;
        put(
            &mut value,
            &path_of(arrays, row)?,
            parse(new.value(row))?,
            how(row),
        )?;
        Ok(Some(normal(&value)))
    })
}

/// As `jsonb_set`, and what a NULL does is said.
pub(super) fn set_lax(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let (json, new) = (arrays[0].as_string::<i32>(), arrays[2].as_string::<i32>());
    let mut out = StringBuilder::new();
    for row in 0..json.len() {
        let others = [0, 1, 3].iter().filter_map(|at| arrays.get(*at));
        if others.clone().any(|array| array.is_null(row)) {
            out.append_null();
            continue;
        }
        let mut value = parse(json.value(row))?;
        let path = path_of(arrays, row)?;
        let how = How::Set {
            create: flag(arrays, 3, row, true),
        };
        let treatment = arrays.get(4).map_or("use_json_null", |array| {
            if array.is_null(row) {
                ""
            } else {
                array.as_string::<i32>().value(row)
            }
        });
        if new.is_valid(row) {
            put(&mut value, &path, parse(new.value(row))?, how)?;
        } else {
            match treatment {
                "use_json_null" => put(&mut value, &path, Value::Null, how)?,
                "return_target" => {}
                "delete_key" => {
                    let path: Vec<&str> = path.iter().map(String::as_str).collect();
                    delete(&mut value, &path)?;
                }
                "raise_exception" => {
                    return Err(Error::value("22004", "JSON value must not be null"));
                }
                _ => {
                    return Err(Error::value(
                        "22023",
                        "null_value_treatment must be \"delete_key\", \"return_target\", \"use_json_null\", or \"raise_exception\"",
                    ));
                }
            }
        }
        out.append_value(normal(&value));
    }
    Ok(Arc::new(out.finish()))
}

fn put(value: &mut Value, path: &[String], new: Value, how: How) -> Result<()> {
    let Some((key, rest)) = path.split_first() else {
        return Ok(());
    };
    match value {
        Value::Object(members) => {
            if !rest.is_empty() {
                return match members.get_mut(key) {
                    Some(inner) => put(inner, rest, new, how),
                    None => Ok(()),
                };
            }
            match how {
                How::Set { create } => {
                    if create || members.contains_key(key) {
                        members.insert(key.clone(), new);
                    }
                }
                How::Insert { .. } => {
                    if members.contains_key(key) {
                        return Err(Error::value("22023", "cannot replace existing key"));
                    }
                    members.insert(key.clone(), new);
                }
            }
        }
        Value::Array(items) => {
            let at: i32 = key.parse().map_err(|_| {
                Error::value("22P02", format!("path element \"{key}\" is not an integer"))
            })?;
            let place = index(items.len(), at);
            if !rest.is_empty() {
                return match place {
                    Some(place) => put(&mut items[place], rest, new, how),
                    None => Ok(()),
                };
            }
            match (how, place) {
                (How::Set { .. }, Some(place)) => items[place] = new,
                (How::Set { create: false }, None) => {}
                (How::Insert { after }, Some(place)) => {
                    items.insert(place + usize::from(after), new);
                }
                (_, None) if at < 0 => items.insert(0, new),
                (_, None) => items.push(new),
            }
        }
        _ if matches!(how, How::Set { .. }) && path.len() == 1 => {
            return Err(Error::value("22023", "cannot set path in scalar"));
        }
        _ => {}
    }
    Ok(())
}

/// `value #- path`.
pub(super) fn delete(value: &mut Value, path: &[&str]) -> Result<()> {
    let Some((key, rest)) = path.split_first() else {
        return Ok(());
    };
    match value {
        Value::Object(members) if rest.is_empty() => {
            members.remove(*key);
        }
        Value::Object(members) => {
            if let Some(inner) = members.get_mut(*key) {
                delete(inner, rest)?;
            }
        }
        Value::Array(items) => {
            let at: i32 = key.parse().map_err(|_| {
                Error::value("22P02", format!("path element \"{key}\" is not an integer"))
            })?;
            if let Some(place) = index(items.len(), at) {
                if rest.is_empty() {
                    items.remove(place);
                } else {
                    delete(&mut items[place], rest)?;
                }
            }
        }
        _ => {}
    }
    Ok(())
}

/// Keys and values in turns in one array, or in two arrays side by side.
pub(super) fn object(arrays: &[ArrayRef], binary: bool) -> Result<ArrayRef> {
    text(arrays, |row| {
        let first = arrays[0].as_list::<i32>().value(row);
        let first: Vec<Option<&str>> = first.as_string::<i32>().iter().collect();
        let second = arrays.get(1).map(|array| array.as_list::<i32>().value(row));
        let pairs: Vec<(Option<&str>, Option<&str>)> = match &second {
            Some(values) => {
                let values: Vec<Option<&str>> = values.as_string::<i32>().iter().collect();
                if values.len() != first.len() {
                    return Err(Error::value("2202E", "mismatched array dimensions"));
                }
                first.into_iter().zip(values).collect()
            }
            None if first.len() % 2 == 1 => {
                return Err(Error::value(
                    "2202E",
                    "array must have even number of elements",
                ));
            }
            None => first
                .chunks_exact(2)
                .map(|pair| (pair[0], pair[1]))
                .collect(),
        };
        let mut out = String::from("{");
        for (at, (key, value)) in pairs.into_iter().enumerate() {
            if at > 0 {
                out.push_str(", ");
            }
            let key =
                key.ok_or_else(|| Error::value("22004", "null value not allowed for object key"))?;
            quote(key, &mut out);
            out.push_str(" : ");
            match value {
                Some(value) => quote(value, &mut out),
                None => out.push_str("null"),
            }
        }
        out.push('}');
        Ok(Some(if binary { normal(&parse(&out)?) } else { out }))
    })
}
