//! What a `.gq` text says, before its names mean anything.

use crate::schema::{PropertyType, Span, Spanned};

#[derive(Debug)]
pub(super) struct QuerySyntax {
    pub name: Spanned<String>,
    pub parameters: Vec<ParameterSyntax>,
    pub annotations: Vec<(Spanned<String>, String)>,
    pub body: BodySyntax,
}

#[derive(Debug)]
pub(super) struct ParameterSyntax {
    /// Without the `$`.
    pub name: Spanned<String>,
    /// `None`: a type that there is not; it was reported.
    pub ty: Option<PropertyType>,
    pub nullable: bool,
}

#[derive(Debug)]
pub(super) enum BodySyntax {
    Read(ReadSyntax),
    Changes(Vec<ChangeSyntax>),
}

#[derive(Debug, Default)]
pub(super) struct ReadSyntax {
    pub clauses: Vec<ClauseSyntax>,
    pub distinct: bool,
    pub outputs: Vec<OutputSyntax>,
    pub order: Vec<(ExprSyntax, bool)>,
    pub limit: Option<Spanned<u64>>,
    pub offset: Option<Spanned<u64>>,
}

#[derive(Debug)]
pub(super) enum ClauseSyntax {
    Bind {
        variable: Spanned<String>,
        ty: Spanned<String>,
        fields: Vec<FieldSyntax>,
    },
    Traverse(TraverseSyntax),
    Condition(ExprSyntax),
    Not(Vec<ClauseSyntax>),
}

#[derive(Debug)]
pub(super) struct TraverseSyntax {
    pub from: Spanned<String>,
    pub variable: Option<Spanned<String>>,
    pub edge: Spanned<String>,
    pub undirected: bool,
    pub hops: Option<Spanned<(u32, Option<u32>)>>,
    pub to: Spanned<String>,
}

#[derive(Debug)]
pub(super) struct FieldSyntax {
    pub name: Spanned<String>,
    pub value: ExprSyntax,
}

#[derive(Debug)]
pub(super) struct OutputSyntax {
    pub value: ExprSyntax,
    pub alias: Option<Spanned<String>>,
}

#[derive(Debug)]
pub(super) enum ChangeSyntax {
    Insert {
        ty: Spanned<String>,
        fields: Vec<FieldSyntax>,
    },
    Update {
        ty: Spanned<String>,
        fields: Vec<FieldSyntax>,
        condition: ExprSyntax,
    },
    Delete {
        ty: Spanned<String>,
        condition: ExprSyntax,
    },
}

#[derive(Debug, Clone)]
pub(super) struct ExprSyntax {
    pub span: Span,
    pub kind: ExprKind,
}

#[derive(Debug, Clone)]
pub(super) enum ExprKind {
    /// Without the `$`.
    Variable(String),
    Property {
        variable: Spanned<String>,
        name: Spanned<String>,
    },
    Word(String),
    Text(String),
    /// As written.
    Number(String),
    List(Vec<ExprSyntax>),
    Call {
        function: Spanned<String>,
        distinct: bool,
        arguments: Vec<ExprSyntax>,
    },
    Negative(Box<ExprSyntax>),
    Not(Box<ExprSyntax>),
    And(Vec<ExprSyntax>),
    Or(Vec<ExprSyntax>),
    Binary(Operator, Box<ExprSyntax>, Box<ExprSyntax>),
    IsNull {
        value: Box<ExprSyntax>,
        negated: bool,
    },
    In {
        value: Box<ExprSyntax>,
        list: Box<ExprSyntax>,
        negated: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Contains,
    StartsWith,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

impl Operator {
    pub(super) fn read(text: &str) -> Option<Self> {
        Some(match text {
            "=" => Operator::Equal,
            "!=" => Operator::NotEqual,
            "<" => Operator::Less,
            "<=" => Operator::LessOrEqual,
            ">" => Operator::Greater,
            ">=" => Operator::GreaterOrEqual,
            "contains" => Operator::Contains,
            "starts_with" => Operator::StartsWith,
            "+" => Operator::Add,
            "-" => Operator::Subtract,
            "*" => Operator::Multiply,
            "/" => Operator::Divide,
            "%" => Operator::Modulo,
            _ => return None,
        })
    }

    pub(super) fn is_arithmetic(self) -> bool {
        matches!(
            self,
            Operator::Add
                | Operator::Subtract
                | Operator::Multiply
                | Operator::Divide
                | Operator::Modulo
        )
    }
}
