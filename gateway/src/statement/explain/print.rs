//! A plan as text, and as a document in JSON, XML or YAML.

use serde_json::{Map, Value, json};

use super::node::Node;
use crate::statement::parse::Explain;

/// The lines of the text form; `summary`: planning and execution time in milliseconds.
pub(super) fn text(root: &Node, explain: &Explain, summary: Option<(f64, f64)>) -> Vec<String> {
    let mut lines = Vec::new();
    node_lines(root, 0, explain, &mut lines);
    if let Some((planned, executed)) = summary {
        lines.push(format!("Planning Time: {planned:.3} ms"));
        lines.push(format!("Execution Time: {executed:.3} ms"));
    }
    lines
}

fn node_lines(node: &Node, depth: usize, explain: &Explain, lines: &mut Vec<String>) {
    let indent = depth * 6;
    let mut line = match depth {
        0 => String::new(),
        _ => format!("{}->  ", " ".repeat(indent - 4)),
    };
    line.push_str(node.operation.unwrap_or(&node.kind));
    if let Some(index) = &node.index {
        line.push_str(&format!(" using {index}"));
    }
    if let Some(relation) = &node.relation {
        line.push_str(&format!(" on {relation}"));
    }
    if explain.costs {
        line.push_str(&format!(
            "  (cost=0.00..{:.2} rows={} width={})",
            node.cost, node.rows, node.width
        ));
    }
    if let Some(actual) = node.actual.filter(|_| explain.analyze) {
        line.push_str(&format!(
            " (actual time=0.000..{:.3} rows={} loops=1)",
            actual.time, actual.rows
        ));
    }
    lines.push(line);
    for (name, value) in &node.properties {
        lines.push(format!("{}{name}: {value}", " ".repeat(indent + 2)));
    }
    for child in &node.children {
        node_lines(child, depth + 1, explain, lines);
    }
}

pub(super) fn json(root: &Node, explain: &Explain, summary: Option<(f64, f64)>) -> String {
    let document = document(root, explain, summary);
    format!("{:#}", Value::Array(vec![document]))
}

pub(super) fn xml(root: &Node, explain: &Explain, summary: Option<(f64, f64)>) -> String {
    let mut out = String::from("<explain xmlns=\"http://www.postgresql.org/2009/explain\">\n");
    xml_element("Query", &document(root, explain, summary), 1, &mut out);
    out.push_str("</explain>");
    out
}

fn xml_element(name: &str, value: &Value, depth: usize, out: &mut String) {
    let tag = name.replace([' ', '/'], "-");
    let indent = "  ".repeat(depth);
    let inner = match value {
        Value::Object(members) => {
            out.push_str(&format!("{indent}<{tag}>\n"));
            for (name, value) in members {
                xml_element(name, value, depth + 1, out);
            }
            indent.clone()
        }
        Value::Array(items) => {
            out.push_str(&format!("{indent}<{tag}>\n"));
            for item in items {
                xml_element("Plan", item, depth + 1, out);
            }
            indent.clone()
        }
        Value::String(text) => {
            let text = text
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;");
            out.push_str(&format!("{indent}<{tag}>{text}"));
            String::new()
        }
        other => {
            out.push_str(&format!("{indent}<{tag}>{other}"));
            String::new()
        }
    };
    out.push_str(&format!("{inner}</{tag}>\n"));
}

pub(super) fn yaml(root: &Node, explain: &Explain, summary: Option<(f64, f64)>) -> String {
    let mut out = String::from("- ");
    yaml_members(&document(root, explain, summary), 1, &mut out);
    out.trim_end().to_owned()
}

/// The members of an object, the first one where the text is, the others on lines of their own.
fn yaml_members(value: &Value, depth: usize, out: &mut String) {
    let Value::Object(members) = value else {
        return;
    };
    for (at, (name, value)) in members.iter().enumerate() {
        if at > 0 {
            out.push_str(&"  ".repeat(depth));
        }
        match value {
            Value::Object(_) => {
                out.push_str(&format!("{name}: \n{}", "  ".repeat(depth + 1)));
                yaml_members(value, depth + 1, out);
            }
            Value::Array(items) => {
                out.push_str(&format!("{name}: \n"));
                for item in items {
                    out.push_str(&format!("{}- ", "  ".repeat(depth + 1)));
                    yaml_members(item, depth + 2, out);
                }
            }
            other => out.push_str(&format!("{name}: {other}\n")),
        }
    }
}

fn document(root: &Node, explain: &Explain, summary: Option<(f64, f64)>) -> Value {
    let mut document = Map::new();
    document.insert("Plan".to_owned(), node_json(root, explain, false));
    if let Some((planned, executed)) = summary {
        document.insert("Planning Time".to_owned(), json!(planned));
        document.insert("Triggers".to_owned(), json!([]));
        document.insert("Execution Time".to_owned(), json!(executed));
    }
    Value::Object(document)
}

fn node_json(node: &Node, explain: &Explain, child: bool) -> Value {
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| {
        object.insert(name.to_owned(), value);
    };
    put("Node Type", json!(node.kind));
    put("Parallel Aware", json!(false));
    put("Async Capable", json!(false));
    if child {
        put("Parent Relationship", json!("Outer"));
    }
    if let Some(operation) = node.operation {
        put("Operation", json!(operation));
    }
    if let Some(index) = &node.index {
        put("Index Name", json!(index));
    }
    if let Some(relation) = &node.relation {
        put("Relation Name", json!(relation));
        put("Alias", json!(relation));
    }
    if explain.costs {
        put("Startup Cost", json!(0.0));
        put("Total Cost", json!((node.cost * 100.0).round() / 100.0));
        put("Plan Rows", json!(node.rows));
        put("Plan Width", json!(node.width));
    }
    if let Some(actual) = node.actual.filter(|_| explain.analyze) {
        put("Actual Startup Time", json!(0.0));
        put("Actual Total Time", json!(actual.time));
        put("Actual Rows", json!(actual.rows));
        put("Actual Loops", json!(1));
    }
    for (name, value) in &node.properties {
        put(name, json!(value));
    }
    if !node.children.is_empty() {
        let children = node
            .children
            .iter()
            .map(|node| node_json(node, explain, true));
        put("Plans", Value::Array(children.collect()));
    }
    Value::Object(object)
}
