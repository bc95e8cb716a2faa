//! `ts_rank` and `ts_rank_cd`: PostgreSQL's two measures of how well a text fits, step by step
//! in the precision that it has them in, so that the numbers are the same.

use super::matching::{Places, Words, fits};
use super::query::{Operand, TsQuery};
use super::vector::{Place, TsVector, Weight};

/// What a place of each weight counts: D, C, B, A.
pub type Weights = [f32; 4];

pub const WEIGHTS: Weights = [0.1, 0.2, 0.4, 1.0];

/// What a rank is divided by: sums of these.
const LOG_LENGTH: i32 = 1;
const LENGTH: i32 = 2;
const EXTENT_DISTANCE: i32 = 4;
const WORDS: i32 = 8;
const LOG_WORDS: i32 = 16;
const ITSELF_AND_ONE: i32 = 32;

/// The place that stands for none.
const NO_PLACE: u16 = 16_382;
const FARTHEST: i32 = 16_383;

fn weight(weights: &Weights, place: Place) -> f32 {
    weights[match place.weight {
        Weight::D => 0,
        Weight::C => 1,
        Weight::B => 2,
        Weight::A => 3,
    }]
}

pub fn rank(weights: &Weights, vector: &TsVector, query: &TsQuery, divided: i32) -> f32 {
    if vector.is_empty() {
        return 0.0;
    }
    let together = matches!(query, TsQuery::And(..) | TsQuery::Phrase(..));
    let mut rank = match together {
        true => of_pairs(weights, vector, query),
        false => of_words(weights, vector, query),
    };
    if rank < 0.0 {
        rank = 1e-20;
    }
    normalized(f64::from(rank), vector, divided, true) as f32
}

/// Divides as asked for; each step is rounded where PostgreSQL holds it in single precision.
fn normalized(mut rank: f64, vector: &TsVector, divided: i32, single: bool) -> f64 {
    let rounded = |rank: f64| match single {
        true => f64::from(rank as f32),
        false => rank,
    };
    let length: usize = vector.words().map(|(_, places)| places.len().max(1)).sum();
    let log2 = |number: usize| ((number + 1) as f64).ln() / std::f64::consts::LN_2;
    let words = vector.len();
    if divided & LOG_LENGTH != 0 {
        rank = match single {
            true => rounded(rank / log2(length)),
            false => rank / ((length + 1) as f64).ln(),
        };
    }
    if divided & LENGTH != 0 && length > 0 {
        rank = rounded(rank / length as f64);
    }
    if divided & WORDS != 0 {
        rank = rounded(rank / words as f64);
    }
    if divided & LOG_WORDS != 0 {
        rank = rounded(rank / log2(words));
    }
    if divided & ITSELF_AND_ONE != 0 {
        rank = rounded(rank / rounded(rank + 1.0));
    }
    rank
}

/// The words of a query, each once, sorted.
fn distinct(query: &TsQuery) -> Vec<&Operand> {
    let mut operands = query.operands();
    operands.sort_by(|a, b| a.word.cmp(&b.word));
    operands.dedup_by(|a, b| a.word == b.word);
    operands
}

fn found<'a>(vector: &'a TsVector, operand: &Operand) -> Vec<&'a [Place]> {
    match operand.prefix {
        true => vector
            .beginning(&operand.word)
            .map(|(_, places)| places)
            .collect(),
        false => vector.places(&operand.word).into_iter().collect(),
    }
}

fn of_words(weights: &Weights, vector: &TsVector, query: &TsQuery) -> f32 {
    const NONE: [Place; 1] = [Place {
        at: 0,
        weight: Weight::D,
    }];
    let operands = distinct(query);
    let mut rank = 0.0f32;
    for places in operands.iter().flat_map(|operand| found(vector, operand)) {
        let places = if places.is_empty() { &NONE[..] } else { places };
        let (mut sum, mut most, mut most_at) = (0.0f32, -1.0f32, 0usize);
        for (at, place) in places.iter().enumerate() {
            let weight = weight(weights, *place);
            sum += weight / ((at + 1) * (at + 1)) as f32;
            if weight > most {
                (most, most_at) = (weight, at);
            }
        }
        let whole = most + sum - most / ((most_at + 1) * (most_at + 1)) as f32;
        // The sum of 1 / n², the most that there can be.
        rank = (f64::from(rank) + f64::from(whole) / 1.64493406685) as f32;
    }
    match operands.len() {
        0 => rank,
        count => rank / count as f32,
    }
}

