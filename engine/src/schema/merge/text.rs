//! Declarations as `.pg` text.

use std::fmt::{self, Write};

use super::model::{Annotations, Interface, Member, Property, Type};
use crate::schema::Annotation;
use crate::schema::error::{Collector, Span};
use crate::schema::parse::{AnnotationSyntax, Argument, Declaration, parse};

/// A declaration of a source, with the comments before it.
pub(super) struct Segment<'a> {
    pub declaration: Declaration,
    pub text: &'a str,
}

/// The declarations of a valid source, and what follows the last one.
pub(super) fn segments(source: &str) -> (Vec<Segment<'_>>, &str) {
    let declarations = parse(source, &mut Collector::new(source));
    let mut segments = Vec::with_capacity(declarations.len());
    let mut from = 0;
    for declaration in declarations {
        let Span { end, .. } = declaration.span;
        let text = source[from..end].trim_start_matches([',', ';', ' ', '\t', '\r', '\n']);
        segments.push(Segment { declaration, text });
        from = end;
    }
    let rest = source[from..].trim_start_matches([',', ';']);
    (segments, rest.trim())
}

/// `age: I64? @default(3) @range(0..150)`
pub(super) fn property(property: &Property) -> String {
    let mut text = format!("{}: {}", property.name, property.ty);
    if property.nullable {
        text.push('?');
    }
    if let Some(default) = &property.default {
        let _ = write!(text, " @default({default})");
    }
    annotate(&mut text, property.sql.as_deref(), &property.annotations);
    text
}

/// All of a declaration but its body. `named` has the names of types.
pub(super) fn head(ty: &Type, named: &dyn Fn(u64) -> String) -> String {
    let mut text = match &ty.edge {
        None => format!("node {}", ty.name),
        Some(edge) => {
            let (from, to) = (named(edge.from), named(edge.to));
            let mut text = format!("edge {}: {from} -> {to}", ty.name);
            if edge.card.min > 0 || edge.card.max.is_some() {
                let _ = write!(text, " @card({})", edge.card);
            }
            text
        }
    };
    annotate(&mut text, ty.sql.as_deref(), &ty.annotations);
    if !ty.interfaces.is_empty() {
        let names: Vec<&str> = ty.interfaces.iter().map(String::as_str).collect();
        let _ = write!(text, " implements {}", names.join(", "));
    }
    text
}

pub(super) fn declaration(ty: &Type, named: &dyn Fn(u64) -> String) -> String {
    let mut text = head(ty, named);
    text.push_str(" {\n");
    for (_, property) in ty.properties.iter() {
        let _ = writeln!(text, "    {}", self::property(property));
    }
    if !ty.key.is_empty() {
        let key: Vec<Member> = ty.key.iter().map(|id| Member::Property(*id)).collect();
        let _ = writeln!(text, "    @key({})", members(ty, &key));
    }
    for unique in &ty.uniques {
        let _ = writeln!(text, "    {}", self::unique(ty, unique));
    }
    for (index, options) in &ty.indexes {
        let _ = writeln!(text, "    {}", self::index(ty, index, options));
    }
    text.push('}');
    text
}

pub(super) fn unique(ty: &Type, columns: &[Member]) -> String {
    format!("@unique({})", members(ty, columns))
}

pub(super) fn index(ty: &Type, columns: &[Member], options: &[String]) -> String {
    let mut all = vec![members(ty, columns)];
    all.extend_from_slice(options);
    format!("@index({})", all.join(", "))
}

pub(super) fn interface(name: &str, interface: &Interface) -> String {
    let mut text = format!("interface {name}");
    annotate(&mut text, None, &interface.annotations);
    text.push_str(" {\n");
    for (_, property) in &interface.properties {
        let _ = writeln!(text, "    {}", self::property(property));
    }
    text.push('}');
    text
}

fn members(ty: &Type, columns: &[Member]) -> String {
    let name = |member: &Member| match member {
        Member::Src => "src",
        Member::Dst => "dst",
        Member::Property(class) => ty.properties.get(*class).map_or("?", |held| &held.name),
    };
    columns.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn annotate(text: &mut String, sql: Option<&str>, annotations: &Annotations) {
    if let Some(sql) = sql {
        let _ = write!(
            text,
            " @sql({})",
            crate::schema::Literal::String(sql.to_owned())
        );
    }
    for annotation in annotations.values().flatten() {
        let _ = write!(text, " {annotation}");
    }
}

/// As it is written in a `.pg` file.
impl fmt::Display for Annotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.args.iter().map(ToString::to_string);
        let named = self.named.iter();
        let named = named.map(|(name, value)| format!("{name}={value}"));
        written(f, &self.name, values.chain(named).collect())
    }
}

impl fmt::Display for AnnotationSyntax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arguments = self.arguments().iter();
        let arguments = arguments.map(|argument| match &argument.value {
            Argument::Value(literal) => literal.to_string(),
            Argument::Endpoint(name) => format!("@{name}"),
            Argument::Named(name, literal) => format!("{name}={literal}"),
            Argument::Range { min, max } => format!(
                "{}..{}",
                min.as_deref().unwrap_or_default(),
                max.as_deref().unwrap_or_default()
            ),
        });
        written(f, &self.name, arguments.collect())
    }
}

fn written(f: &mut fmt::Formatter<'_>, name: &str, arguments: Vec<String>) -> fmt::Result {
    write!(f, "@{name}")?;
    match arguments.is_empty() {
        true => Ok(()),
        false => write!(f, "({})", arguments.join(", ")),
    }
}
