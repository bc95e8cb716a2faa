//! Three schemas → one: what two sides made of what they began from, part by part.
//!
//! Types and properties are known by their identities, so a rename is a change of the name and
//! nothing else. What one side left as the base has it is taken from the other; what both gave
//! the same definition has it; what they gave different ones is a conflict. What both added
//! under one name with one definition is one thing from then on. Pure: rows are not looked at.
//!
//! The merged schema is `.pg` text again. A declaration that one side has just so is taken as
//! it is written there, comments and all; one that both have changed is written anew.

mod classes;
mod compose;
mod model;
mod parts;
mod text;

use std::collections::BTreeSet;

use self::classes::{Classes, identities};
use self::model::{Edge, Interface, Member, Model, Properties, Property, Type};
use self::parts::{Three, three_way};
use super::ids::IdSource;
use super::{Schema, TypeId};

/// What the sides cannot both have. Definitions are given as they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SchemaConflict {
    /// The SQL name of the table; of an interface, its name.
    pub table: String,
    /// The SQL name of the column.
    pub property: Option<String>,
    pub base: Option<String>,
    pub ours: Option<String>,
    pub theirs: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Ours,
    Theirs,
}

/// Why three schemas make none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    Conflicts(Vec<SchemaConflict>),
    /// What is right on each side is wrong together: two types with one SQL name, perhaps.
    Together(String),
}

/// The schema of the merged state. Its identities are those of `ours`, where that has one.
/// With a side to `choose`, conflicts remain only where that side cannot be had.
pub(crate) fn merge(
    bases: &[&Schema],
    ours: &Schema,
    theirs: &Schema,
    choose: Option<Side>,
    ids: &mut dyn IdSource,
) -> Result<Schema, Refused> {
    let same = |left: &Schema, right: &Schema| left.digest() == right.digest();
    let as_base = |side: &Schema| bases.iter().all(|base| same(base, side));
    if same(ours, theirs) || as_base(theirs) {
        return Ok(ours.clone());
    }
    let renamed = || identities(ours).any(|id| theirs.aliases.contains_key(&id));
    if as_base(ours) && !renamed() {
        return Ok(theirs.clone());
    }
    let mut classes = Classes::new(ours, theirs, bases);
    unify(&mut classes, bases, ours, theirs);
    let mut merger = Merger {
        bases: bases.iter().map(|base| Model::of(base, &classes)).collect(),
        ours: Model::of(ours, &classes),
        theirs: Model::of(theirs, &classes),
        choose,
        conflicts: Vec::new(),
    };
    let types = merger.types();
    let interfaces = merger.interfaces(bases, ours, theirs);
    if !merger.conflicts.is_empty() {
        return Err(Refused::Conflicts(merger.conflicts));
    }
    let parts = compose::Parts {
        types: &types,
        interfaces: &interfaces,
        classes: &classes,
        sides: [(ours, &merger.ours), (theirs, &merger.theirs)],
    };
    parts.composed(ids).map_err(Refused::Together)
}

/// Joins what both sides added alike.
fn unify(classes: &mut Classes, bases: &[&Schema], ours: &Schema, theirs: &Schema) {
    let known: BTreeSet<u64> = bases
        .iter()
        .flat_map(|base| identities(base))
        .map(|id| classes.of(id))
        .collect();
    // Edges end at node types: those come first.
    for mine in ours.nodes().chain(ours.edges()) {
        let class = |id: TypeId| classes.of(id.0);
        let mut known_there = theirs.types.iter();
        let same = known_there.find(|other| class(other.id) == class(mine.id));
        let Some(other) = same.or_else(|| theirs.by_name(&mine.name)) else {
            continue;
        };
        let (left, right) = (classes.of(mine.id.0), classes.of(other.id.0));
        let mut tried = classes.clone();
        tried.join(left, right);
        for (at, property) in mine.properties.iter().enumerate() {
            let Some((number, same)) = other.property(&property.name) else {
                continue;
            };
            let new = |id: u64| !known.contains(&classes.of(id));
            if new(property.id.0)
                && new(same.id.0)
                && Property::of(mine, at, property) == Property::of(other, number, same)
            {
                tried.join(property.id.0, same.id.0);
            }
        }
        let added = !known.contains(&left) && !known.contains(&right);
        let alike = || Type::of(mine, &tried) == Type::of(other, &tried);
        if left == right || (added && alike()) {
            *classes = tried;
        }
    }
}

