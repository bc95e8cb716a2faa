//! Vectors of one column of an immutable chunk of rows, in lists around centroids: the rows
//! near a vector are in the lists whose centroids are near it.
//!
//! It is derived from the chunk's file alone, as every index of a chunk is. How many lists a
//! search has to look into for a share of the nearest rows is not guessed: when the index is
//! made, rows that took no part in choosing the centroids are looked for in it.

use std::cmp::Ordering;

use arrow::array::{Array, AsArray, FixedSizeListArray};
use arrow::datatypes::Float32Type;

use super::metric::Metric;
use crate::error::{Error, Result};
use crate::traverse::Cancel;

/// Vectors that centroids are chosen from, for each of them.
const SAMPLE: usize = 40;
/// Times that centroids are moved to the middle of what is near them.
const ROUNDS: usize = 8;
/// Rows that are looked for to find out how many lists it takes.
const PROBES: usize = 64;
/// How many of the nearest are wanted of each of these.
const NEAREST: [usize; 2] = [10, 100];

#[derive(Debug)]
pub struct VectorIndex {
    metric: Metric,
    dimensions: usize,
    centroids: Box<[f32]>,
    /// Where each list's rows end.
    ends: Box<[u32]>,
    rows: Box<[u32]>,
    /// For each of [`NEAREST`]: the share of them that is in the first so many lists.
    shares: [Box<[f32]>; 2],
}

/// A column of vectors.
#[derive(Clone, Copy)]
pub struct Vectors<'a> {
    array: &'a FixedSizeListArray,
    values: &'a [f32],
    dimensions: usize,
}

impl<'a> Vectors<'a> {
    pub fn of(column: &'a dyn Array) -> Result<Vectors<'a>> {
        let wrong = || Error::internal("a vector column that is none");
        let array = column.as_fixed_size_list_opt().ok_or_else(wrong)?;
        let values = array.values().as_primitive_opt::<Float32Type>();
        Ok(Vectors {
            array,
            values: values.ok_or_else(wrong)?.values(),
            // A schema has from one dimension on.
            dimensions: array.value_length() as usize,
        })
    }

    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// `None`: the row has no vector.
    pub fn get(&self, row: u32) -> Option<&'a [f32]> {
        let row = row as usize;
        self.array
            .is_valid(row)
            .then(|| &self.values[row * self.dimensions..(row + 1) * self.dimensions])
    }
}

impl VectorIndex {
    pub fn build(metric: Metric, vectors: Vectors<'_>, cancel: &Cancel) -> Result<VectorIndex> {
        let rows: Vec<u32> = (0..vectors.array.len() as u32)
            .filter(|row| vectors.get(*row).is_some())
            .collect();
        let mut index = VectorIndex {
            metric,
            dimensions: vectors.dimensions,
            centroids: Box::default(),
            ends: Box::default(),
            rows: Box::default(),
            shares: Default::default(),
        };
        let lists = rows.len().isqrt().max(1);
        // Rows at even distances; those between them are looked for afterwards.
        let step = (rows.len() / (lists * SAMPLE)).max(1);
        let sample: Vec<&[f32]> = rows
            .iter()
            .step_by(step)
            .filter_map(|row| vectors.get(*row))
            .collect();
        index.centroids = index.middles(&sample, lists, cancel)?.into();
        let mut lists: Vec<Vec<u32>> = vec![Vec::new(); index.lists()];
        for row in &rows {
            cancel.check()?;
            if let Some(vector) = vectors.get(*row) {
                lists[index.nearest_list(vector)].push(*row);
            }
        }
        index.rows = lists.concat().into();
        index.ends = lists
            .iter()
            .scan(0, |end, list| {
                *end += list.len() as u32;
                Some(*end)
            })
            .collect();
        index.shares = index.measure(vectors, &rows, &lists, step, cancel)?;
        Ok(index)
    }

    pub fn lists(&self) -> usize {
        self.centroids.len() / self.dimensions.max(1)
    }

    /// The rows of a list.
    pub fn rows(&self, list: usize) -> &[u32] {
        let start = list.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.rows[start as usize..self.ends[list] as usize]
    }

    /// Rows that have a vector.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The lists, that with the nearest centroid first.
    pub fn by_distance(&self, query: &[f32]) -> Vec<usize> {
        let mut lists: Vec<(f64, usize)> = self
            .centroids
            .chunks_exact(self.dimensions)
            .map(|centroid| self.metric.distance(query, centroid))
            .zip(0..)
            .collect();
        lists.sort_unstable_by(|(a, _), (b, _)| a.total_cmp(b));
        lists.into_iter().map(|(_, list)| list).collect()
    }

