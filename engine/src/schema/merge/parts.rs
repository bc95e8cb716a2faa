//! What three states make of one value, of one property and of one interface.

use std::collections::{BTreeMap, BTreeSet};

use super::Side;
use super::model::{Interface, Property};
use crate::schema::PropertyType;

/// A definition in the bases and on both sides.
pub(super) struct Three<'a, D> {
    pub bases: Vec<Option<&'a D>>,
    pub ours: &'a D,
    pub theirs: &'a D,
    pub choose: Option<Side>,
}

/// What three states make of a value; `None`: the two sides gave it different ones. Bases that
/// differ among themselves are none.
pub(super) fn three_way<T: PartialEq>(bases: &[T], ours: T, theirs: T) -> Option<T> {
    if ours == theirs {
        return Some(ours);
    }
    let first = bases.first()?;
    if bases.iter().any(|base| base != first) {
        None
    } else if theirs == *first {
        Some(ours)
    } else if ours == *first {
        Some(theirs)
    } else {
        None
    }
}

impl<'a, D> Three<'a, D> {
    pub fn base(&self) -> Option<&'a D> {
        self.bases.iter().copied().flatten().next()
    }

    /// Is it for a person to decide?
    pub fn is_open(&self) -> bool {
        self.choose.is_none()
    }

    /// A part of the definition. Where the sides differ, it is the chosen side's.
    pub fn pick<T: PartialEq>(&self, clash: &mut bool, of: impl Fn(&D) -> T) -> T {
        let bases = self.bases.iter();
        let bases: Vec<Option<T>> = bases.map(|base| base.map(&of)).collect();
        let (ours, theirs) = (of(self.ours), of(self.theirs));
        match three_way(&bases, Some(ours), Some(theirs)).flatten() {
            Some(value) => value,
            None => {
                *clash = true;
                match self.choose {
                    Some(Side::Theirs) => of(self.theirs),
                    _ => of(self.ours),
                }
            }
        }
    }

    /// A set, element by element.
    pub fn pick_each<T: Ord + Clone>(
        &self,
        clash: &mut bool,
        of: impl Fn(&D) -> &BTreeSet<T>,
    ) -> BTreeSet<T> {
        let all: BTreeSet<&T> = of(self.ours).union(of(self.theirs)).collect();
        let held = all
            .into_iter()
            .filter(|element| self.pick(clash, |side| of(side).contains(element)));
        held.cloned().collect()
    }

    /// A map, key by key.
    pub fn pick_by_name<K: Ord + Clone, V: PartialEq + Clone>(
        &self,
        clash: &mut bool,
        of: impl Fn(&D) -> &BTreeMap<K, V>,
    ) -> BTreeMap<K, V> {
        let keys: BTreeSet<&K> = of(self.ours).keys().chain(of(self.theirs).keys()).collect();
        let held = keys.into_iter().filter_map(|key| {
            let value = self.pick(clash, |side| of(side).get(key).cloned());
            value.map(|value| (key.clone(), value))
        });
        held.collect()
    }
}

/// A property that both sides have; and do they disagree?
pub(super) fn property(three: &Three<'_, Property>) -> (Property, bool) {
    let mut clash = false;
    let mut typed = false;
    let ty = three.pick(&mut typed, |side| side.ty.clone());
    let ty = match (three.base(), &three.ours.ty, &three.theirs.ty) {
        // Enums are only ever widened: both sides' words are wanted.
        (Some(_), PropertyType::Enum(ours), PropertyType::Enum(theirs)) if typed => {
            let added = theirs.iter().filter(|word| !ours.contains(word));
            PropertyType::Enum(ours.iter().chain(added).cloned().collect())
        }
        _ => {
            clash |= typed;
            ty
        }
    };
    let merged = Property {
        name: three.pick(&mut clash, |side| side.name.clone()),
        sql: three.pick(&mut clash, |side| side.sql.clone()),
        ty,
        nullable: three.pick(&mut clash, |side| side.nullable),
        default: three.pick(&mut clash, |side| side.default.clone()),
        annotations: three.pick_by_name(&mut clash, |side| &side.annotations),
    };
    (merged, clash)
}

type Named = (String, Interface);

/// Interfaces that the sides disagree about, in base, ours and theirs.
type Disagreement = (String, [Option<Interface>; 3]);

/// Interfaces, and their properties, are known by name.
pub(super) fn interfaces(
    bases: &[Vec<Named>],
    ours: &[Named],
    theirs: &[Named],
    choose: Option<Side>,
) -> (Vec<Named>, Vec<Disagreement>) {
    fn named<'a>(all: &'a [Named], name: &str) -> Option<&'a Interface> {
        all.iter()
            .find(|(known, _)| known == name)
            .map(|(_, interface)| interface)
    }
    let added = theirs
        .iter()
        .filter(|(name, _)| named(ours, name).is_none());
    let (mut merged, mut conflicts) = (Vec::new(), Vec::new());
    for (name, _) in ours.iter().chain(added) {
        let (mine, other) = (named(ours, name), named(theirs, name));
        let bases: Vec<Option<&Interface>> = bases.iter().map(|base| named(base, name)).collect();
        let base = bases.iter().copied().flatten().next();
        let (interface, clash) = match (three_way(&bases, mine, other), mine, other) {
            (Some(one), ..) => (one.cloned(), false),
            (None, Some(mine), Some(other)) => {
                let (interface, clash) = interface(&Three {
                    bases,
                    ours: mine,
                    theirs: other,
                    choose,
                });
                (Some(interface), clash)
            }
            (None, ..) => match choose {
                Some(Side::Theirs) => (other.cloned(), true),
                _ => (mine.cloned(), true),
            },
        };
        if clash && choose.is_none() {
            let states = [base, mine, other].map(Option::<&Interface>::cloned);
            conflicts.push((name.clone(), states));
        }
        merged.extend(interface.map(|interface| (name.clone(), interface)));
    }
    (merged, conflicts)
}

fn interface(three: &Three<'_, Interface>) -> (Interface, bool) {
    let mut clash = false;
    let annotations = three.pick_by_name(&mut clash, |side| &side.annotations);
    let added = three.theirs.properties.iter();
    let added = added.filter(|(name, _)| three.ours.get(name).is_none());
    let mut properties = Vec::new();
    for (name, _) in three.ours.properties.iter().chain(added) {
        let (ours, theirs) = (three.ours.get(name), three.theirs.get(name));
        let bases = three.bases.iter();
        let bases: Vec<Option<&Property>> = bases
            .map(|base| base.and_then(|base| base.get(name)))
            .collect();
        let held = match (three_way(&bases, ours, theirs), ours, theirs) {
            (Some(one), ..) => one.cloned(),
            (None, Some(ours), Some(theirs)) => {
                let (held, differs) = property(&Three {
                    bases,
                    ours,
                    theirs,
                    choose: three.choose,
                });
                clash |= differs;
                Some(held)
            }
            (None, ..) => {
                clash = true;
                match three.choose {
                    Some(Side::Theirs) => theirs.cloned(),
                    _ => ours.cloned(),
                }
            }
        };
        properties.extend(held.map(|held| (name.clone(), held)));
    }
    let merged = Interface {
        annotations,
        properties,
    };
    (merged, clash)
}
