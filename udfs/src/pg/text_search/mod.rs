//! PostgreSQL's text search: `tsvector`, `tsquery`, their functions and operators, over the
//! analyzers that `search` has.
//!
//! | file | what is in it |
//! |---|---|
//! | vector | the words of a text and their places |
//! | query | words joined by operators |
//! | reader | how operators are read |
//! | operand | how words are written |
//! | matching | whether a query fits |
//! | rank | how well |
//! | headline | where, for a person |

pub mod headline;
pub mod matching;
mod operand;
pub mod query;
pub mod rank;
mod reader;
pub mod vector;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float32Array, Int32Array, ListBuilder, StringArray,
    StringBuilder,
};
use arrow::datatypes::{DataType, Float32Type, Int32Type};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, ScalarUDF, Volatility};
use omnigraph_catalog::provider::WordCondition;
use omnigraph_engine::search::{Analyzer, Candidates};

use self::headline::{Options, headline};
use self::matching::fits;
use self::query::TsQuery;
use self::rank::{WEIGHTS, Weights, cover_density};
use self::vector::{TsVector, Weight};
use super::function::{PgFunction, call, call_with, rows};
use crate::error::{Error, Result};

const TO_TSVECTOR: &str = "to_tsvector";

/// Does the function read a text, so that it needs an analyzer?
pub fn is_of_text(name: &str) -> bool {
    matches!(
        name,
        TO_TSVECTOR
            | "to_tsquery"
            | "plainto_tsquery"
            | "phraseto_tsquery"
            | "websearch_to_tsquery"
            | "ts_headline"
            | "ts_match_tq"
            | "ts_match_tt"
    )
}

/// Is there a function of this name? Operators are by the function behind them.
pub fn is_implemented(name: &str) -> bool {
    is_of_text(name)
        || matches!(
            name,
            "ts_match_vq"
                | "ts_match_qv"
                | "ts_rank"
                | "ts_rank_cd"
                | "setweight"
                | "strip"
                | "tsvector_concat"
                | "tsvector_to_array"
                | "array_to_tsvector"
                | "numnode"
                | "tsquery_and"
                | "tsquery_or"
                | "tsquery_not"
                | "tsquery_phrase"
        )
}

