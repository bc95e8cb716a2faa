//! A set of small numbers, one bit each.

#[derive(Debug, Clone, Default)]
pub struct Bits {
    words: Vec<u64>,
}

impl Bits {
    /// Room for the numbers below `len`.
    pub fn new(len: usize) -> Self {
        Bits {
            words: vec![0; len.div_ceil(64)],
        }
    }

    /// False also for numbers that it has no room for.
    #[inline]
    pub fn contains(&self, number: u32) -> bool {
        self.words
            .get(number as usize / 64)
            .is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    /// Was it new? It must be below the length.
    #[inline]
    pub fn insert(&mut self, number: u32) -> bool {
        let word = &mut self.words[number as usize / 64];
        let bit = 1 << (number % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    #[inline]
    pub fn remove(&mut self, number: u32) {
        if let Some(word) = self.words.get_mut(number as usize / 64) {
            *word &= !(1 << (number % 64));
        }
    }

    /// Takes the listed numbers out, which must be all that are in it.
    pub fn clear(&mut self, numbers: impl ExactSizeIterator<Item = u32>) {
        if numbers.len() > self.words.len() {
            self.words.fill(0);
            return;
        }
        for number in numbers {
            self.words[number as usize / 64] = 0;
        }
    }

    pub fn bytes(&self) -> usize {
        self.words.capacity() * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_inserted() {
        let mut bits = Bits::new(130);
        assert!(bits.insert(0));
        assert!(bits.insert(129));
        assert!(!bits.insert(129));
        assert!(bits.contains(0) && bits.contains(129) && !bits.contains(64));
        assert!(!bits.contains(100_000));
        bits.remove(129);
        assert!(bits.contains(0) && !bits.contains(129));
        bits.clear([0, 129].into_iter());
        assert!(!bits.contains(0) && !bits.contains(129));
    }
}
