//! Which of several functions or operators is meant: chapter 10 of PostgreSQL's manual.

use omnigraph_catalog::types::PgType;

use super::coerce::implicit;
use super::typed::Typed;
use super::types::{
    ANYCOMPATIBLE, ANYCOMPATIBLEARRAY, ANYCOMPATIBLENONARRAY, ANYNONARRAY, category, common_type,
    is_preferred,
};

const ANY: u32 = PgType::ANY.oid;
const ANYARRAY: u32 = PgType::ANYARRAY.oid;
const ANYELEMENT: u32 = PgType::ANYELEMENT.oid;
const UNKNOWN: u32 = PgType::UNKNOWN.oid;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    One(usize),
    None,
    Ambiguous,
}

fn accepts(declared: u32, actual: u32) -> bool {
    match declared {
        ANY | ANYELEMENT | ANYCOMPATIBLE => true,
        ANYNONARRAY | ANYCOMPATIBLENONARRAY => !PgType::new(actual).is_array(),
        ANYARRAY | ANYCOMPATIBLEARRAY => actual == UNKNOWN || PgType::new(actual).is_array(),
        // Rows are matched as rows only.
        _ => implicit(actual, declared),
    }
}

/// Does each argument fit, and do those of polymorphic types agree on an element?
fn fits(declared: &[u32], actual: &[u32]) -> bool {
    if !declared
        .iter()
        .zip(actual)
        .all(|(declared, actual)| accepts(*declared, *actual))
    {
        return false;
    }
    let mut elements = declared
        .iter()
        .zip(actual)
        .filter(|(_, actual)| **actual != UNKNOWN)
        .filter_map(|(declared, actual)| match *declared {
            ANYARRAY | ANYCOMPATIBLEARRAY => {
                PgType::new(*actual).element().map(|element| element.oid)
            }
            ANYELEMENT | ANYNONARRAY | ANYCOMPATIBLE | ANYCOMPATIBLENONARRAY => Some(*actual),
            _ => None,
        });
    let Some(first) = elements.next() else {
        return true;
    };
    elements.all(|other| implicit(first, other) || implicit(other, first))
}

/// Picks among candidates by their declared argument types (variadics spread out).
pub(super) fn choose(candidates: &[Vec<u32>], actual: &[u32]) -> Choice {
    // An exact match ends it; an unknown beside a known operand is taken to be of its type.
    let assumed: Vec<u32> = match actual {
        [UNKNOWN, right] if *right != UNKNOWN => vec![*right, *right],
        [left, UNKNOWN] if *left != UNKNOWN => vec![*left, *left],
        _ => actual.to_vec(),
    };
    if let Some(at) = candidates.iter().position(|declared| declared == actual) {
        return Choice::One(at);
    }
    if let Some(at) = candidates.iter().position(|declared| *declared == assumed) {
        return Choice::One(at);
    }
    let mut left: Vec<usize> = (0..candidates.len())
        .filter(|at| fits(&candidates[*at], actual))
        .collect();
    if left.is_empty() {
        return Choice::None;
    }
    if left.len() == 1 {
        return Choice::One(left[0]);
    }
    keep_best(&mut left, |at| {
        candidates[at]
            .iter()
            .zip(actual)
            .filter(|(declared, actual)| **actual != UNKNOWN && declared == actual)
            .count()
    });
    if left.len() == 1 {
        return Choice::One(left[0]);
    }
    keep_best(&mut left, |at| {
        candidates[at]
            .iter()
            .zip(actual)
            .filter(|(declared, actual)| {
                **actual != UNKNOWN
                    && (declared == actual
                        || (category(**declared) == category(**actual) && is_preferred(**declared)))
            })
            .count()
    });
    if left.len() == 1 {
        return Choice::One(left[0]);
    }
    if !actual.contains(&UNKNOWN) {
        return Choice::Ambiguous;
    }
    by_category(candidates, actual, &mut left);
    if left.len() == 1 {
        return Choice::One(left[0]);
    }
    // Known arguments of one type: the unknowns are taken to be of it too.
    let mut known = actual.iter().filter(|ty| **ty != UNKNOWN);
    if let Some(first) = known.next()
        && known.all(|ty| ty == first)
    {
        let fitting: Vec<usize> = left
            .iter()
            .copied()
            .filter(|at| fits(&candidates[*at], &vec![*first; actual.len()]))
            .collect();
        if let [one] = fitting.as_slice() {
            return Choice::One(*one);
        }
    }
    Choice::Ambiguous
}