struct Merger {
    bases: Vec<Model>,
    ours: Model,
    theirs: Model,
    choose: Option<Side>,
    conflicts: Vec<SchemaConflict>,
}

impl Merger {
    /// The merged types by their classes: ours in their order, then what theirs adds.
    fn types(&mut self) -> Vec<(u64, Type)> {
        let mut classes: Vec<u64> = self.ours.iter().map(|(class, _)| class).collect();
        let mine: BTreeSet<u64> = classes.iter().copied().collect();
        let added = self.theirs.iter().map(|(class, _)| class);
        classes.extend(added.filter(|class| !mine.contains(class)));
        let mut merged = Vec::with_capacity(classes.len());
        for class in classes {
            let (ours, theirs) = (self.ours.get(class), self.theirs.get(class));
            let (ours, theirs) = (ours.cloned(), theirs.cloned());
            let bases: Vec<Option<Type>> = self
                .bases
                .iter()
                .map(|base| base.get(class).cloned())
                .collect();
            let bases: Vec<Option<&Type>> = bases.iter().map(Option::as_ref).collect();
            let ty = match three_way(&bases, ours.as_ref(), theirs.as_ref()) {
                Some(one) => one.cloned(),
                None => match (&ours, &theirs) {
                    (Some(ours), Some(theirs)) => {
                        let three = Three {
                            bases,
                            ours,
                            theirs,
                            choose: self.choose,
                        };
                        Some(self.both(&three))
                    }
                    _ => self.dropped_and_changed(&bases, ours.as_ref(), theirs.as_ref()),
                },
            };
            merged.extend(ty.map(|ty| (class, ty)));
        }
        self.one_type_for_a_name(&mut merged);
        self.nodes_of_edges(&mut merged);
        merged
    }

    /// One side dropped a type, the other changed its definition. Whoever has it can be chosen,
    /// and whoever has not.
    fn dropped_and_changed(
        &mut self,
        bases: &[Option<&Type>],
        ours: Option<&Type>,
        theirs: Option<&Type>,
    ) -> Option<Type> {
        match self.choose {
            Some(Side::Ours) => ours.cloned(),
            Some(Side::Theirs) => theirs.cloned(),
            None => {
                let base = bases.iter().copied().flatten().next();
                self.type_conflict([base, ours, theirs]);
                ours.or(theirs).cloned()
            }
        }
    }

    /// Both sides have the type, with different definitions.
    fn both(&mut self, three: &Three<'_, Type>) -> Type {
        let mut clash = false;
        let mut merged = Type {
            name: three.pick(&mut clash, |ty| ty.name.clone()),
            sql: three.pick(&mut clash, |ty| ty.sql.clone()),
            edge: three.ours.edge.map(|edge| Edge {
                card: three.pick(&mut clash, |ty| ty.edge.map_or(edge.card, |edge| edge.card)),
                ..edge
            }),
            interfaces: three.pick_each(&mut clash, |ty| &ty.interfaces),
            annotations: three.pick_by_name(&mut clash, |ty| &ty.annotations),
            key: three.ours.key.clone(),
            uniques: three.pick_each(&mut clash, |ty| &ty.uniques),
            indexes: three.pick_by_name(&mut clash, |ty| &ty.indexes),
            properties: Properties::default(),
        };
        // Neither a key nor an edge's ends ever change.
        let ends = |ty: &Type| ty.edge.map(|edge| (edge.from, edge.to));
        clash |= three.ours.key != three.theirs.key || ends(three.ours) != ends(three.theirs);
        if clash && three.is_open() {
            self.type_conflict([three.base(), Some(three.ours), Some(three.theirs)]);
        }
        merged.properties = self.properties(three);
        self.members_of_rules(&mut merged, three);
        merged
    }

