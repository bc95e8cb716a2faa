//! Where the identities of types and properties come from.

use rand::RngCore;

use super::{PropertyId, TypeId};

/// Hands out random numbers. The engine takes chance from its caller only, so that a test
/// can repeat a run.
pub trait IdSource {
    fn next_id(&mut self) -> u64;
}

/// Numbers from the system's random source.
#[derive(Debug, Default, Clone, Copy)]
pub struct RandomIds;

impl IdSource for RandomIds {
    fn next_id(&mut self) -> u64 {
        rand::rng().next_u64()
    }
}

/// Numbers from a seed, the same ones each time.
#[derive(Debug, Clone)]
pub struct SeededIds(pub u64);

impl IdSource for SeededIds {
    /// SplitMix64: equidistributed over 64 bits, so it repeats only after all of them.
    fn next_id(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

/// Identities are written as 16 hex digits: few JSON readers hold 64 bits.
macro_rules! written_as_hex {
    ($($identity:ty),*) => {$(
        impl serde::Serialize for $identity {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&format_args!("{:016x}", self.0))
            }
        }

        impl<'de> serde::Deserialize<'de> for $identity {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                u64::from_str_radix(&text, 16)
                    .map(Self)
                    .map_err(serde::de::Error::custom)
            }
        }
    )*};
}

written_as_hex!(TypeId, PropertyId);
