//! What is left of a schema when some types and properties are hidden: a schema of its own,
//! from which nothing tells that there is more.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::assemble::shape;
use super::columns::{arrow_schema_of, columns_of};
use super::patterns::Patterns;
use super::{Check, Index, Interface, Schema, TypeDef, TypeId, Unique};

/// The properties of a type that are left, as positions; `None`: all.
type Kept = Option<BTreeSet<usize>>;

impl Schema {
    /// The types in `kept` with their kept properties. Edge types of which an end is hidden are
    /// hidden themselves. `name` tells the part from others of the same schema.
    pub(crate) fn part(&self, name: &str, kept: &HashMap<TypeId, Kept>) -> Schema {
        let is_kept = |def: &&Arc<TypeDef>| {
            let ends = def.endpoints();
            let ends = ends.into_iter().flat_map(|(from, to)| [from, to]);
            std::iter::once(def.id)
                .chain(ends)
                .all(|id| kept.contains_key(&id))
        };
        let types: Vec<Arc<TypeDef>> = self
            .types
            .iter()
            .filter(is_kept)
            .map(|def| match kept.get(&def.id) {
                Some(Some(properties)) => Arc::new(def.part(properties)),
                _ => Arc::clone(def),
            })
            .collect();
        let position = |key: fn(&TypeDef) -> String| -> HashMap<String, usize> {
            let keys = types.iter().map(|def| key(def));
            keys.zip(0..).collect()
        };
        Schema {
            source: String::new(),
            by_table: position(|def| def.table.clone()),
            by_name: position(|def| def.name.clone()),
            by_id: types.iter().map(|def| def.id).zip(0..).collect(),
            interfaces: self.interfaces_of(&types),
            next_number: self.next_number,
            aliases: self.aliases.clone(),
            digest: format!("{}/{name}", self.digest),
            types,
        }
    }

    /// The interfaces that some of the types implement, with the properties that all of those
    /// have.
    fn interfaces_of(&self, types: &[Arc<TypeDef>]) -> Vec<Interface> {
        let left = self.interfaces.iter().filter_map(|interface| {
            let mut own = types
                .iter()
                .filter(|def| def.interfaces.contains(&interface.name))
                .peekable();
            own.peek()?;
            let own: Vec<_> = own.collect();
            let mut properties = interface.properties.clone();
            properties.retain(|name| own.iter().all(|def| def.property(name).is_some()));
            Some(Interface {
                properties,
                ..interface.clone()
            })
        });
        left.collect()
    }
}

impl TypeDef {
    /// The type with some of its properties, and of its rules those that need no other.
    fn part(&self, kept: &BTreeSet<usize>) -> TypeDef {
        let own = self.property_column(0);
        let property = |at: &usize| kept.iter().position(|held| held == at);
        let properties = |all: &[usize]| all.iter().map(property).collect::<Option<Vec<_>>>();
        let column = |at: &usize| match at.checked_sub(own) {
            None => Some(*at),
            Some(held) => property(&held).map(|held| held + own),
        };
        let columns = |all: &[usize]| all.iter().map(column).collect::<Option<Vec<_>>>();
        let uniques = self.uniques.iter().filter_map(|unique| {
            Some(Unique {
                name: unique.name.clone(),
                columns: columns(&unique.columns)?,
                properties: properties(&unique.properties)?,
            })
        });
        let checks = self.checks.iter().filter_map(|check| {
            Some(Check {
                property: property(&check.property)?,
                ..check.clone()
            })
        });
        let indexes = self.indexes.iter().filter_map(|index| {
            Some(Index {
                columns: columns(&index.columns)?,
                properties: properties(&index.properties)?,
                ..index.clone()
            })
        });
        let key = properties(&self.key).unwrap_or_default();
        let mut constraints = self.constraints.clone();
        if key.is_empty() {
            (constraints.key, constraints.id_is_key) = (None, None);
        }
        let left: Vec<_> = kept
            .iter()
            .filter_map(|at| self.properties.get(*at).cloned())
            .collect();
        let columns = columns_of(self.is_edge(), &left);
        let mut part = TypeDef {
            key,
            uniques: uniques.collect(),
            checks: checks.collect(),
            indexes: indexes.collect(),
            constraints,
            arrow: arrow_schema_of(&columns, false),
            rows: arrow_schema_of(&columns, true),
            patterns: Patterns::default(),
            columns,
            properties: left,
            ..self.clone()
        };
        part.shape = shape(&part);
        part
    }
}

#[cfg(test)]
mod tests {
    use super::super::SeededIds;
    use super::*;

    #[test]
    fn nothing_of_what_is_hidden_is_left() {
        let source = "
interface Named { name: String @index }
node Person implements Named {
  slug: String @key
  age: I32?
  salary: I64?
  @range(age, 0..150)
  @unique(name, salary)
  @unique(age)
}
node Company implements Named { slug: String @key }
node Secret { what: String }
edge Knows: Person -> Person { since: Date? }
edge Keeps: Person -> Secret
";
        let schema = Schema::parse(source, &mut SeededIds(1)).expect("a schema");
        let id = |name: &str| schema.by_name(name).expect("a type").id;
        let person = schema.by_name("Person").expect("a type");
        let kept = ["slug", "age"].map(|name| person.property(name).expect("a property").0);
        let kept: HashMap<TypeId, Kept> = HashMap::from([
            (id("Person"), Some(BTreeSet::from(kept))),
            (id("Company"), None),
            (id("Knows"), Some(BTreeSet::new())),
            (id("Keeps"), None),
        ]);
        let part = schema.part("x", &kept);
        let names: Vec<&str> = part.types.iter().map(|def| def.name.as_str()).collect();
        assert_eq!(names, ["Person", "Company", "Knows"]);
        assert_eq!(part.interfaces[0].properties, Vec::<String>::new());
        let left = part.by_name("Person").expect("a type");
        let columns: Vec<&str> = left.columns().iter().map(|own| own.name.as_str()).collect();
        assert_eq!(columns, ["id", "slug", "age"]);
        assert_eq!(left.key.len(), 1);
        assert_eq!(left.uniques.len(), 1);
        assert_eq!(left.columns()[left.uniques[0].columns[0]].name, "age");
        assert_eq!(left.properties[left.checks[0].property].name, "age");
        assert!(left.indexes.is_empty());
        assert_ne!(left.shape_digest(), person.shape_digest());
        assert_ne!(part.digest(), schema.digest());
        let edge = part.table("knows").expect("a table");
        assert_eq!(edge.columns().len(), 3);
    }
}