    fn properties(&mut self, three: &Three<'_, Type>) -> Properties {
        let (ours, theirs) = (&three.ours.properties, &three.theirs.properties);
        let added = theirs.iter().map(|(class, _)| class);
        let added = added.filter(|class| ours.get(*class).is_none());
        let classes: Vec<u64> = ours.iter().map(|(class, _)| class).chain(added).collect();
        let mut merged = Vec::with_capacity(classes.len());
        for class in classes {
            let (mine, other) = (ours.get(class), theirs.get(class));
            let bases = three.bases.iter();
            let bases: Vec<Option<&Property>> = bases
                .map(|base| base.and_then(|base| base.properties.get(class)))
                .collect();
            let property = match (three_way(&bases, mine, other), mine, other) {
                (Some(one), ..) => one.cloned(),
                (None, Some(mine), Some(other)) => {
                    let (property, clash) = parts::property(&Three {
                        bases: bases.clone(),
                        ours: mine,
                        theirs: other,
                        choose: three.choose,
                    });
                    if clash && three.is_open() {
                        let base = bases.iter().copied().flatten().next();
                        self.property_conflict(three.ours, [base, Some(mine), Some(other)]);
                    }
                    Some(property)
                }
                (None, ..) => {
                    // What ours dropped has no values there: it cannot be had again.
                    let kept = match (three.choose, mine) {
                        (Some(Side::Ours), _) => mine,
                        (Some(Side::Theirs), Some(_)) => None,
                        _ => {
                            let base = bases.iter().copied().flatten().next();
                            self.property_conflict(three.ours, [base, mine, other]);
                            mine.or(other)
                        }
                    };
                    kept.cloned()
                }
            };
            merged.extend(property.map(|property| (class, property)));
        }
        self.one_property_for_a_name(three, &mut merged);
        Properties(merged)
    }

    /// Two properties, one of each side, must not have one name.
    fn one_property_for_a_name(
        &mut self,
        three: &Three<'_, Type>,
        merged: &mut Vec<(u64, Property)>,
    ) {
        let is_old = |class: u64| {
            let mut bases = three.bases.iter().flatten();
            bases.any(|base| base.properties.get(class).is_some())
        };
        let in_ours = |class: u64| {
            let held = three.ours.properties.get(class);
            held.map(|property| property.name.clone())
        };
        for (one, other) in same_names(merged, |property| &property.name, in_ours) {
            match loser(self.choose, one, other, &is_old) {
                Some(loser) => merged.retain(|(class, _)| *class != loser),
                None => {
                    let ours = three.ours.properties.get(one);
                    let theirs = three.theirs.properties.get(other);
                    self.property_conflict(three.ours, [None, ours, theirs]);
                }
            }
        }
    }

    /// As for properties, of types.
    fn one_type_for_a_name(&mut self, merged: &mut Vec<(u64, Type)>) {
        let in_ours = |class: u64| self.ours.get(class).map(|ty| ty.name.clone());
        for (one, other) in same_names(merged, |ty| &ty.name, in_ours) {
            let is_old = |class: u64| self.bases.iter().any(|base| base.get(class).is_some());
            match loser(self.choose, one, other, &is_old) {
                Some(loser) => merged.retain(|(class, _)| *class != loser),
                None => {
                    let (ours, theirs) = (self.ours.get(one), self.theirs.get(other));
                    let (ours, theirs) = (ours.cloned(), theirs.cloned());
                    self.type_conflict([None, ours.as_ref(), theirs.as_ref()]);
                }
            }
        }
    }

    /// The node types that edge types of one side need, the other side may have dropped.
    fn nodes_of_edges(&mut self, merged: &mut Vec<(u64, Type)>) {
        let nodes: BTreeSet<u64> = merged.iter().map(|(class, _)| *class).collect();
        let lacking: Vec<u64> = merged
            .iter()
            .filter_map(|(class, ty)| ty.edge.map(|edge| (*class, edge)))
            .filter(|(_, edge)| !nodes.contains(&edge.from) || !nodes.contains(&edge.to))
            .map(|(class, _)| class)
            .collect();
        for class in lacking {
            let base = self.bases.iter().find_map(|base| base.get(class)).cloned();
            let (ours, theirs) = (self.ours.get(class), self.theirs.get(class));
            let (ours, theirs) = (ours.cloned(), theirs.cloned());
            let held_by_chosen = match self.choose {
                None => true,
                Some(Side::Ours) => ours.is_some(),
                Some(Side::Theirs) => theirs.is_some(),
            };
            if held_by_chosen {
                self.type_conflict([base.as_ref(), ours.as_ref(), theirs.as_ref()]);
            }
            merged.retain(|(held, _)| *held != class);
        }
    }

