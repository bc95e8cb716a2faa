//! What a cluster is made of, each with its address and digest.

use std::fmt;

use sha2::{Digest, Sha256};

/// A resource of a cluster: `graph.knowledge`, `query.knowledge.find_person`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    Graph(String),
    Schema(String),
    Query { graph: String, name: String },
    Policy(String),
    Provider(String),
}

impl Address {
    pub fn parse(text: &str) -> Option<Address> {
        let (kind, name) = text.split_once('.')?;
        match kind {
            "graph" => Some(Address::Graph(name.to_owned())),
            "schema" => Some(Address::Schema(name.to_owned())),
            "policy" => Some(Address::Policy(name.to_owned())),
            "provider" => Some(Address::Provider(
                name.strip_prefix("embedding.")?.to_owned(),
            )),
            "query" => {
                let (graph, name) = name.split_once('.')?;
                Some(Address::Query {
                    graph: graph.to_owned(),
                    name: name.to_owned(),
                })
            }
            _ => None,
        }
    }

    /// The graph that it belongs to, itself included.
    pub fn graph(&self) -> Option<&str> {
        match self {
            Address::Graph(graph) | Address::Schema(graph) | Address::Query { graph, .. } => {
                Some(graph)
            }
            Address::Policy(_) | Address::Provider(_) => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Graph(graph) => write!(f, "graph.{graph}"),
            Address::Schema(graph) => write!(f, "schema.{graph}"),
            Address::Query { graph, name } => write!(f, "query.{graph}.{name}"),
            Address::Policy(name) => write!(f, "policy.{name}"),
            Address::Provider(name) => write!(f, "provider.embedding.{name}"),
        }
    }
}

/// The SHA-256 of a file, in hexadecimal digits.
pub fn digest(bytes: impl AsRef<[u8]>) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            text.push_str(&format!("{byte:02x}"));
            text
        })
}

/// The digest of named parts, in the order of their names.
pub fn composite<'a>(parts: impl IntoIterator<Item = (String, &'a str)>) -> String {
    let mut lines: Vec<String> = parts
        .into_iter()
        .map(|(name, digest)| format!("{name}={digest}\n"))
        .collect();
    lines.sort();
    digest(lines.concat())
}

/// `[A-Za-z_][A-Za-z0-9_-]{0,62}`
pub fn is_name(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for text in [
            "graph.a",
            "schema.a",
            "query.a.find_b",
            "policy.base",
            "provider.embedding.default",
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), text);
        }
        for bad in ["graph", "query.a", "provider.a", "table.x", ""] {
            assert_eq!(Address::parse(bad), None);
        }
    }

    #[test]
    fn digests_are_sha_256() {
        assert_eq!(
            digest("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        let (a, b) = (("a".to_owned(), "1"), ("b".to_owned(), "2"));
        assert_eq!(composite([a.clone(), b.clone()]), composite([b, a]));
    }
}