/// The call of a function that [`is_implemented`]; the configuration is not among the
/// arguments.
pub fn function(name: &str, analyzer: Analyzer, mut args: Vec<Expr>) -> Option<Expr> {
    let text = DataType::Utf8;
    Some(match name {
        TO_TSVECTOR => of_texts(name, analyzer, args, |analyzer, text| {
            Ok(TsVector::of_text(analyzer, text).to_string())
        }),
        "to_tsquery" => of_texts(name, analyzer, args, |analyzer, text| {
            Ok(shown(TsQuery::of_operators(analyzer, text)?))
        }),
        "plainto_tsquery" => of_texts(name, analyzer, args, |analyzer, text| {
            Ok(shown(TsQuery::of_words(analyzer, text)?))
        }),
        "phraseto_tsquery" => of_texts(name, analyzer, args, |analyzer, text| {
            Ok(shown(TsQuery::of_phrase(analyzer, text)?))
        }),
        "websearch_to_tsquery" => of_texts(name, analyzer, args, |analyzer, text| {
            Ok(shown(TsQuery::of_web(analyzer, text)?))
        }),
        "ts_headline" => call_with(name, analyzer.name(), text, args, move |arrays| {
            headlines(analyzer, arrays)
        }),
        "ts_match_qv" => {
            args.swap(0, 1);
            return function("ts_match_vq", analyzer, args);
        }
        "ts_match_vq" => match args.first().and_then(document) {
            Some((analyzer, document)) => {
                args[0] = document;
                text_fits(analyzer, args)
            }
            None => call(name, DataType::Boolean, args, vectors_fit),
        },
        "ts_match_tq" => text_fits(analyzer, args),
        "ts_match_tt" => {
            let query = function("plainto_tsquery", analyzer, vec![args.pop()?])?;
            args.push(query);
            text_fits(analyzer, args)
        }
        "ts_rank" => call(name, DataType::Float32, args, |arrays| {
            ranks(arrays, rank::rank)
        }),
        "ts_rank_cd" => call(name, DataType::Float32, args, |arrays| {
            ranks(arrays, cover_density)
        }),
        "setweight" => call(name, text, args, |arrays| {
            let letters = arrays[1].as_string::<i32>();
            of_vectors(arrays, |row, vector| {
                let letter = letters.value(row);
                let weight = letter.chars().next().and_then(Weight::named);
                let weight = weight.ok_or_else(|| {
                    Error::value("22023", format!("unrecognized weight: \"{letter}\""))
                })?;
                Ok(vector.weighing(weight))
            })
        }),
        "strip" => call(name, text, args, |arrays| {
            of_vectors(arrays, |_, vector| Ok(vector.stripped()))
        }),
        "tsvector_concat" => call(name, text, args, |arrays| {
            let others = arrays[1].as_string::<i32>();
            of_vectors(arrays, |row, vector| {
                Ok(vector.followed_by(TsVector::parse(others.value(row))?))
            })
        }),
        "tsvector_to_array" => {
            let list = omnigraph_catalog::types::PgType::TEXT_ARRAY.arrow();
            call(name, list, args, arrays_of_words)
        }
        "array_to_tsvector" => call(name, text, args, |arrays| {
            let lists = arrays[0].as_list::<i32>();
            let vectors: StringArray = rows(arrays, |row| {
                let words = lists.value(row);
                let words = words.as_string::<i32>();
                if words.null_count() > 0 {
                    return Err(Error::value("22004", "lexeme array may not contain nulls"));
                }
                let words = words.iter().flatten();
                Ok(Some(TsVector::of_words(words).to_string()))
            })?;
            Ok(Arc::new(vectors))
        }),
        "numnode" => call(name, DataType::Int32, args, |arrays| {
            let queries = arrays[0].as_string::<i32>();
            let nodes: Int32Array = rows(arrays, |row| {
                let query = TsQuery::parse(queries.value(row))?;
                Ok(Some(query.map_or(0, |query| query.nodes())))
            })?;
            Ok(Arc::new(nodes))
        }),
        "tsquery_and" => call(name, text, args, |arrays| {
            joined(arrays, |left, right, _| TsQuery::And(left, right))
        }),
        "tsquery_or" => call(name, text, args, |arrays| {
            joined(arrays, |left, right, _| TsQuery::Or(left, right))
        }),
        "tsquery_phrase" => call(name, text, args, |arrays| joined(arrays, TsQuery::Phrase)),
        "tsquery_not" => call(name, text, args, |arrays| {
            let queries = arrays[0].as_string::<i32>();
            let negated: StringArray = rows(arrays, |row| {
                let query = TsQuery::parse(queries.value(row))?;
                Ok(Some(shown(
                    query.map(|query| TsQuery::Not(Box::new(query))),
                )))
            })?;
            Ok(Arc::new(negated))
        }),
        _ => return None,
    })
}

/// The length of a `tsvector`, in words.
pub fn length(args: Vec<Expr>) -> Expr {
    call("length", DataType::Int32, args, |arrays| {
        let vectors = arrays[0].as_string::<i32>();
        let lengths: Int32Array = rows(arrays, |row| {
            let words = TsVector::parse(vectors.value(row))?.len();
            // A row's text is shorter than that.
            Ok(Some(i32::try_from(words).unwrap_or(i32::MAX)))
        })?;
        Ok(Arc::new(lengths))
    })
}

fn shown(query: Option<TsQuery>) -> String {
    query.map(|query| query.to_string()).unwrap_or_default()
}

fn of_texts(
    name: &str,
    analyzer: Analyzer,
    args: Vec<Expr>,
    each: fn(Analyzer, &str) -> Result<String>,
) -> Expr {
    call_with(name, analyzer.name(), DataType::Utf8, args, move |arrays| {
        let texts = arrays[0].as_string::<i32>();
        let values: StringArray = rows(arrays, |row| Ok(Some(each(analyzer, texts.value(row))?)))?;
        Ok(Arc::new(values))
    })
}

