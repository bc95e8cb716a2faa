//! The numbers behind `random()`: PostgreSQL's generator (xoroshiro128**), so that `setseed`
//! gives the sequence that it gives there.

use std::hash::{BuildHasher, RandomState};

/// One session's generator.
#[derive(Debug)]
pub struct Random {
    low: u64,
    high: u64,
}

impl Default for Random {
    /// From the keys that the process draws for its hash tables.
    fn default() -> Self {
        let keys = RandomState::new();
        Random::of_state(keys.hash_one(0_u8), keys.hash_one(1_u8))
    }
}

impl Random {
    /// As `setseed` takes it, from -1 to 1.
    pub fn seeded(seed: f64) -> Self {
        let mut state = (seed * ((1_u64 << 52) - 1) as f64) as i64 as u64;
        Random::of_state(split_mix(&mut state), split_mix(&mut state))
    }

    /// All zeros would give nothing but zeros.
    fn of_state(low: u64, high: u64) -> Self {
        if low == 0 && high == 0 {
            return Random {
                low: 0x5851_f42d_4c95_7f2d,
                high: 0x1405_7b7e_f767_814f,
            };
        }
        Random { low, high }
    }

    /// The next number in [0, 1).
    pub fn draw(&mut self) -> f64 {
        (self.bits() >> 12) as f64 / (1_u64 << 52) as f64
    }

    fn bits(&mut self) -> u64 {
        let mixed = self.high ^ self.low;
        let bits = self.low.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        self.low = self.low.rotate_left(24) ^ mixed ^ (mixed << 16);
        self.high = mixed.rotate_left(37);
        bits
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_postgresqls_sequence() {
        // As PostgreSQL 15 answers after setseed(0.5), setseed(-1) and setseed(0).
        let mut half = Random::seeded(0.5);
        assert_eq!(half.draw(), 0.9851677175347999);
        assert_eq!(half.draw(), 0.825301858027981);
        assert_eq!(half.draw(), 0.12974610012450416);
        assert_eq!(Random::seeded(-1.0).draw(), 0.725656831544149);
        assert_eq!(Random::seeded(0.0).draw(), 0.8702553105818676);
    }

    #[test]
    fn sessions_draw_different_numbers() {
        assert_ne!(Random::default().draw(), Random::default().draw());
    }
}
