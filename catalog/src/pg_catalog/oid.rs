//! Where OIDs come from. Never a hash (they would collide) and never a counter of this process
//! (two gateways would disagree): every OID follows from what is persisted.
//!
//! | range | objects |
//! |---|---|
//! | below 16,384 | PostgreSQL's own, with its own OIDs |
//! | 16,000..16,384 | the `vector` extension and its types |
//! | 16,400..20,000 | databases, as the server gives them |
//! | 20,000..40,000 | functions, operators and casts that PostgreSQL does not have |
//! | 40,000..65,536 | roles, in the order in which actors are configured |
//! | from 65,536 | one block of 65,536 for each branch |
//! | the last 34,000,000 | what does not fit its place: see [`Slots`] |
//!
//! In a branch's block slot 0 is its namespace, slot 1 its property graph, and each type has 64 slots, found by the number
//! that stays with it through renames. So a plan that holds an OID stays right as long as the
//! table lives, on every connection and every gateway.

/// PostgreSQL's bootstrap superuser: here the owner of everything.
pub const OWNER: u32 = 10;
pub const PG_CATALOG: u32 = 11;
/// Of the function schema `omnigraph`.
pub const OMNIGRAPH: u32 = 16_380;
pub const VECTOR_EXTENSION: u32 = 16_000;
/// Objects of PostgreSQL and of the `vector` extension have lower ones than databases.
pub const VECTOR_OBJECTS: std::ops::Range<u32> = 16_001..16_380;
pub const HNSW: u32 = 16_003;
pub const IVFFLAT: u32 = 16_004;
pub const FIRST_FUNCTION: u32 = 20_000;
pub const FIRST_OPERATOR: u32 = 30_000;
pub const FIRST_CAST: u32 = 35_000;
pub const FIRST_STORED_QUERY: u32 = 36_000;
pub const FIRST_ROLE: u32 = 40_000;
pub const LAST_ROLE: u32 = 65_535;

const BLOCK: u32 = 65_536;
const BLOCKS: u64 = 65_000;
const SLOTS_PER_TYPE: u32 = 64;
/// Above every block.
pub const FIRST_OVERFLOW: u32 = (BLOCKS as u32 + 1) * BLOCK;

/// Marks an OID in a shared segment as an object of the branch that shows the segment.
pub const OWN: u32 = 0x8000_0000;
/// The slot of the branch's namespace.
pub const NAMESPACE: u32 = OWN;

/// Objects of one type, by their place among its slots.
pub mod place {
    pub const CLASS: u32 = 0;
    pub const ROW_TYPE: u32 = 1;
    pub const ARRAY_TYPE: u32 = 2;
    pub const PRIMARY_INDEX: u32 = 3;
    pub const PRIMARY_CONSTRAINT: u32 = 4;
    /// Indexes, constraints in declaration order.
    pub const FIRST_OTHER: u32 = 5;
    /// Defaults, downwards.
    pub const LAST: u32 = 63;
}

/// Gives out the slots of one schema. An object that does not fit, because its type has more
/// than 64 or a number beyond 1,022, gets a slot in the overflow, where OIDs are unique but
/// move when the schema changes.
#[derive(Debug, Default)]
pub struct Slots {
    overflow: u32,
}

impl Slots {
    /// Of the property graph, in the branch's own part of its block.
    pub const GRAPH: u32 = OWN | 1;

    /// A marked slot, to be relocated by [`Block::relocate`].
    pub fn of(&mut self, number: u32, place: u32) -> u32 {
        let slot = number
            .checked_add(1)
            .and_then(|number| number.checked_mul(SLOTS_PER_TYPE))
            .and_then(|first| first.checked_add(place))
            .filter(|slot| place < SLOTS_PER_TYPE && *slot < BLOCK);
        match slot {
            Some(slot) => OWN | slot,
            None => self.overflowing(),
        }
    }

    pub fn overflowing(&mut self) -> u32 {
        self.overflow += 1;
        OWN | (BLOCK + self.overflow - 1)
    }

    pub fn overflow(&self) -> u32 {
        self.overflow
    }
}

