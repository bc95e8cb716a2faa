//! Does a `tsquery` fit? "Followed by" needs places, and they may be unknown: then the answer
//! is that it may.

use super::query::{Operand, TsQuery};
use super::vector::TsVector;

/// What is known of the places of words.
pub trait Words {
    fn places(&self, operand: &Operand) -> Places;
}

/// Where something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Places {
    Nowhere,
    /// Somewhere, if at all.
    Unknown,
    At {
        /// Where it ends, ascending.
        ends: Vec<i32>,
        /// How many places lie between its first word and its last.
        width: i32,
        /// Everywhere but there.
        negated: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Answer {
    No,
    Maybe,
    Yes,
}

pub fn fits(query: &TsQuery, words: &impl Words) -> bool {
    answer(query, words) != Answer::No
}

fn answer(query: &TsQuery, words: &impl Words) -> Answer {
    match query {
        TsQuery::Operand(_) => match phrase(query, words) {
            Places::Nowhere => Answer::No,
            Places::Unknown => Answer::Maybe,
            Places::At { .. } => Answer::Yes,
        },
        // Words whose places are unknown follow nothing.
        TsQuery::Phrase(..) => match phrase(query, words) {
            Places::Nowhere | Places::Unknown => Answer::No,
            Places::At { .. } => Answer::Yes,
        },
        TsQuery::Not(inner) => match answer(inner, words) {
            Answer::No => Answer::Yes,
            Answer::Maybe => Answer::Maybe,
            Answer::Yes => Answer::No,
        },
        TsQuery::And(left, right) => match answer(left, words) {
            Answer::No => Answer::No,
            left => left.min(answer(right, words)),
        },
        TsQuery::Or(left, right) => match answer(left, words) {
            Answer::Yes => Answer::Yes,
            left => left.max(answer(right, words)),
        },
    }
}

/// Which places of two sides are kept.
#[derive(Clone, Copy)]
struct Keep {
    left_only: bool,
    right_only: bool,
    both: bool,
}

const ALL: Keep = Keep {
    left_only: true,
    right_only: true,
    both: true,
};
const LEFT: Keep = Keep {
    left_only: true,
    right_only: false,
    both: false,
};
const RIGHT: Keep = Keep {
    left_only: false,
    right_only: true,
    both: false,
};
const BOTH: Keep = Keep {
    left_only: false,
    right_only: false,
    both: true,
};

fn phrase(query: &TsQuery, words: &impl Words) -> Places {
    let (left, right) = match query {
        TsQuery::Operand(operand) => return words.places(operand),
        TsQuery::Not(inner) => return not(phrase(inner, words)),
        TsQuery::And(left, right) | TsQuery::Or(left, right) | TsQuery::Phrase(left, right, _) => {
            (phrase(left, words), phrase(right, words))
        }
    };
    let either = matches!(query, TsQuery::Or(..));
    let nowhere = [&left, &right].map(|side| *side == Places::Nowhere);
    if nowhere == [true, true] || !either && nowhere.contains(&true) {
        return Places::Nowhere;
    }
    let (Some(left), Some(right)) = (Side::of(left), Side::of(right)) else {
        return Places::Unknown;
    };
    let widest = left.width.max(right.width);
    let (left_shift, right_shift, width) = match query {
        TsQuery::Phrase(_, _, distance) => {
            let distance = i32::from(*distance);
            (
                distance + right.width,
                0,
                distance + left.width + right.width,
            )
        }
        _ => (widest - left.width, widest - right.width, widest),
    };
    let (keep, negated) = match (left.negated, right.negated, either) {
        (true, true, false) => (ALL, true),
        (true, false, false) => (RIGHT, false),
        (false, true, false) => (LEFT, false),
        (false, false, false) => (BOTH, false),
        (true, true, true) => (BOTH, true),
        (true, false, true) => (LEFT, true),
        (false, true, true) => (RIGHT, true),
        (false, false, true) => (ALL, false),
    };
    let shifted = |side: Side, by: i32| side.ends.into_iter().map(move |end| end + by);
    let ends = merged(shifted(left, left_shift), shifted(right, right_shift), keep);
    match ends.is_empty() && !negated {
        true => Places::Nowhere,
        false => Places::At {
            ends,
            width,
            negated,
        },
    }
}

struct Side {
    ends: Vec<i32>,
    width: i32,
    negated: bool,
}

impl Side {
    fn of(places: Places) -> Option<Side> {
        Some(match places {
            Places::Unknown => return None,
            Places::Nowhere => Side {
                ends: Vec::new(),
                width: 0,
                negated: false,
            },
            Places::At {
                ends,
                width,
                negated,
            } => Side {
                ends,
                width,
                negated,
            },
        })
    }
}

fn not(inner: Places) -> Places {
    match inner {
        Places::Unknown => Places::Unknown,
        Places::Nowhere => Places::At {
            ends: Vec::new(),
            width: 0,
            negated: true,
        },
        Places::At { ends, .. } if ends.is_empty() => Places::Nowhere,
        Places::At {
            ends,
            width,
            negated,
        } => Places::At {
            ends,
            width,
            negated: !negated,
        },
    }
}

fn merged(
    left: impl Iterator<Item = i32>,
    right: impl Iterator<Item = i32>,
    keep: Keep,
) -> Vec<i32> {
    let (mut left, mut right) = (left.peekable(), right.peekable());
    let mut kept = Vec::new();
    loop {
        let (next, keeps) = match (left.peek().copied(), right.peek().copied()) {
            (None, None) => return kept,
            (Some(l), Some(r)) if l == r => (l, keep.both),
            (Some(l), Some(r)) if l < r => (l, keep.left_only),
            (Some(l), None) => (l, keep.left_only),
            (_, Some(r)) => (r, keep.right_only),
        };
        left.next_if_eq(&next);
        right.next_if_eq(&next);
        if keeps {
            kept.push(next);
        }
    }
}

impl Words for TsVector {
    fn places(&self, operand: &Operand) -> Places {
        let mut ends = Vec::new();
        let mut found = false;
        let mut unknown = false;
        let mut add = |places: &[super::vector::Place]| {
            unknown |= places.is_empty();
            let weights = &operand.weights;
            let fitting = places
                .iter()
                .filter(|place| weights.is_empty() || weights.contains(&place.weight));
            let before = ends.len();
            ends.extend(fitting.map(|place| i32::from(place.at)));
            found |= ends.len() > before;
        };
        match operand.prefix {
            true => self
                .beginning(&operand.word)
                .for_each(|(_, places)| add(places)),
            false => self.places(&operand.word).into_iter().for_each(add),
        }
        match (found, unknown) {
            (_, true) => Places::Unknown,
            (false, false) => Places::Nowhere,
            (true, false) => {
                ends.sort_unstable();
                ends.dedup();
                Places::At {
                    ends,
                    width: 0,
                    negated: false,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(vector: &str, query: &str, expected: bool) {
        let vector = TsVector::parse(vector).unwrap_or_default();
        let parsed = TsQuery::parse(query).ok().flatten();
        let found = parsed.is_some_and(|query| fits(&query, &vector));
        assert_eq!(found, expected, "{vector} {query}");
    }

    #[test]
    fn queries_fit_as_in_postgres() {
        let cat = "a:1 cat:3 fat:2,4 rat:5A";
        for (query, expected) in [
            ("fat & rat", true),
            ("fat & dog", false),
            ("fat & !dog", true),
            ("dog | rat", true),
            ("fat <-> cat", true),
            ("cat <-> fat", true),
            ("cat <-> rat", false),
            ("cat <2> rat", true),
            ("a <-> fat <-> cat", true),
            ("a <-> (fat <-> cat)", true),
            ("a <2> (fat <-> cat)", false),
            ("(dog | fat) <-> (cat & !rat)", true),
            ("fat <-> !cat", true),
            ("a <-> !fat", false),
            ("!dog <-> cat", true),
            ("!fat <-> cat", false),
            ("c:*", true),
            ("ca:* <-> fat", true),
            ("rat:A", true),
            ("rat:BCD", false),
            ("fat <0> fat", true),
            ("!(fat & dog)", true),
        ] {
            check(cat, query, expected);
        }
        // Places that were stripped.
        check("a b", "a <-> b", false);
        check("a b", "a <-> c", false);
        check("a b", "a:A", true);
        check("", "!a", true);
    }
}
