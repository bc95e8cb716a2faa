use clap::{Args, Subcommand};
use omnigraph_catalog::cluster::address::Address;
use omnigraph_catalog::cluster::spec::{GraphSpec, Spec};
use omnigraph_catalog::stored::StoredQuery;
use omnigraph_engine::names::sql_name;
use serde_json::{Value, json};

use crate::cli::cluster::{Config, Stop, ended, lines};
use crate::cli::output::{Output, table};
use crate::cli::{Failure, Format};
use crate::statement::bind::type_name;

/// List and check the stored queries of a cluster's files.
///
/// They are functions of SQL: SELECT * FROM find_person(name => 'Ada'); those that change the
/// graph are called, CALL add_person('ada', 'Ada').
#[derive(Debug, Args)]
pub(super) struct Queries {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(List),
    Validate(Validate),
}

/// Show each query as SQL calls it, with its file
#[derive(Debug, Args)]
struct List {
    /// Only those of this graph
    #[arg(long, value_name = "NAME")]
    graph: Option<String>,
    #[command(flatten)]
    config: Config,
}

/// Check each query against its graph's schema: all mistakes at once, each with its place
#[derive(Debug, Args)]
struct Validate {
    #[command(flatten)]
    config: Config,
}

impl Queries {
    pub fn format(&self) -> Format {
        match &self.verb {
            Verb::List(verb) => verb.config.format,
            Verb::Validate(verb) => verb.config.format,
        }
    }

    pub fn run(self) -> Result<Output, Failure> {
        ended(match self.verb {
            Verb::List(verb) => verb.run(),
            Verb::Validate(verb) => verb.run(),
        })
    }
}

impl List {
    fn run(self) -> Result<Output, Stop> {
        let (spec, warnings) = self.config.spec()?;
        if let Some(graph) = &self.graph
            && !spec.graphs.contains_key(graph)
        {
            let names: Vec<&str> = spec.graphs.keys().map(String::as_str).collect();
            return Err(
                Failure::new(format!("the cluster has no graph \"{graph}\""))
                    .hint(format!("Its graphs are {}.", names.join(", ")))
                    .into(),
            );
        }
        let wanted = |id: &&String| self.graph.as_ref().is_none_or(|graph| graph == *id);
        let (mut rows, mut documents) = (Vec::new(), Vec::new());
        for id in spec.graphs.keys().filter(wanted) {
            for (name, file, query) in queries_of(&spec.graphs[id]) {
                rows.push(vec![
                    id.clone(),
                    query.signature(type_name),
                    if query.changes { "changes" } else { "reads" }.to_owned(),
                    file.to_owned(),
                    query.description.clone().unwrap_or_default(),
                ]);
                documents.push(document(id, name, file, query));
            }
        }
        let mut text = table(&["graph", "query", "does", "file", "description"], &rows);
        text.push_str(&lines(&warnings));
        Ok(Output::new(
            text,
            json!({ "queries": documents, "warnings": warnings }),
        ))
    }
}

impl Validate {
    fn run(self) -> Result<Output, Stop> {
        let (spec, warnings) = self.config.spec()?;
        let count: usize = spec.graphs.values().map(|graph| graph.queries.len()).sum();
        Ok(Output::new(
            format!("{}valid: {count} queries\n", lines(&warnings)),
            json!({
                "valid": true,
                "queries": addresses(&spec),
                "errors": [],
                "warnings": warnings,
            }),
        ))
    }
}

fn addresses(spec: &Spec) -> Vec<String> {
    let all = spec.graphs.iter().flat_map(|(id, graph)| {
        graph.queries.keys().map(|name| Address::Query {
            graph: id.clone(),
            name: name.clone(),
        })
    });
    all.map(|address| address.to_string()).collect()
}

/// Each query as it was declared, with its file and what it was compiled to.
fn queries_of(graph: &GraphSpec) -> impl Iterator<Item = (&str, &str, &StoredQuery)> {
    graph.queries.iter().filter_map(|(name, file)| {
        let query = graph.compiled.get(&sql_name(name))?;
        Some((name.as_str(), file.path.as_str(), &**query))
    })
}

fn document(graph: &str, name: &str, file: &str, query: &StoredQuery) -> Value {
    let parameters = query.parameters.iter().map(|own| {
        json!({
            "name": own.name,
            "type": type_name(own.ty),
            "default": own.default,
            "nullable": own.nullable,
        })
    });
    let columns = query.columns.as_ref().map(|columns| {
        let columns = columns.iter();
        let each = columns.map(|(name, ty)| json!({ "name": name, "type": type_name(*ty) }));
        each.collect::<Vec<Value>>()
    });
    json!({
        "graph": graph,
        "declared": name,
        "name": query.name,
        "file": file,
        "changes": query.changes,
        "parameters": parameters.collect::<Vec<Value>>(),
        "columns": columns,
        "description": query.description,
    })
}