fn of_pairs(weights: &Weights, vector: &TsVector, query: &TsQuery) -> f32 {
    const NONE: [Place; 1] = [Place {
        at: NO_PLACE,
        weight: Weight::D,
    }];
    let operands = distinct(query);
    if operands.len() < 2 {
        return of_words(weights, vector, query);
    }
    let mut rank = -1.0f32;
    let mut before: Vec<(&[Place], bool)> = Vec::new();
    for operand in operands {
        let mut last = None;
        for places in found(vector, operand) {
            let unknown = places.is_empty();
            let places = if unknown { &NONE[..] } else { places };
            for place in places {
                for (others, other_unknown) in &before {
                    for other in *others {
                        let distance = (i32::from(place.at) - i32::from(other.at)).abs();
                        if distance == 0 && !unknown && !other_unknown {
                            continue;
                        }
                        let distance = if distance == 0 { FARTHEST } else { distance };
                        let product =
                            weight(weights, *place) * weight(weights, *other) * nearness(distance);
                        let both = f64::from(product).sqrt() as f32;
                        rank = match rank < 0.0 {
                            true => both,
                            false => {
                                (1.0 - (1.0 - f64::from(rank)) * (1.0 - f64::from(both))) as f32
                            }
                        };
                    }
                }
            }
            last = Some((places, unknown));
        }
        before.extend(last);
    }
    rank
}

fn nearness(distance: i32) -> f32 {
    if distance > 100 {
        return 1e-30;
    }
    let far = f64::from(distance as f32) / 1.5 - 2.0;
    (1.0 / (1.005 + 0.05 * far.exp())) as f32
}

/// A place of a word that the query has, and which of the query's words it is.
struct Spot<'a> {
    place: Place,
    operands: Vec<&'a Operand>,
}

pub fn cover_density(weights: &Weights, vector: &TsVector, query: &TsQuery, divided: i32) -> f32 {
    let spots = spots(vector, query);
    let mut state = Cover::default();
    let (mut sum, mut extents, mut distances, mut last) = (0.0f64, 0usize, 0.0f64, 0.0f64);
    while let Some((first, end)) = state.next(&spots, query) {
        let inverse: f64 = spots[first..=end]
            .iter()
            .map(|spot| 1.0 / f64::from(weight(weights, spot.place)))
            .sum();
        let count = end - first + 1;
        let (from, to) = (
            i32::from(spots[first].place.at),
            i32::from(spots[end].place.at),
        );
        let between = count as i32 - 1;
        let noise = (to - from) - between;
        let noise = if noise < 0 { between / 2 } else { noise };
        sum += count as f64 / inverse / f64::from(1 + noise);
        let middle = f64::from(to + from) / 2.0;
        if extents > 0 && middle > last {
            distances += 1.0 / (middle - last);
        }
        last = middle;
        extents += 1;
    }
    if spots.is_empty() {
        return 0.0;
    }
    if divided & EXTENT_DISTANCE != 0 && extents > 0 && distances > 0.0 {
        sum /= extents as f64 / distances;
    }
    normalized(sum, vector, divided, false) as f32
}

fn spots<'a>(vector: &TsVector, query: &'a TsQuery) -> Vec<Spot<'a>> {
    let mut all: Vec<(Place, &str, Vec<&Operand>)> = Vec::new();
    for operand in query.operands() {
        let words: Vec<(&str, &[Place])> = match operand.prefix {
            true => vector.beginning(&operand.word).collect(),
            false => vector
                .words()
                .filter(|(word, _)| *word == operand.word)
                .collect(),
        };
        for (word, places) in words {
            for place in places {
                let weights = &operand.weights;
                if !weights.is_empty() && !weights.contains(&place.weight) {
                    continue;
                }
                match all
                    .iter_mut()
                    .find(|(known, of, _)| known == place && *of == word)
                {
                    Some((_, _, operands)) => operands.push(operand),
                    None => all.push((*place, word, vec![operand])),
                }
            }
        }
    }
    all.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
    all.into_iter()
        .map(|(place, _, operands)| Spot { place, operands })
        .collect()
}

/// The shortest stretches of a text that the query fits.
#[derive(Default)]
struct Cover {
    from: usize,
}

