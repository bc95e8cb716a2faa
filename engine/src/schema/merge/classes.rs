//! Which identities are of the same thing.
//!
//! What both sides of a merge declared alike has two identities. The merged schema keeps one and
//! notes the other as an alias, so that the two remain one thing in later merges.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::schema::Schema;

#[derive(Debug, Clone)]
pub(super) struct Classes {
    /// By identity: the class, which is one of its members.
    class: HashMap<u64, u64>,
    members: HashMap<u64, Vec<u64>>,
    /// The identities of each schema: ours, theirs and the bases.
    held: Vec<HashSet<u64>>,
}

impl Classes {
    pub fn new(ours: &Schema, theirs: &Schema, bases: &[&Schema]) -> Classes {
        let all = || [ours, theirs].into_iter().chain(bases.iter().copied());
        let mut classes = Classes {
            class: HashMap::new(),
            members: HashMap::new(),
            held: all().map(|schema| identities(schema).collect()).collect(),
        };
        for schema in all() {
            for (&alias, &identity) in &schema.aliases {
                classes.join(alias, identity);
            }
        }
        classes
    }

    pub fn of(&self, id: u64) -> u64 {
        self.class.get(&id).copied().unwrap_or(id)
    }

    /// They are one thing from here on, unless some schema has them as two.
    pub fn join(&mut self, left: u64, right: u64) {
        let (left, right) = (self.of(left), self.of(right));
        let (one, other) = (self.members(left), self.members(right));
        let apart = self.held.iter().any(|held| {
            let holds = |members: &[u64]| members.iter().any(|id| held.contains(id));
            holds(&one) && holds(&other)
        });
        if left == right || apart {
            return;
        }
        for id in &other {
            self.class.insert(*id, left);
        }
        self.members.remove(&right);
        self.members.insert(left, [one, other].concat());
    }

    /// The identity that the merged schema has of a class: the target's, if it has one.
    pub fn identity(&self, class: u64) -> u64 {
        let members = self.members(class);
        let of = |held: &HashSet<u64>| members.iter().find(|id| held.contains(id)).copied();
        self.held.iter().find_map(of).unwrap_or(class)
    }

    /// The other identities of what the merged schema holds.
    pub fn aliases(&self, held: impl Iterator<Item = u64>) -> BTreeMap<u64, u64> {
        let mut aliases = BTreeMap::new();
        for class in held {
            let identity = self.identity(class);
            for member in self.members(class) {
                if member != identity {
                    aliases.insert(member, identity);
                }
            }
        }
        aliases
    }

    /// Every identity that is in use.
    pub fn used(&self) -> HashSet<u64> {
        let known = self.class.keys().copied();
        known.chain(self.held.iter().flatten().copied()).collect()
    }

    fn members(&self, class: u64) -> Vec<u64> {
        let members = self.members.get(&class);
        members.cloned().unwrap_or_else(|| vec![class])
    }
}

/// Of types and properties.
pub(super) fn identities(schema: &Schema) -> impl Iterator<Item = u64> + '_ {
    schema.types.iter().flat_map(|def| {
        let properties = def.properties.iter().map(|property| property.id.0);
        std::iter::once(def.id.0).chain(properties)
    })
}
