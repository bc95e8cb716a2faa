//! Changes to the text of a schema, one thing at a time: what is not concerned stays as it was
//! written, comments included. What the new text means is for its migration to say.

use std::ops::Range;

use super::error::Collector;
use super::parse::{Argument, Declaration, DeclarationKind, PropertySyntax, parse};
use super::{Literal, Schema};

#[derive(Debug, Clone)]
pub struct Editor {
    source: String,
    declarations: Vec<Declaration>,
}

impl Editor {
    pub fn new(schema: &Schema) -> Self {
        Editor::of(schema.source.clone())
    }

    fn of(source: String) -> Self {
        // The text of a schema has no mistakes, and the changes below make none that matter
        // before the whole is checked.
        let declarations = parse(&source, &mut Collector::new(&source));
        Editor {
            source,
            declarations,
        }
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// Appends a declaration.
    pub fn add_type(&mut self, declaration: &str) {
        let mut source = self.source.trim_end().to_owned();
        if !source.is_empty() {
            source.push_str("\n\n");
        }
        source.push_str(declaration.trim());
        source.push('\n');
        *self = Editor::of(source);
    }

    /// Takes a type away, and the blank lines before it.
    pub fn remove_type(&mut self, name: &str) {
        if let Some(declaration) = self.declaration(name) {
            let end = declaration.span.end;
            let start = self.source[..declaration.span.start].trim_end().len();
            self.replace(vec![(start..end, String::new())]);
        }
    }

    /// Gives a type another name, wherever it is said; `sql` is that of its table, if the table
    /// is not simply called after the type.
    pub fn rename_type(&mut self, name: &str, new: &str, sql: Option<&str>) {
        let mut said = String::new();
        if new != name {
            said.push_str(&format!(" @rename_from(\"{name}\")"));
        }
        if let Some(sql) = sql {
            said.push_str(&format!(" @sql({})", quoted(sql)));
        }
        let mut changes = Vec::new();
        for declaration in &self.declarations {
            if declaration.name.value == name {
                let old = declaration.annotations.iter();
                let old = old.filter(|old| matches!(old.name.as_str(), "rename_from" | "sql"));
                changes.extend(old.map(|annotation| (annotation.span.range(), String::new())));
                changes.push((declaration.name.span.range(), new.to_owned()));
                // The ends of an edge stand between its name and its annotations.
                let end = match &declaration.kind {
                    DeclarationKind::Edge { to, .. } => to.span.end,
                    _ => declaration.name.span.end,
                };
                changes.push((end..end, said.clone()));
            }
            if let DeclarationKind::Edge { from, to } = &declaration.kind {
                let ends = [from, to].into_iter().filter(|end| end.value == name);
                changes.extend(ends.map(|end| (end.span.range(), new.to_owned())));
            }
            let interfaces = declaration.implements.iter();
            let interfaces = interfaces.filter(|interface| interface.value == name);
            changes.extend(interfaces.map(|used| (used.span.range(), new.to_owned())));
        }
        self.replace(changes);
    }

    /// Is the property declared by the type itself, and not by an interface?
    pub fn declares(&self, name: &str, property: &str) -> bool {
        self.property(name, property).is_some()
    }

    /// Adds a property at the end of a type.
    pub fn add_property(&mut self, name: &str, property: &str) {
        let Some(declaration) = self.declaration(name) else {
            return;
        };
        let span = declaration.span.range();
        let text = &self.source[span.clone()];
        let change = match text.strip_suffix('}') {
            None => (span.end..span.end, format!(" {{ {property} }}")),
            Some(inside) => {
                let at = span.start + inside.trim_end().len();
                match inside.contains('\n') {
                    true => (at..span.end - 1, format!("\n    {property}\n")),
                    false => (at..span.end - 1, format!(" {property} ")),
                }
            }
        };
        self.replace(vec![change]);
    }

    /// Takes a property away, with the constraints of the type that speak of it.
    pub fn remove_property(&mut self, name: &str, property: &str) {
        let (Some(declaration), Some(syntax)) =
            (self.declaration(name), self.property(name, property))
        else {
            return;
        };
        let speaks_of = |argument: &Argument| match argument {
            Argument::Value(Literal::Ident(named)) => named == property,
            _ => false,
        };
        let mut gone = vec![whole(syntax)];
        for constraint in &declaration.constraints {
            let mut arguments = constraint.arguments().iter();
            if arguments.any(|argument| speaks_of(&argument.value)) {
                gone.push(constraint.span.range());
            }
        }
        let gone = gone
            .into_iter()
            .map(|range| (self.with_line(range), String::new()));
        self.replace(gone.collect());
    }

    /// Gives a property another name, wherever its type says it.
    pub fn rename_property(&mut self, name: &str, property: &str, new: &str) {
        let (Some(declaration), Some(syntax)) =
            (self.declaration(name), self.property(name, property))
        else {
            return;
        };
        let mut changes = vec![(syntax.name.span.range(), new.to_owned())];
        let old = syntax.annotations.iter();
        let old = old.filter(|annotation| annotation.name == "rename_from");
        changes.extend(old.map(|annotation| (annotation.span.range(), String::new())));
        let end = syntax.ty.span.end..syntax.ty.span.end;
        changes.push((end, format!(" @rename_from(\"{property}\")")));
        for constraint in &declaration.constraints {
            for argument in constraint.arguments() {
                if let Argument::Value(Literal::Ident(named)) = &argument.value
                    && named == property
                {
                    changes.push((argument.span.range(), new.to_owned()));
                }
            }
        }
        self.replace(changes);
    }

    /// Says something else of a property: whether it may be NULL.
    pub fn set_nullable(&mut self, name: &str, property: &str, nullable: bool) {
        let Some(syntax) = self.property(name, property) else {
            return;
        };
        let range = syntax.ty.span.range();
        let text = self.source[range.clone()].trim_end_matches('?').trim_end();
        let text = format!("{text}{}", if nullable { "?" } else { "" });
        self.replace(vec![(range, text)]);
    }

    /// Adds an annotation to a property, in place of those of its name; `None`: takes them away.
    pub fn annotate(&mut self, name: &str, property: &str, kind: &str, text: Option<&str>) {
        let Some(syntax) = self.property(name, property) else {
            return;
        };
        let old = syntax.annotations.iter();
        let old = old.filter(|annotation| annotation.name == kind);
        let mut changes: Vec<_> = old
            .map(|annotation| (annotation.span.range(), String::new()))
            .collect();
        if let Some(text) = text {
            let end = syntax.ty.span.end..syntax.ty.span.end;
            changes.push((end, format!(" {text}")));
        }
        self.replace(changes);
    }

    fn declaration(&self, name: &str) -> Option<&Declaration> {
        self.declarations
            .iter()
            .find(|declaration| declaration.name.value == name)
    }

    fn property(&self, name: &str, property: &str) -> Option<&PropertySyntax> {
        let mut properties = self.declaration(name)?.properties.iter();
        properties.find(|syntax| syntax.name.value == property)
    }

    /// The range, with the rest of its lines if nothing else stands on them.
    fn with_line(&self, range: Range<usize>) -> Range<usize> {
        let blank = |text: &str| text.chars().all(|c| matches!(c, ' ' | '\t' | ',' | ';'));
        let before = &self.source[..range.start];
        let line = before.rfind('\n').filter(|at| blank(&before[at + 1..]));
        let after = &self.source[range.end..];
        let rest = after.find('\n').filter(|at| blank(&after[..*at]));
        match (line, rest) {
            (Some(line), Some(rest)) => line..range.end + rest,
            _ => before.trim_end_matches([' ', '\t']).len()..range.end,
        }
    }

    /// Puts texts into the places of others.
    fn replace(&mut self, mut changes: Vec<(Range<usize>, String)>) {
        changes.sort_by_key(|(range, _)| range.start);
        let mut source = String::with_capacity(self.source.len());
        let mut at = 0;
        for (range, text) in changes {
            source.push_str(&self.source[at..range.start.max(at)]);
            source.push_str(&text);
            at = at.max(range.end);
        }
        source.push_str(&self.source[at..]);
        *self = Editor::of(source);
    }
}

/// A text as the schema language writes one.
pub fn quoted(text: &str) -> String {
    let mut written = String::from("\"");
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            written.push('\\');
        }
        written.push(c);
    }
    written.push('"');
    written
}