    /// What rules of one side name, the other side may have dropped.
    fn members_of_rules(&mut self, merged: &mut Type, three: &Three<'_, Type>) {
        let properties = merged.properties.clone();
        let lost = |columns: &[Member]| {
            columns.iter().find_map(|member| match member {
                Member::Property(class) if properties.get(*class).is_none() => Some(*class),
                _ => None,
            })
        };
        let mut broken: Vec<(u64, [Option<String>; 2])> = Vec::new();
        merged.uniques.retain(|columns| {
            let Some(class) = lost(columns) else {
                return true;
            };
            let of = |ty: &Type| {
                let has = ty.uniques.contains(columns);
                has.then(|| text::unique(ty, columns))
            };
            broken.push((class, [of(three.ours), of(three.theirs)]));
            false
        });
        merged.indexes.retain(|columns, _| {
            let Some(class) = lost(columns) else {
                return true;
            };
            let of = |ty: &Type| {
                let options = ty.indexes.get(columns)?;
                Some(text::index(ty, columns, options))
            };
            broken.push((class, [of(three.ours), of(three.theirs)]));
            false
        });
        for (class, [ours, theirs]) in broken {
            let held_by_chosen = match three.choose {
                None => true,
                Some(Side::Ours) => ours.is_some(),
                Some(Side::Theirs) => theirs.is_some(),
            };
            if !held_by_chosen {
                continue;
            }
            let mut bases = three.bases.iter().flatten();
            let base = bases.find_map(|base| base.properties.get(class));
            self.conflicts.push(SchemaConflict {
                table: compose::table(three.ours),
                property: base.map(compose::column),
                base: base.map(text::property),
                ours,
                theirs,
            });
        }
    }

    /// Of base, ours and theirs.
    fn type_conflict(&mut self, states: [Option<&Type>; 3]) {
        let [base, ours, theirs] = states;
        let Some(some) = ours.or(theirs).or(base) else {
            return;
        };
        let named = |class: u64| {
            let models = [&self.ours, &self.theirs].into_iter().chain(&self.bases);
            let mut found = models.filter_map(|model| model.get(class));
            found.next().map_or_else(String::new, |ty| ty.name.clone())
        };
        // Both added it: all of it matters.
        let whole = base.is_none() && ours.is_some() && theirs.is_some();
        let told = |ty: &Type| match whole {
            true => text::declaration(ty, &named),
            false => text::head(ty, &named),
        };
        let conflict = SchemaConflict {
            table: compose::table(some),
            property: None,
            base: base.map(told),
            ours: ours.map(told),
            theirs: theirs.map(told),
        };
        // Edge types that differ in nothing but the node types of one name: those are told.
        if !whole || conflict.ours != conflict.theirs {
            self.conflicts.push(conflict);
        }
    }

    fn property_conflict(&mut self, ty: &Type, states: [Option<&Property>; 3]) {
        let [base, ours, theirs] = states;
        let some = ours.or(theirs).or(base);
        self.conflicts.push(SchemaConflict {
            table: compose::table(ty),
            property: some.map(compose::column),
            base: base.map(text::property),
            ours: ours.map(text::property),
            theirs: theirs.map(text::property),
        });
    }

    /// The merged interfaces, by name: ours, then what theirs adds.
    fn interfaces(
        &mut self,
        bases: &[&Schema],
        ours: &Schema,
        theirs: &Schema,
    ) -> Vec<(String, Interface)> {
        let bases: Vec<_> = bases.iter().map(|base| Interface::all(base)).collect();
        let (ours, theirs) = (Interface::all(ours), Interface::all(theirs));
        let (merged, conflicts) = parts::interfaces(&bases, &ours, &theirs, self.choose);
        for (name, states) in conflicts {
            let [base, ours, theirs] = states
                .map(|interface| interface.map(|interface| text::interface(&name, &interface)));
            self.conflicts.push(SchemaConflict {
                table: name,
                property: None,
                base,
                ours,
                theirs,
            });
        }
        merged
    }
}

/// Pairs that have one name, first the one that has it in ours.
fn same_names<T>(
    all: &[(u64, T)],
    name: fn(&T) -> &String,
    in_ours: impl Fn(u64) -> Option<String>,
) -> Vec<(u64, u64)> {
    let mut pairs = Vec::new();
    for (at, (one, left)) in all.iter().enumerate() {
        let mut others = all[at + 1..].iter();
        if let Some((other, _)) = others.find(|(_, right)| name(left) == name(right)) {
            let is_ours = in_ours(*one).as_ref() == Some(name(left));
            pairs.push(if is_ours {
                (*one, *other)
            } else {
                (*other, *one)
            });
        }
    }
    pairs
}

/// Which of two things with one name is left out: what the side that was not chosen has added.
/// `one` is of ours, `other` of theirs.
fn loser(choose: Option<Side>, one: u64, other: u64, is_old: &dyn Fn(u64) -> bool) -> Option<u64> {
    let loser = match choose? {
        Side::Ours => other,
        Side::Theirs => one,
    };
    (!is_old(loser)).then_some(loser)
}
