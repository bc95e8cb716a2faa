//! Accepted schema → desired schema. Pure: it says which steps lead from one to the other, or
//! why no step does; whether the rows agree with a new constraint is for the writer to find out.

mod compare;
mod identify;

use std::fmt;

use super::assemble::assemble;
use super::check::Draft;
use super::error::{Collector, SchemaErrors};
use super::ids::IdSource;
use super::{
    Cardinality, Check, CheckRule, Index, Literal, PropertyId, PropertyType, Schema, TypeId, Unique,
};

/// One step of a migration.
#[derive(Debug, Clone, PartialEq)]
pub struct SchemaChange {
    pub type_id: TypeId,
    /// As the desired schema declares it; of a dropped type, as the accepted one did.
    pub type_name: String,
    pub kind: ChangeKind,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ChangeKind {
    AddType {
        edge: bool,
    },
    DropType {
        edge: bool,
    },
    RenameType {
        from: String,
    },
    /// Another `@sql("…")`.
    RenameTable {
        from: String,
        to: String,
    },
    /// Rows that exist get the default, or NULL.
    AddProperty {
        property: PropertyId,
        name: String,
        ty: PropertyType,
        nullable: bool,
        default: Option<Literal>,
    },
    DropProperty {
        property: PropertyId,
        name: String,
    },
    RenameProperty {
        property: PropertyId,
        from: String,
        to: String,
    },
    RenameColumn {
        property: PropertyId,
        name: String,
        from: String,
        to: String,
    },
    WidenEnum {
        property: PropertyId,
        name: String,
        words: Vec<String>,
    },
    /// From nullable to required, or back.
    ChangeNullability {
        property: PropertyId,
        name: String,
        nullable: bool,
    },
    /// Positions are those of the desired type, as in all additions below.
    AddUnique {
        unique: Unique,
        columns: Vec<String>,
    },
    /// Positions are those of the accepted type, as in all removals below.
    DropUnique {
        unique: Unique,
        columns: Vec<String>,
    },
    AddCheck {
        check: Check,
        property: String,
    },
    DropCheck {
        check: Check,
        property: String,
    },
    ChangeCardinality {
        from: Cardinality,
        to: Cardinality,
    },
    AddIndex {
        index: Index,
        columns: Vec<String>,
    },
    DropIndex {
        index: Index,
        columns: Vec<String>,
    },
    ChangeDefault {
        property: PropertyId,
        name: String,
        default: Option<Literal>,
    },
    /// Descriptions and other annotations, of one property or of the type itself.
    ChangeMetadata {
        property: Option<String>,
    },
}

impl ChangeKind {
    /// The step's kind as programs read it.
    pub fn name(&self) -> &'static str {
        match self {
            ChangeKind::AddType { .. } => "add_type",
            ChangeKind::DropType { .. } => "drop_type",
            ChangeKind::RenameType { .. } => "rename_type",
            ChangeKind::RenameTable { .. } => "rename_table",
            ChangeKind::AddProperty { .. } => "add_property",
            ChangeKind::DropProperty { .. } => "drop_property",
            ChangeKind::RenameProperty { .. } => "rename_property",
            ChangeKind::RenameColumn { .. } => "rename_column",
            ChangeKind::WidenEnum { .. } => "widen_enum",
            ChangeKind::ChangeNullability { .. } => "change_nullability",
            ChangeKind::AddUnique { .. } | ChangeKind::AddCheck { .. } => "add_constraint",
            ChangeKind::DropUnique { .. } | ChangeKind::DropCheck { .. } => "drop_constraint",
            ChangeKind::ChangeCardinality { .. } => "change_cardinality",
            ChangeKind::AddIndex { .. } => "add_index",
            ChangeKind::DropIndex { .. } => "drop_index",
            ChangeKind::ChangeDefault { .. } => "change_default",
            ChangeKind::ChangeMetadata { .. } => "change_metadata",
        }
    }

    /// Is something taken away that older commits keep?
    pub fn is_soft_drop(&self) -> bool {
        matches!(
            self,
            ChangeKind::DropType { .. } | ChangeKind::DropProperty { .. }
        )
    }
}

impl SchemaChange {
    /// Does it write values into the rows that exist? All other steps only change what is said
    /// of them.
    pub fn fills(&self) -> bool {
        matches!(&self.kind, ChangeKind::AddProperty { default: Some(default), .. } if *default != Literal::Null)
    }

    /// Must the rows that exist be looked at before the step is taken?
    pub fn validates(&self) -> bool {
        match &self.kind {
            ChangeKind::AddUnique { .. }
            | ChangeKind::AddCheck { .. }
            | ChangeKind::ChangeNullability {
                nullable: false, ..
            } => true,
            ChangeKind::ChangeCardinality { from, to } => {
                to.min > from.min || to.max.unwrap_or(u64::MAX) < from.max.unwrap_or(u64::MAX)
            }
            _ => false,
        }
    }
}

