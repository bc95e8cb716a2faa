//! Distances between vectors, as pgvector defines them: sums in single precision, the result
//! in double.

/// How far two vectors are apart; what is nearer has the smaller number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metric {
    /// The length of the difference.
    L2,
    /// One minus the cosine of the angle; NaN where a vector has no direction.
    Cosine,
    /// The inner product, negated.
    InnerProduct,
    /// The sum of the differences' absolute values.
    L1,
}

impl Metric {
    /// By the name that schemas and functions have for it.
    pub fn named(name: &str) -> Option<Metric> {
        Some(match name {
            "l2" => Metric::L2,
            "cosine" => Metric::Cosine,
            "ip" => Metric::InnerProduct,
            "l1" => Metric::L1,
            _ => return None,
        })
    }

    /// The distance of two vectors of as many dimensions.
    pub fn distance(self, a: &[f32], b: &[f32]) -> f64 {
        match self {
            Metric::L2 => f64::from(sum(a, b, |a, b| (a - b) * (a - b))).sqrt(),
            Metric::Cosine => {
                let similarity =
                    f64::from(dot(a, b)) / (f64::from(dot(a, a)) * f64::from(dot(b, b))).sqrt();
                match similarity.is_nan() {
                    // Of either sign; the positive one is greater than all numbers.
                    true => f64::NAN,
                    // Rounding may leave the range.
                    false => 1.0 - similarity.clamp(-1.0, 1.0),
                }
            }
            Metric::InnerProduct => f64::from(-dot(a, b)),
            Metric::L1 => f64::from(sum(a, b, |a, b| (a - b).abs())),
        }
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum(a, b, |a, b| a * b)
}

/// Sums that do not wait for each other, so that a processor adds several at once.
const LANES: usize = 16;

fn sum(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *sum += term(*a, *b);
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| term(*a, *b)).sum();
    lanes.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_pgvectors() {
        let near = |metric: Metric, a: &[f32], b: &[f32], expected: f64| {
            assert_eq!(metric.distance(a, b), expected, "{metric:?} {a:?} {b:?}");
        };
        near(Metric::L2, &[0.0, 0.0], &[3.0, 4.0], 5.0);
        near(Metric::L1, &[0.0, 0.0], &[3.0, -4.0], 7.0);
        near(Metric::InnerProduct, &[1.0, 2.0], &[3.0, 4.0], -11.0);
        near(Metric::Cosine, &[1.0, 2.0], &[2.0, 4.0], 0.0);
        near(Metric::Cosine, &[1.0, 1.0], &[-1.0, -1.0], 2.0);
        near(Metric::Cosine, &[1.0, 0.0], &[0.0, 2.0], 1.0);
        near(Metric::Cosine, &[1.1, 1.1], &[1.1, 1.1], 0.0);
        let nowhere = Metric::Cosine.distance(&[0.0, 0.0], &[1.0, 0.0]);
        assert!(nowhere.is_nan() && nowhere.is_sign_positive());
    }

    #[test]
    fn every_number_of_dimensions_is_summed_whole() {
        for dimensions in 1..70 {
            let a: Vec<f32> = (0..dimensions).map(|at| at as f32).collect();
            let b = vec![1.0; dimensions];
            let total = (0..dimensions).sum::<usize>() as f64;
            assert_eq!(Metric::InnerProduct.distance(&a, &b), -total);
        }
    }
}