/// A property with its annotations.
fn whole(syntax: &PropertySyntax) -> Range<usize> {
    let ends = syntax
        .annotations
        .iter()
        .map(|annotation| annotation.span.end);
    syntax.name.span.start..ends.fold(syntax.ty.span.end, usize::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::SeededIds;

    const SOURCE: &str = "\
// People.
node Person {
    name: String @key  // who
    age: I32? @range(0..150)
    email: String?
    @unique(email)
}

edge Knows: Person -> Person { since: Date? }
edge Likes: Person -> Person
";

    fn edited(change: impl FnOnce(&mut Editor)) -> String {
        let schema = Schema::parse(SOURCE, &mut SeededIds(1)).expect("a schema");
        let mut editor = Editor::new(&schema);
        change(&mut editor);
        let source = editor.source().to_owned();
        let read = Schema::parse(&source, &mut SeededIds(1));
        assert!(read.is_ok(), "{source}\n{:?}", read.err());
        source
    }

    #[test]
    fn types_come_go_and_are_renamed_everywhere() {
        let added = edited(|editor| editor.add_type("node Team { name: String @key }\n"));
        assert_eq!(
            added,
            format!("{SOURCE}\nnode Team {{ name: String @key }}\n")
        );
        let removed = edited(|editor| editor.remove_type("Knows"));
        assert!(
            removed.ends_with("}\nedge Likes: Person -> Person\n"),
            "{removed}"
        );
        let renamed = edited(|editor| editor.rename_type("Person", "Human", None));
        assert!(
            renamed.contains("node Human @rename_from(\"Person\") {"),
            "{renamed}"
        );
        assert!(
            renamed.contains("edge Knows: Human -> Human {"),
            "{renamed}"
        );
        assert!(
            renamed.ends_with("edge Likes: Human -> Human\n"),
            "{renamed}"
        );
        let renamed = edited(|editor| editor.rename_type("Likes", "Adores", Some("adored by")));
        let expected =
            "edge Adores: Person -> Person @rename_from(\"Likes\") @sql(\"adored by\")\n";
        assert!(renamed.ends_with(expected), "{renamed}");
    }

    #[test]
    fn properties_come_and_go_and_comments_stay() {
        let added = edited(|editor| editor.add_property("Person", "born: Date?"));
        assert!(
            added.contains("    @unique(email)\n    born: Date?\n}"),
            "{added}"
        );
        let added = edited(|editor| editor.add_property("Knows", "how: String?"));
        assert!(added.contains("{ since: Date? how: String? }"), "{added}");
        let added = edited(|editor| editor.add_property("Likes", "how: String?"));
        assert!(added.ends_with("edge Likes: Person -> Person { how: String? }\n"));
        let removed = edited(|editor| editor.remove_property("Person", "email"));
        assert!(
            removed.contains("    age: I32? @range(0..150)\n}"),
            "{removed}"
        );
        assert!(removed.contains("@key  // who\n"), "{removed}");
        let removed = edited(|editor| editor.remove_property("Knows", "since"));
        assert!(
            removed.contains("edge Knows: Person -> Person {"),
            "{removed}"
        );
    }

    #[test]
    fn properties_are_said_differently() {
        let renamed = edited(|editor| editor.rename_property("Person", "email", "mail"));
        assert!(
            renamed.contains("    mail: String? @rename_from(\"email\")\n"),
            "{renamed}"
        );
        assert!(renamed.contains("@unique(mail)"), "{renamed}");
        let required = edited(|editor| editor.set_nullable("Person", "age", false));
        assert!(required.contains("age: I32 @range"), "{required}");
        let nullable = edited(|editor| editor.set_nullable("Person", "email", true));
        assert_eq!(nullable, SOURCE);
        let with = edited(|editor| {
            editor.annotate("Person", "age", "default", Some("@default(1)"));
            editor.annotate("Person", "age", "default", Some("@default(2)"));
        });
        assert!(with.contains("age: I32? @default(2)"), "{with}");
        assert!(!with.contains("@default(1)"), "{with}");
    }
}