fn of_vectors(
    arrays: &[ArrayRef],
    each: impl Fn(usize, TsVector) -> Result<TsVector>,
) -> Result<ArrayRef> {
    let vectors = arrays[0].as_string::<i32>();
    let changed: StringArray = rows(arrays, |row| {
        let vector = TsVector::parse(vectors.value(row))?;
        Ok(Some(each(row, vector)?.to_string()))
    })?;
    Ok(Arc::new(changed))
}

fn joined(
    arrays: &[ArrayRef],
    join: fn(Box<TsQuery>, Box<TsQuery>, u16) -> TsQuery,
) -> Result<ArrayRef> {
    let (left, right) = (arrays[0].as_string::<i32>(), arrays[1].as_string::<i32>());
    let distances = arrays.get(2).map(|array| array.as_primitive::<Int32Type>());
    let queries: StringArray = rows(arrays, |row| {
        let distance = distances.map_or(1, |distances| distances.value(row));
        let distance = u16::try_from(distance).ok().filter(|most| *most <= 16_384);
        let distance = distance.ok_or_else(|| {
            Error::value(
                "22023",
                "distance in phrase operator must be an integer value between zero and 16384 inclusive",
            )
        })?;
        let sides = (
            TsQuery::parse(left.value(row))?,
            TsQuery::parse(right.value(row))?,
        );
        Ok(Some(shown(match sides {
            (Some(left), Some(right)) => Some(TsQuery::joined(left, right, |left, right| {
                join(left, right, distance)
            })?),
            (left, right) => left.or(right),
        })))
    })?;
    Ok(Arc::new(queries))
}

/// The text that is turned into a `tsvector`, and how.
fn document(vector: &Expr) -> Option<(Analyzer, Expr)> {
    let Expr::ScalarFunction(call) = vector else {
        return None;
    };
    let function = call.func.inner().downcast_ref::<PgFunction>()?;
    let [text] = call.args.as_slice() else {
        return None;
    };
    let analyzer = Analyzer::named(function.closes_over())?;
    (call.func.name() == TO_TSVECTOR).then(|| (analyzer, text.clone()))
}

/// `to_tsvector(text) @@ query`, whose words an inverted index may know.
fn text_fits(analyzer: Analyzer, args: Vec<Expr>) -> Expr {
    let body = move |arrays: &[ArrayRef]| {
        let (texts, queries) = (arrays[0].as_string::<i32>(), arrays[1].as_string::<i32>());
        let mut queries = Queries::of(queries);
        fitting(arrays, |row| {
            let query = queries.at(row)?;
            Ok(query
                .is_some_and(|query| fits(query, &TsVector::of_text(analyzer, texts.value(row)))))
        })
    };
    let function = PgFunction::new(
        "ts_match_tq",
        DataType::Boolean,
        Volatility::Immutable,
        Arc::new(move |arrays, _| body(arrays)),
    )
    .identity(analyzer.name());
    WordCondition::over(ScalarUDF::from(function), analyzer, wanted, args)
}

fn wanted(_: Analyzer, constants: &[ScalarValue]) -> Option<Candidates> {
    let [ScalarValue::Utf8(Some(query))] = constants else {
        return None;
    };
    // A mistake in it is told when it is evaluated.
    match TsQuery::parse(query).ok()? {
        Some(query) => query.candidates(),
        None => Some(Candidates::Any(Vec::new())),
    }
}

fn vectors_fit(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let (vectors, queries) = (arrays[0].as_string::<i32>(), arrays[1].as_string::<i32>());
    let mut queries = Queries::of(queries);
    fitting(arrays, |row| {
        let Some(query) = queries.at(row)? else {
            return Ok(false);
        };
        Ok(fits(query, &TsVector::parse(vectors.value(row))?))
    })
}