impl fmt::Display for SchemaChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ty = &self.type_name;
        let noun = |edge: &bool| if *edge { "edge type" } else { "node type" };
        match &self.kind {
            ChangeKind::AddType { edge } => write!(f, "add {} {ty}", noun(edge)),
            ChangeKind::DropType { edge } => {
                write!(f, "drop {} {ty} (older commits keep its rows)", noun(edge))
            }
            ChangeKind::RenameType { from } => write!(f, "rename type {from} to {ty}"),
            ChangeKind::RenameTable { from, to } => {
                write!(f, "rename table {from} of {ty} to {to}")
            }
            ChangeKind::AddProperty {
                name,
                ty: property_type,
                nullable,
                default,
                ..
            } => {
                write!(
                    f,
                    "add property {ty}.{name}: {property_type}{}",
                    if *nullable { "?" } else { "" }
                )?;
                match default {
                    Some(default) => write!(f, " @default({default})"),
                    None => Ok(()),
                }
            }
            ChangeKind::DropProperty { name, .. } => write!(
                f,
                "drop property {ty}.{name} (older commits keep its values)"
            ),
            ChangeKind::RenameProperty { from, to, .. } => {
                write!(f, "rename property {ty}.{from} to {to}")
            }
            ChangeKind::RenameColumn { name, from, to, .. } => {
                write!(f, "rename column {from} of {ty}.{name} to {to}")
            }
            ChangeKind::WidenEnum { name, words, .. } => {
                write!(f, "widen enum {ty}.{name} by {}", words.join(", "))
            }
            ChangeKind::ChangeNullability { name, nullable, .. } => {
                let rule = if *nullable { "nullable" } else { "required" };
                write!(f, "make property {ty}.{name} {rule}")
            }
            ChangeKind::AddUnique { unique, columns } => {
                write!(
                    f,
                    "add constraint {} to {ty}: @unique({})",
                    unique.name,
                    columns.join(", ")
                )
            }
            ChangeKind::DropUnique { unique, columns } => {
                write!(
                    f,
                    "drop constraint {} of {ty}: @unique({})",
                    unique.name,
                    columns.join(", ")
                )
            }
            ChangeKind::AddCheck { check, property } => {
                write!(
                    f,
                    "add constraint {} to {ty}: {}",
                    check.name,
                    Rule(&check.rule, property)
                )
            }
            ChangeKind::DropCheck { check, property } => {
                write!(
                    f,
                    "drop constraint {} of {ty}: {}",
                    check.name,
                    Rule(&check.rule, property)
                )
            }
            ChangeKind::ChangeCardinality { from, to } => {
                write!(f, "change {ty} from @card({from}) to @card({to})")
            }
            ChangeKind::AddIndex { index, columns } => {
                write!(
                    f,
                    "add index {} to {ty}: @index({})",
                    index.name,
                    columns.join(", ")
                )
            }
            ChangeKind::DropIndex { index, columns } => {
                write!(
                    f,
                    "drop index {} of {ty}: @index({})",
                    index.name,
                    columns.join(", ")
                )
            }
            ChangeKind::ChangeDefault {
                name,
                default: Some(default),
                ..
            } => {
                write!(f, "set the default of {ty}.{name} to {default}")
            }
            ChangeKind::ChangeDefault {
                name,
                default: None,
                ..
            } => write!(f, "drop the default of {ty}.{name}"),
            ChangeKind::ChangeMetadata {
                property: Some(name),
            } => write!(f, "change annotations of {ty}.{name}"),
            ChangeKind::ChangeMetadata { property: None } => {
                write!(f, "change annotations of {ty}")
            }
        }
    }
}

impl fmt::Display for Cardinality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..", self.min)?;
        self.max.map_or(Ok(()), |max| write!(f, "{max}"))
    }
}

struct Rule<'a>(&'a CheckRule, &'a str);

impl fmt::Display for Rule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            CheckRule::Range { min, max } => {
                write!(f, "@range({}, ", self.1)?;
                if let Some(min) = min {
                    write!(f, "{min}")?;
                }
                f.write_str("..")?;
                if let Some(max) = max {
                    write!(f, "{max}")?;
                }
                f.write_str(")")
            }
            CheckRule::Regex(pattern) => write!(
                f,
                "@check({}, {})",
                self.1,
                Literal::String(pattern.clone())
            ),
        }
    }
}

pub(crate) fn evolve(
    old: &Schema,
    source: &str,
    draft: &Draft,
    ids: &mut dyn IdSource,
) -> Result<(Schema, Vec<SchemaChange>), SchemaErrors> {
    let mut errors = Collector::new(source);
    let identities = identify::identify(old, draft, ids, &mut errors);
    errors.finish()?;
    let new = assemble(source, draft, &identities);
    let changes = compare::compare(old, &new, draft, &mut errors);
    errors.finish()?;
    Ok((new, changes))
}