    /// How many lists have this share of the `wanted` nearest rows; `None`: nobody knows.
    pub fn lists_for(&self, wanted: usize, share: f64) -> Option<usize> {
        let at = NEAREST.iter().position(|known| wanted <= *known)?;
        let shares = &self.shares[at];
        // What was measured is a sample: it has to be nearer to all by half.
        let share = share + (1.0 - share) / 2.0;
        let lists = shares.partition_point(|found| f64::from(*found) < share) + 1;
        (lists <= shares.len()).then_some(lists)
    }

    /// Bytes in memory.
    pub fn size(&self) -> usize {
        let numbers = self.centroids.len() + self.ends.len() + self.rows.len();
        4 * (numbers + self.shares.iter().map(|shares| shares.len()).sum::<usize>()) + 128
    }

    fn nearest_list(&self, vector: &[f32]) -> usize {
        nearest(self.metric, &self.centroids, vector)
    }

    /// Lloyd's algorithm: each centroid is the middle of the vectors that are nearest to it.
    fn middles(&self, sample: &[&[f32]], lists: usize, cancel: &Cancel) -> Result<Vec<f32>> {
        let lists = lists.min(sample.len());
        let step = (sample.len() / lists.max(1)).max(1);
        let first = sample.iter().step_by(step).take(lists);
        let mut centroids: Vec<f32> = first.flat_map(|vector| vector.iter().copied()).collect();
        for _ in 0..ROUNDS {
            let mut sums = vec![0.0f32; centroids.len()];
            let mut counts = vec![0u32; lists];
            for vector in sample {
                cancel.check()?;
                let list = nearest(self.metric, &centroids, vector);
                counts[list] += 1;
                let scale = self.scale(vector);
                let sum = &mut sums[list * self.dimensions..(list + 1) * self.dimensions];
                for (sum, value) in sum.iter_mut().zip(*vector) {
                    *sum += value * scale;
                }
            }
            let parts = centroids.chunks_exact_mut(self.dimensions);
            for ((centroid, sum), count) in
                parts.zip(sums.chunks_exact(self.dimensions)).zip(counts)
            {
                // One that nothing is near to stays where it is.
                if count > 0 {
                    for (value, sum) in centroid.iter_mut().zip(sum) {
                        *value = sum / count as f32;
                    }
                }
            }
        }
        Ok(centroids)
    }

    /// Of angles only directions have a middle.
    fn scale(&self, vector: &[f32]) -> f32 {
        match self.metric {
            Metric::Cosine => {
                let square = -Metric::InnerProduct.distance(vector, vector);
                match square > 0.0 {
                    true => (1.0 / square.sqrt()) as f32,
                    false => 0.0,
                }
            }
            _ => 1.0,
        }
    }

    fn measure(
        &self,
        vectors: Vectors<'_>,
        rows: &[u32],
        lists: &[Vec<u32>],
        step: usize,
        cancel: &Cancel,
    ) -> Result<[Box<[f32]>; 2]> {
        let mut list_of = vec![0u32; vectors.array.len()];
        for (number, list) in (0..).zip(lists) {
            for row in list {
                list_of[*row as usize] = number;
            }
        }
        let stride = (rows.len() / PROBES / step).max(1) * step;
        let probes: Vec<u32> = rows
            .iter()
            .skip(step / 2)
            .step_by(stride)
            .copied()
            .collect();
        let mut found = NEAREST.map(|_| vec![0u64; lists.len()]);
        let mut all = [0u64; 2];
        for probe in probes {
            let Some(query) = vectors.get(probe) else {
                continue;
            };
            let mut near = Vec::with_capacity(rows.len());
            for row in rows.iter().filter(|row| **row != probe) {
                if let Some(vector) = vectors.get(*row) {
                    near.push((self.metric.distance(query, vector), *row));
                }
                cancel.check()?;
            }
            let most = NEAREST[1].min(near.len());
            if most == 0 {
                continue;
            }
            near.select_nth_unstable_by(most - 1, by_distance);
            near.truncate(most);
            near.sort_unstable_by(by_distance);
            let mut place_of = vec![0usize; lists.len()];
            for (place, list) in self.by_distance(query).into_iter().enumerate() {
                place_of[list] = place;
            }
            for (at, wanted) in NEAREST.into_iter().enumerate() {
                for (_, row) in near.iter().take(wanted) {
                    found[at][place_of[list_of[*row as usize] as usize]] += 1;
                    all[at] += 1;
                }
            }
        }
        let mut all = all.into_iter();
        Ok(found.map(|found| {
            let all = all.next().unwrap_or(0).max(1) as f32;
            let sums = found.into_iter().scan(0, |sum, more| {
                *sum += more;
                Some(*sum as f32 / all)
            });
            sums.collect()
        }))
    }
}

