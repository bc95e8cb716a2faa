//! The SQL functions, one per file. [`register`] is the list.

mod algorithm;
pub mod all_shortest_paths;
pub mod args;
pub mod betweenness;
pub mod branch_create;
pub mod branch_delete;
pub mod branch_merge;
pub mod branch_reset;
pub mod branches;
pub mod changes;
pub mod changes_cursor;
pub mod commit_changes;
pub mod commit_outcome;
pub mod commits;
pub mod connected_components;
pub mod degree;
pub mod diff;
pub mod error;
pub mod function;
pub mod fuzzy;
pub mod gq;
pub mod hybrid;
mod jsonb;
pub mod k_shortest_paths;
pub mod label_propagation;
pub mod louvain;
pub mod match_text;
pub mod merge_conflicts;
pub mod nearest;
pub mod neighbors;
pub mod pagerank;
mod paths;
pub mod pg;
pub mod reachable;
pub mod revert;
pub mod rows;
pub mod schema_apply;
pub mod schema_plan;
pub mod schema_source;
pub mod search;
pub mod shortest_path;
pub mod source;
pub mod strongly_connected_components;
pub mod table_diff;
pub mod tag_create;
pub mod tag_delete;
pub mod tags;
pub mod text_search;
pub mod traverse;
pub mod triangle_count;

use std::sync::Arc;

pub use error::{Error, Result};
pub use function::{
    Argument, Bound, CURRENT, Call, Column, Comparison, Effect, FunctionContext, FunctionScope,
    TableFunction, arrow_schema, signatures,
};
pub use source::{FunctionSource, estimate};

/// Every table function, by name.
pub fn register() -> Vec<Arc<dyn TableFunction>> {
    vec![
        Arc::new(all_shortest_paths::AllShortestPaths::new()),
        Arc::new(betweenness::Betweenness::new()),
        Arc::new(branch_create::BranchCreate::new()),
        Arc::new(branch_delete::BranchDelete::new()),
        Arc::new(branch_merge::BranchMerge::new()),
        Arc::new(branch_reset::BranchReset::new()),
        Arc::new(branches::Branches),
        Arc::new(changes::Changes::new()),
        Arc::new(changes_cursor::ChangesCursor),
        Arc::new(commit_changes::CommitChanges::new()),
        Arc::new(commit_outcome::CommitOutcome::new()),
        Arc::new(commits::Commits::new()),
        Arc::new(connected_components::ConnectedComponents::new()),
        Arc::new(degree::Degree::new()),
        Arc::new(diff::Diff::new()),
        Arc::new(fuzzy::Fuzzy::new()),
        Arc::new(gq::Gq::new()),
        Arc::new(hybrid::Hybrid::new()),
        Arc::new(k_shortest_paths::KShortestPaths::new()),
        Arc::new(label_propagation::LabelPropagation::new()),
        Arc::new(louvain::Louvain::new()),
        Arc::new(match_text::MatchText::new()),
        Arc::new(merge_conflicts::MergeConflicts::new()),
        Arc::new(nearest::Nearest::new()),
        Arc::new(neighbors::Neighbors::new()),
        Arc::new(pagerank::Pagerank::new()),
        Arc::new(reachable::Reachable::new()),
        Arc::new(revert::Revert::new()),
        Arc::new(schema_apply::SchemaApply::new()),
        Arc::new(schema_plan::SchemaPlan::new()),
        Arc::new(schema_source::SchemaSource::new()),
        Arc::new(search::Search::new()),
        Arc::new(shortest_path::ShortestPath::new()),
        Arc::new(strongly_connected_components::StronglyConnectedComponents::new()),
        Arc::new(table_diff::TableDiff::new()),
        Arc::new(tag_create::TagCreate::new()),
        Arc::new(tag_delete::TagDelete::new()),
        Arc::new(tags::Tags),
        Arc::new(traverse::Traverse::new()),
        Arc::new(triangle_count::TriangleCount::new()),
    ]
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod declarations {
    use super::*;

    #[test]
    fn functions_are_listed_by_name_once() {
        let names: Vec<&str> = register().iter().map(|function| function.name()).collect();
        assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{names:?}");
    }

    #[test]
    fn arguments_with_a_default_come_last() {
        for function in register() {
            let defaults: Vec<bool> = function
                .arguments()
                .iter()
                .map(|argument| argument.default.is_some())
                .collect();
            assert!(defaults.is_sorted(), "{}", function.name());
            for argument in function.arguments() {
                let Some(default) = &argument.default else {
                    continue;
                };
                assert_eq!(
                    default.data_type(),
                    argument.types[0].arrow(),
                    "{}",
                    argument.name
                );
            }
        }
    }

    #[test]
    fn what_one_of_several_types_accepts_is_listed_as_overloads() {
        let traverse = traverse::Traverse::new();
        let names: Vec<Vec<&str>> = signatures(&traverse)
            .iter()
            .map(|types| {
                types
                    .iter()
                    .filter_map(|ty| ty.info())
                    .map(|info| info.name)
                    .collect()
            })
            .collect();
        assert_eq!(
            names,
            [
                ["text", "text", "text", "int4", "int4"],
                ["_text", "_text", "text", "int4", "int4"]
            ]
        );
        let defaults: Vec<Option<String>> = traverse
            .arguments()
            .iter()
            .map(Argument::default_sql)
            .collect();
        assert_eq!(
            defaults,
            [
                None,
                None,
                Some("'out'::text".to_owned()),
                Some("1".to_owned()),
                Some("1".to_owned())
            ]
        );
    }
}
