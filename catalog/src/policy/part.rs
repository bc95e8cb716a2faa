//! The finer grain of rules: which types, columns and rows they are about.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::action::Action;
use crate::yaml::{Findings, Mapping, Node};

/// The types that a rule is about, by their declared names.
pub type Types = BTreeMap<String, Share>;

/// What of a type a rule is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Share {
    /// `None`: all columns.
    pub columns: Option<BTreeSet<String>>,
    /// A condition in SQL; `None`: all rows.
    pub rows: Option<String>,
}

/// What one actor may see or change of a graph, by all rules that say so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub actor: String,
    /// The groups that the actor is in.
    pub groups: BTreeSet<String>,
    types: BTreeMap<String, TypePart>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypePart {
    /// `None`: all columns.
    pub columns: Option<BTreeSet<String>>,
    /// Conditions of which one must hold; none: all rows.
    pub rows: Vec<String>,
}

impl Part {
    /// The union of what rules allow.
    pub(super) fn of<'a>(
        actor: &str,
        groups: BTreeSet<String>,
        rules: impl Iterator<Item = &'a Types>,
    ) -> Self {
        let mut shares: BTreeMap<&str, Vec<&Share>> = BTreeMap::new();
        for (name, share) in rules.flatten() {
            shares.entry(name).or_default().push(share);
        }
        let types = shares
            .into_iter()
            .map(|(name, shares)| (name.to_owned(), union(&shares)))
            .collect();
        Part {
            actor: actor.to_owned(),
            groups,
            types,
        }
    }

    /// The part of a type, by its declared name.
    pub fn of_type(&self, name: &str) -> Option<&TypePart> {
        self.types.get(name)
    }

    /// Equal for parts that show the same rows of the same graph. Who asks matters only where a
    /// condition may look at it.
    pub fn digest(&self) -> String {
        let mut digest = Sha256::new();
        let mut asks = false;
        for (name, part) in &self.types {
            digest.update(format!("{name:?} {:?} {:?}\n", part.columns, part.rows));
            let asking = |text: &String| {
                let text = text.to_lowercase();
                ["actor", "user", "role"]
                    .iter()
                    .any(|word| text.contains(word))
            };
            asks |= part.rows.iter().any(asking);
        }
        if asks {
            digest.update(format!("{:?} {:?}", self.actor, self.groups));
        }
        let bytes = digest.finalize();
        bytes
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// Rows that any of the shares shows, in the columns that all of those show: a row of one and a
/// column of another were never allowed together.
fn union(shares: &[&Share]) -> TypePart {
    let covered = |share: &Share, by: &Share| {
        let columns = match (&share.columns, &by.columns) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(own), Some(all)) => own.is_subset(all),
        };
        columns && (by.rows.is_none() || by.rows == share.rows)
    };
    let mut left: Vec<&Share> = Vec::new();
    for share in shares {
        if left.iter().any(|by| covered(share, by)) {
            continue;
        }
        left.retain(|held| !covered(held, share));
        left.push(share);
    }
    if let [first, rest @ ..] = left.as_slice()
        && rest.iter().all(|share| share.rows == first.rows)
    {
        // The same rows: whatever columns any of them shows.
        let columns = left.iter().map(|share| share.columns.clone());
        let columns = columns.collect::<Option<Vec<_>>>();
        return TypePart {
            columns: columns.map(|all| all.into_iter().flatten().collect()),
            rows: first.rows.iter().cloned().collect(),
        };
    }
    let columns = left.iter().filter_map(|share| share.columns.clone());
    let columns = columns.reduce(|one, other| one.intersection(&other).cloned().collect());
    let all = left.iter().any(|share| share.rows.is_none());
    let rows: BTreeSet<&String> = left
        .iter()
        .filter_map(|share| share.rows.as_ref())
        .collect();
    TypePart {
        columns,
        rows: match all {
            true => Vec::new(),
            false => rows.into_iter().cloned().collect(),
        },
    }
}