fn by_distance(a: &(f64, u32), b: &(f64, u32)) -> Ordering {
    a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
}

fn nearest(metric: Metric, centroids: &[f32], vector: &[f32]) -> usize {
    let distances = centroids
        .chunks_exact(vector.len())
        .map(|centroid| metric.distance(vector, centroid));
    let nearest = distances.zip(0..).min_by(|(a, _), (b, _)| a.total_cmp(b));
    nearest.map_or(0, |(_, list)| list)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float32Array};
    use arrow::datatypes::{DataType, Field};
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    const DIMENSIONS: usize = 16;

    /// Points around centers.
    struct Clusters {
        random: StdRng,
        centers: Vec<[f32; DIMENSIONS]>,
    }

    impl Clusters {
        fn new(count: usize) -> Clusters {
            let mut random = StdRng::seed_from_u64(7);
            let centers = (0..count)
                .map(|_| std::array::from_fn(|_| random.random_range(-1.0..1.0)))
                .collect();
            Clusters { random, centers }
        }

        fn point(&mut self) -> [f32; DIMENSIONS] {
            let center = self.centers[self.random.random_range(0..self.centers.len())];
            center.map(|value| value + self.random.random_range(-0.3..0.3))
        }
    }

    fn column(points: &[Option<[f32; DIMENSIONS]>]) -> ArrayRef {
        let values = points.iter().flat_map(|point| point.unwrap_or_default());
        let field = Arc::new(Field::new("item", DataType::Float32, true));
        let valid = points.iter().map(Option::is_some).collect::<Vec<_>>();
        Arc::new(
            FixedSizeListArray::try_new(
                field,
                DIMENSIONS as i32,
                Arc::new(Float32Array::from_iter_values(values)),
                Some(valid.into()),
            )
            .unwrap(),
        )
    }

    #[test]
    fn the_promised_share_of_the_nearest_is_in_the_lists() {
        let mut clusters = Clusters::new(50);
        let points: Vec<_> = (0..8_000)
            .map(|row| (row % 10 > 0).then(|| clusters.point()))
            .collect();
        let column = column(&points);
        let vectors = Vectors::of(&column).unwrap();
        for metric in [Metric::L2, Metric::Cosine] {
            let index = VectorIndex::build(metric, vectors, &Cancel::never()).unwrap();
            assert_eq!(index.len(), 7_200);
            let mut listed: Vec<u32> = (0..index.lists())
                .flat_map(|list| index.rows(list).to_vec())
                .collect();
            listed.sort_unstable();
            let there: Vec<u32> = (0..8_000).filter(|row| row % 10 > 0).collect();
            assert_eq!(listed, there);
            let lists = index.lists_for(10, 0.99).unwrap();
            assert!(lists < index.lists() / 2, "{lists} lists");
            let (mut found, mut all) = (0, 0);
            for _ in 0..100 {
                let query = clusters.point();
                let mut near: Vec<(f64, u32)> = there
                    .iter()
                    .map(|row| (metric.distance(&query, vectors.get(*row).unwrap()), *row))
                    .collect();
                near.sort_unstable_by(by_distance);
                let first = index.by_distance(&query);
                let looked_at: Vec<u32> = first[..lists]
                    .iter()
                    .flat_map(|list| index.rows(*list).to_vec())
                    .collect();
                all += 10;
                found += near[..10]
                    .iter()
                    .filter(|(_, row)| looked_at.contains(row))
                    .count();
            }
            assert!(found * 100 >= all * 99, "{found} of {all}");
        }
    }

    #[test]
    fn few_vectors_and_none_have_an_index_too() {
        for count in [0, 1, 3] {
            let mut clusters = Clusters::new(1);
            let points: Vec<_> = (0..count).map(|_| Some(clusters.point())).collect();
            let column = column(&points);
            let vectors = Vectors::of(&column).unwrap();
            let index = VectorIndex::build(Metric::L1, vectors, &Cancel::never()).unwrap();
            assert_eq!(index.len(), count);
            assert_eq!(index.by_distance(&[0.0; DIMENSIONS]).len(), index.lists());
        }
    }
}