impl Cover {
    /// The first and last spot of the next one.
    fn next(&mut self, spots: &[Spot<'_>], query: &TsQuery) -> Option<(usize, usize)> {
        loop {
            let fits_in =
                |range: std::ops::RangeInclusive<usize>| fits(query, &Stretch(&spots[range]));
            let end = (self.from..spots.len()).find(|end| fits_in(self.from..=*end))?;
            let first = (self.from..=end).rev().find(|first| fits_in(*first..=end));
            let Some(first) = first else {
                self.from += 1;
                continue;
            };
            self.from = first + 1;
            return Some((first, end));
        }
    }
}

struct Stretch<'a>(&'a [Spot<'a>]);

impl Words for Stretch<'_> {
    fn places(&self, operand: &Operand) -> Places {
        let spots = self.0.iter();
        let mut ends: Vec<i32> = spots
            .filter(|spot| spot.operands.contains(&operand))
            .map(|spot| i32::from(spot.place.at))
            .collect();
        ends.dedup();
        match ends.is_empty() {
            true => Places::Nowhere,
            false => Places::At {
                ends,
                width: 0,
                negated: false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranks(vector: &str, query: &str, divided: i32) -> (f32, f32) {
        let vector = TsVector::parse(vector).unwrap_or_default();
        let query = TsQuery::parse(query).ok().flatten();
        let query = query.unwrap_or_else(|| panic!("a query"));
        (
            rank(&WEIGHTS, &vector, &query, divided),
            cover_density(&WEIGHTS, &vector, &query, divided),
        )
    }

    /// What PostgreSQL 15 answers.
    #[test]
    fn ranks_are_those_of_postgres() {
        let text = "a:1 cat:3,9B fat:2,4 rat:5A";
        for (query, divided, expected) in POSTGRES {
            assert_eq!(ranks(text, query, *divided), *expected, "{query} {divided}");
        }
    }

    #[rustfmt::skip]
    const POSTGRES: &[(&str, i32, (f32, f32))] = &[
        ("fat", 0, (0.075990885, 0.2)),
        ("fat & rat", 0, (0.52478105, 0.18181819)),
        ("fat | dog", 0, (0.037995443, 0.2)),
        ("fat <-> cat", 0, (0.43788216, 0.1)),
        ("cat & !dog", 0, (1e-20, 0.5)),
        ("ca:* & rat", 0, (0.7262263, 0.23376624)),
        ("fat & cat & rat", 0, (0.92686707, 0.1984127)),
        ("dog", 0, (0.0, 0.0)),
        ("a & rat:A", 0, (0.30118477, 0.045454547)),
        ("fat", 1, (0.0270685, 0.10277967)),
        ("fat & rat", 1, (0.18693078, 0.09343606)),
        ("fat | dog", 1, (0.01353425, 0.10277967)),
        ("fat <-> cat", 1, (0.15597677, 0.051389836)),
        ("cat & !dog", 1, (3.562072e-21, 0.2569492)),
        ("ca:* & rat", 1, (0.25868702, 0.12013208)),
        ("fat & cat & rat", 1, (0.3301567, 0.10196396)),
        ("dog", 1, (0.0, 0.0)),
        ("a & rat:A", 1, (0.10728418, 0.023359016)),
        ("fat & rat", 2, (0.087463506, 0.030303031)),
        ("fat", 4, (0.075990885, 0.05)),
        ("fat & rat", 4, (0.52478105, 0.18181819)),
        ("fat | dog", 4, (0.037995443, 0.05)),
        ("fat <-> cat", 4, (0.43788216, 0.1)),
        ("cat & !dog", 4, (1e-20, 0.041666668)),
        ("ca:* & rat", 4, (0.7262263, 0.038961038)),
        ("fat & cat & rat", 4, (0.92686707, 0.03968254)),
        ("dog", 4, (0.0, 0.0)),
        ("a & rat:A", 4, (0.30118477, 0.045454547)),
        ("fat & rat", 8, (0.13119526, 0.045454547)),
        ("fat & rat", 16, (0.22601089, 0.07830483)),
        ("fat & rat", 32, (0.34416816, 0.15384616)),
        ("fat", 63, (0.00048550445, 0.0004608791)),
        ("fat & rat", 63, (0.0033432315, 0.0016738902)),
        ("fat | dog", 63, (0.00024281119, 0.0004608791)),
        ("fat <-> cat", 63, (0.0027911682, 0.00092133356)),
        ("cat & !dog", 63, (6.392087e-23, 0.00038409542)),
        ("ca:* & rat", 63, (0.0046206517, 0.00035916312)),
        ("fat & cat & rat", 63, (0.0058897203, 0.00036581187)),
        ("dog", 63, (0.0, 0.0)),
        ("a & rat:A", 63, (0.0019215, 0.00041899856)),
    ];
}