/// Reads `types`, `columns` and `where` of a rule. `None`: it is about everything.
pub(super) fn types(rule: &mut Mapping<'_>, findings: &mut Findings<'_>) -> Option<Types> {
    let listed = rule.take("types");
    let columns = rule.take("columns");
    let conditions = rule.take("where");
    if listed.is_none() && columns.is_none() && conditions.is_none() {
        return None;
    }
    let mut types = Types::new();
    for (name, _) in listed.map_or_else(Vec::new, |node| findings.texts(node, "types")) {
        types.insert(name, Share::default());
    }
    for (name, node) in entries(columns, "columns", findings) {
        let names = findings.texts(node, &format!("the columns of {name}"));
        let names = names.into_iter().map(|(name, _)| name).collect();
        types.entry(name).or_default().columns = Some(names);
    }
    for (name, node) in entries(conditions, "where", findings) {
        let text = findings.text(node, &format!("the condition of {name}"));
        types.entry(name).or_default().rows = text;
    }
    Some(types)
}

fn entries<'n>(
    node: Option<&'n Node>,
    what: &str,
    findings: &mut Findings<'_>,
) -> Vec<(String, &'n Node)> {
    let Some(node) = node else {
        return Vec::new();
    };
    let all = findings.mapping(node, what);
    all.rest()
        .map(|(name, _, node)| (name.to_owned(), node))
        .collect()
}

/// The actions that are about rows.
pub(super) fn is_about_rows(action: Action) -> bool {
    matches!(action, Action::Read | Action::Export | Action::Change)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(columns: Option<&[&str]>, rows: Option<&str>) -> Share {
        Share {
            columns: columns.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
            rows: rows.map(str::to_owned),
        }
    }

    fn check(shares: &[Share], columns: Option<&[&str]>, rows: &[&str]) {
        let union = union(&shares.iter().collect::<Vec<_>>());
        let wanted = share(columns, None).columns;
        assert_eq!(
            (union.columns, union.rows),
            (wanted, rows.iter().map(|row| (*row).to_owned()).collect()),
            "{shares:?}"
        );
    }

    #[test]
    fn rules_add_up_and_never_to_more_than_one_of_them_says() {
        check(&[share(None, Some("a"))], None, &["a"]);
        check(
            &[share(None, Some("a")), share(None, Some("b"))],
            None,
            &["a", "b"],
        );
        check(&[share(None, Some("a")), share(None, None)], None, &[]);
        // The same rows: all columns of either.
        check(
            &[
                share(Some(&["x"]), Some("a")),
                share(Some(&["y"]), Some("a")),
            ],
            Some(&["x", "y"]),
            &["a"],
        );
        check(
            &[share(Some(&["x"]), None), share(Some(&["y"]), None)],
            Some(&["x", "y"]),
            &[],
        );
        // Other rows: no cell that neither shows.
        check(
            &[
                share(Some(&["x", "y"]), Some("a")),
                share(Some(&["y", "z"]), Some("b")),
            ],
            Some(&["y"]),
            &["a", "b"],
        );
        check(
            &[share(Some(&["x"]), None), share(None, Some("a"))],
            Some(&["x"]),
            &[],
        );
        // One that says less than another says nothing.
        check(
            &[
                share(Some(&["x"]), Some("a")),
                share(Some(&["x", "y"]), None),
            ],
            Some(&["x", "y"]),
            &[],
        );
    }

    #[test]
    fn who_asks_counts_where_a_condition_may_ask() {
        let of = |actor: &str, condition: &str| {
            let types = Types::from([("T".to_owned(), share(None, Some(condition)))]);
            Part::of(actor, BTreeSet::new(), std::iter::once(&types)).digest()
        };
        assert_eq!(of("ada", "a = 1"), of("bob", "a = 1"));
        assert_ne!(of("ada", "a = 1"), of("ada", "a = 2"));
        assert_ne!(of("ada", "a = ACTOR()"), of("bob", "a = ACTOR()"));
    }
}