fn fitting(arrays: &[ArrayRef], mut each: impl FnMut(usize) -> Result<bool>) -> Result<ArrayRef> {
    let count = arrays[0].len();
    let fitting: BooleanArray = (0..count)
        .map(|row| match arrays.iter().any(|array| array.is_null(row)) {
            true => Ok(None),
            false => each(row).map(Some),
        })
        .collect::<Result<_>>()?;
    Ok(Arc::new(fitting))
}

/// Queries, which are mostly the same for all rows.
struct Queries<'a> {
    texts: &'a StringArray,
    last: Option<(&'a str, Option<TsQuery>)>,
}

impl<'a> Queries<'a> {
    fn of(texts: &'a StringArray) -> Self {
        Queries { texts, last: None }
    }

    fn at(&mut self, row: usize) -> Result<Option<&TsQuery>> {
        let text = self.texts.value(row);
        if self.last.as_ref().is_none_or(|(last, _)| *last != text) {
            self.last = Some((text, TsQuery::parse(text)?));
        }
        Ok(self.last.as_ref().and_then(|(_, query)| query.as_ref()))
    }
}

/// `([weights,] vector, query [, divided])`.
fn ranks(
    arrays: &[ArrayRef],
    rank: fn(&Weights, &TsVector, &TsQuery, i32) -> f32,
) -> Result<ArrayRef> {
    let weighted = matches!(arrays[0].data_type(), DataType::List(_));
    let (given, rest) = arrays.split_at(usize::from(weighted));
    let (vectors, queries) = (rest[0].as_string::<i32>(), rest[1].as_string::<i32>());
    let divided = rest.get(2).map(|array| array.as_primitive::<Int32Type>());
    let mut queries = Queries::of(queries);
    let mut ranks = Vec::with_capacity(vectors.len());
    for row in 0..vectors.len() {
        if arrays.iter().any(|array| array.is_null(row)) {
            ranks.push(None);
            continue;
        }
        let weights = match given {
            [lists] => weights(&lists.as_list::<i32>().value(row))?,
            _ => WEIGHTS,
        };
        let divided = divided.map_or(0, |divided| divided.value(row));
        let vector = TsVector::parse(vectors.value(row))?;
        ranks.push(Some(match queries.at(row)? {
            Some(query) => rank(&weights, &vector, query, divided),
            None => 0.0,
        }));
    }
    Ok(Arc::new(Float32Array::from(ranks)))
}

fn weights(given: &ArrayRef) -> Result<Weights> {
    let given = given.as_primitive::<Float32Type>();
    if given.null_count() > 0 {
        return Err(Error::value(
            "22004",
            "array of weight must not contain nulls",
        ));
    }
    let mut weights = WEIGHTS;
    if given.len() < weights.len() {
        return Err(Error::value("2202E", "array of weight is too short"));
    }
    for (weight, given) in weights.iter_mut().zip(given.values()) {
        if *given > 1.0 {
            return Err(Error::value("22023", "weight out of range"));
        }
        if *given >= 0.0 {
            *weight = *given;
        }
    }
    Ok(weights)
}

/// `(text, query [, options])`.
fn headlines(analyzer: Analyzer, arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let (texts, queries) = (arrays[0].as_string::<i32>(), arrays[1].as_string::<i32>());
    let options = arrays.get(2).map(|array| array.as_string::<i32>());
    let headlines: StringArray = rows(arrays, |row| {
        let options = match options {
            Some(options) => Options::parse(options.value(row))?,
            None => Options::default(),
        };
        let query = TsQuery::parse(queries.value(row))?;
        let text = texts.value(row);
        Ok(Some(headline(analyzer, text, query.as_ref(), &options)))
    })?;
    Ok(Arc::new(headlines))
}

fn arrays_of_words(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let vectors = arrays[0].as_string::<i32>();
    let mut lists = ListBuilder::new(StringBuilder::new());
    for vector in vectors {
        match vector {
            None => lists.append_null(),
            Some(vector) => {
                for (word, _) in TsVector::parse(vector)?.words() {
                    lists.values().append_value(word);
                }
                lists.append(true);
            }
        }
    }
    Ok(Arc::new(lists.finish()))
}