/// Unknown arguments: strings if any candidate takes a string there, else the category that all
/// candidates agree on; preferred types win within it.
fn by_category(candidates: &[Vec<u32>], actual: &[u32], left: &mut Vec<usize>) {
    for (position, ty) in actual.iter().enumerate() {
        if *ty != UNKNOWN {
            continue;
        }
        let categories: Vec<char> = left
            .iter()
            .map(|at| category(candidates[*at][position]))
            .collect();
        let wanted = if categories.contains(&'S') {
            'S'
        } else if categories.windows(2).all(|pair| pair[0] == pair[1]) {
            categories[0]
        } else {
            continue;
        };
        left.retain(|at| category(candidates[*at][position]) == wanted);
        if left
            .iter()
            .any(|at| is_preferred(candidates[*at][position]))
        {
            left.retain(|at| is_preferred(candidates[*at][position]));
        }
    }
}

fn keep_best(left: &mut Vec<usize>, score: impl Fn(usize) -> usize) {
    let best = left.iter().map(|at| score(*at)).max().unwrap_or(0);
    left.retain(|at| score(*at) == best);
}

/// The declared types with polymorphic ones replaced by what the arguments are; `None` if they
/// do not agree. The last entry is the result's.
pub(super) fn concrete(
    declared: &[u32],
    result: u32,
    args: &[Typed],
) -> Option<(Vec<PgType>, PgType)> {
    let polymorphic = |oid: u32| {
        matches!(
            oid,
            ANYARRAY
                | ANYELEMENT
                | ANYNONARRAY
                | ANYCOMPATIBLE
                | ANYCOMPATIBLEARRAY
                | ANYCOMPATIBLENONARRAY
        )
    };
    let is_array = |oid: u32| matches!(oid, ANYARRAY | ANYCOMPATIBLEARRAY);
    let mut elements: Vec<Typed> = Vec::new();
    for (declared, arg) in declared.iter().zip(args) {
        if !polymorphic(*declared) || arg.is_unknown() {
            continue;
        }
        let ty = if is_array(*declared) {
            element_of(arg.ty)?
        } else {
            arg.ty
        };
        elements.push(Typed::new(arg.expr.clone(), ty));
    }
    let element = if elements.is_empty() {
        if declared.iter().any(|oid| is_array(*oid))
            && !declared
                .iter()
                .any(|oid| polymorphic(*oid) && !is_array(*oid))
        {
            // Only untyped arguments where an array has to be: PostgreSQL cannot tell either.
            return None;
        }
        PgType::TEXT
    } else {
        common_type(&elements, "argument").ok()?
    };
    let resolve = |oid: u32| -> Option<PgType> {
        if is_array(oid) {
            element.array()
        } else if polymorphic(oid) {
            Some(element)
        } else {
            Some(PgType::new(oid))
        }
    };
    let types = declared
        .iter()
        .zip(args)
        .map(|(oid, arg)| {
            if *oid == ANY {
                Some(if arg.is_unknown() {
                    PgType::TEXT
                } else {
                    arg.ty
                })
            } else {
                resolve(*oid)
            }
        })
        .collect::<Option<Vec<_>>>()?;
    Some((types, resolve(result)?))
}

/// The elements of an array or of one of the catalogs' vectors.
pub(super) fn element_of(ty: PgType) -> Option<PgType> {
    ty.element()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_chosen_as_the_manual_says() {
        let (int2, int4, int8, float8, numeric, text) = (21, 23, 20, 701, 1700, 25);
        let plus = vec![
            vec![int4, int4],
            vec![int8, int8],
            vec![float8, float8],
            vec![numeric, numeric],
            vec![int4, int8],
        ];
        assert_eq!(choose(&plus, &[int4, int4]), Choice::One(0));
        assert_eq!(choose(&plus, &[int4, UNKNOWN]), Choice::One(0));
        assert_eq!(choose(&plus, &[int4, int8]), Choice::One(4));
        assert_eq!(choose(&plus, &[int2, int4]), Choice::One(0));
        assert_eq!(choose(&plus, &[numeric, int4]), Choice::One(3));
        assert_eq!(choose(&plus, &[float8, numeric]), Choice::One(2));
        assert_eq!(choose(&plus, &[text, int4]), Choice::None);
        let abs = vec![vec![int4], vec![int8], vec![float8], vec![numeric]];
        assert_eq!(
            choose(&abs, &[UNKNOWN]),
            Choice::One(2),
            "the preferred numeric type"
        );
        let (texts, any_array, any) = (1009, ANYCOMPATIBLEARRAY, ANYCOMPATIBLE);
        let concat = vec![
            vec![any_array, any],
            vec![any, any_array],
            vec![any_array, any_array],
        ];
        assert_eq!(choose(&concat, &[texts, texts]), Choice::One(2));
        assert_eq!(choose(&concat, &[texts, text]), Choice::One(0));
        assert_eq!(choose(&concat, &[texts, UNKNOWN]), Choice::One(2));
        let length = vec![vec![text], vec![17]];
        assert_eq!(choose(&length, &[UNKNOWN]), Choice::One(0), "strings first");
    }
}