/// Which block an OID lies in, if it lies in one.
pub fn block_number(oid: u32) -> u32 {
    oid / BLOCK
}

/// Where a branch's objects lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Block {
    base: u32,
    overflow: u32,
    overflow_len: u32,
}

impl Block {
    /// From a marked slot to an OID; other OIDs stay as they are.
    pub fn relocate(self, oid: u32) -> u32 {
        if oid & OWN == 0 {
            return oid;
        }
        match oid & !OWN {
            slot if slot < BLOCK => self.base + slot,
            slot => self.overflow + (slot - BLOCK),
        }
    }

    /// The marked slot of an OID, if it lies in this block.
    pub fn slot(self, oid: u32) -> Option<u32> {
        if (self.base..=self.base + (BLOCK - 1)).contains(&oid) {
            Some(OWN | (oid - self.base))
        } else if oid >= self.overflow && oid - self.overflow < self.overflow_len {
            Some(OWN | (oid - self.overflow + BLOCK))
        } else {
            None
        }
    }

    pub fn namespace(self) -> u32 {
        self.base
    }
}

/// Places branches. Two live branches whose ordinals differ by a multiple of 65,000 would want
/// one block; the one that is listed first has it and the other takes the next free one.
#[derive(Debug)]
pub struct Blocks {
    taken: std::collections::HashSet<u32>,
    next_overflow: u32,
}

impl Default for Blocks {
    fn default() -> Self {
        Blocks {
            taken: std::collections::HashSet::new(),
            next_overflow: FIRST_OVERFLOW,
        }
    }
}

impl Blocks {
    /// `None` when all 65,000 blocks, or the overflow, are in use.
    pub fn place(&mut self, ordinal: u64, overflow_len: u32) -> Option<Block> {
        let first = ordinal % BLOCKS;
        let base = (0..BLOCKS)
            .map(|step| (first + step) % BLOCKS)
            .filter_map(|block| u32::try_from(block).ok())
            .map(|block| BLOCK + block * BLOCK)
            .find(|base| !self.taken.contains(base))?;
        let end = self.next_overflow.checked_add(overflow_len)?;
        self.taken.insert(base);
        let overflow = std::mem::replace(&mut self.next_overflow, end);
        Some(Block {
            base,
            overflow,
            overflow_len,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_the_oid_that_the_formula_says() {
        let mut slots = Slots::default();
        let block = Blocks::default().place(3, 0).expect("free");
        assert_eq!(
            block.relocate(slots.of(7, 2)),
            65_536 + 3 * 65_536 + 64 + 7 * 64 + 2
        );
        assert_eq!(block.relocate(NAMESPACE), 65_536 + 3 * 65_536);
        assert_eq!(slots.overflow(), 0);
    }

    #[test]
    fn what_does_not_fit_overflows_and_comes_back() {
        let mut slots = Slots::default();
        let wide = slots.of(0, 64);
        let late = slots.of(1_023, 0);
        assert_eq!(slots.overflow(), 2);
        let mut blocks = Blocks::default();
        let first = blocks.place(0, slots.overflow()).expect("free");
        let second = blocks.place(1, slots.overflow()).expect("free");
        let mut seen: Vec<u32> = [first, second]
            .iter()
            .flat_map(|block| [block.relocate(wide), block.relocate(late)])
            .collect();
        assert_eq!(second.slot(seen[3]), Some(late));
        assert_eq!(first.slot(seen[3]), None);
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 4);
    }

    #[test]
    fn branches_whose_ordinals_meet_get_different_blocks() {
        let mut blocks = Blocks::default();
        let one = blocks.place(5, 0).expect("free");
        let other = blocks.place(5 + BLOCKS, 0).expect("free");
        assert_ne!(one.namespace(), other.namespace());
    }

    #[test]
    fn the_last_block_ends_below_the_overflow() {
        let last = Blocks::default().place(BLOCKS - 1, 0).expect("free");
        assert!(last.base + (BLOCK - 1) < FIRST_OVERFLOW);
        assert_eq!(last.slot(last.base + 65_535), Some(OWN | 65_535));
        assert_eq!(last.relocate(25), 25);
    }
}
