//! From text to a path.

use serde_json::{Number, Value};

use crate::error::{Error, Result};

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Path {
    pub(super) strict: bool,
    pub(super) expr: Node,
}

/// An expression over items.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Root,
    Current,
    Last,
    Variable(String),
    Literal(Value),
    /// What is reached from an expression, step by step.
    Steps(Box<Node>, Vec<Step>),
    Arithmetic(char, Box<Node>, Box<Node>),
    Sign(bool, Box<Node>),
    /// A predicate as an item: true, false or null.
    Truth(Box<Test>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    Key(String),
    AnyKey,
    /// `.**{from to until}`
    Any(u32, u32),
    AnyElement,
    Elements(Vec<(Node, Option<Node>)>),
    Filter(Test),
    Method(&'static str),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    And(Box<Test>, Box<Test>),
    Or(Box<Test>, Box<Test>),
    Not(Box<Test>),
    IsUnknown(Box<Test>),
    Compare(&'static str, Node, Node),
    Exists(Node),
    StartsWith(Node, Node),
    LikeRegex(Node, String, String),
}

const METHODS: &[&str] = &[
    "type", "size", "double", "ceiling", "floor", "abs", "keyvalue",
];

/// How deep a path may nest.
const DEPTH: usize = 500;

pub(super) fn parse(text: &str) -> Result<Path> {
    let tokens = tokens(text)?;
    let mut parser = Parser {
        text,
        tokens,
        at: 0,
        depth: 0,
        filters: 0,
        subscripts: 0,
    };
    let strict = parser.take_word("strict");
    if !strict {
        parser.take_word("lax");
    }
    let expr = match parser.test_or_value()? {
        Parsed::Node(node) => node,
        Parsed::Test(test) => Node::Truth(Box::new(test)),
    };
    if parser.at < parser.tokens.len() {
        return Err(parser.unexpected());
    }
    Ok(Path { strict, expr })
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Number(Number),
    Variable(String),
    Sign(&'static str),
}

const SIGNS: &[&str] = &[
    "**", "==", "!=", "<>", "<=", ">=", "&&", "||", "$", "@", ".", "*", "[", "]", "(", ")", "{",
    "}", "?", ",", "+", "-", "/", "%", "<", ">", "!",
];

fn syntax(text: &str) -> Error {
    Error::value(
        "42601",
        format!("syntax error in jsonpath: \"{text}\" is no path"),
    )
}

fn tokens(text: &str) -> Result<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() {
            rest = &rest[first.len_utf8()..];
            continue;
        }
        if first == '"' {
            let (value, length) = string(rest).ok_or_else(|| syntax(text))?;
            tokens.push(Token::Text(value));
            rest = &rest[length..];
            continue;
        }
        if first.is_ascii_digit() {
            let mut length = 0;
            let bytes = rest.as_bytes();
            while length < bytes.len() {
                let byte = bytes[length];
                let exponent_sign =
                    matches!(byte, b'+' | b'-') && matches!(bytes[length - 1], b'e' | b'E');
                // `1.type()` is a method of 1, not a number.
                let point = byte == b'.' && bytes.get(length + 1).is_some_and(u8::is_ascii_digit);
                if !(byte.is_ascii_digit() || matches!(byte, b'e' | b'E') || exponent_sign || point)
                {
                    break;
                }
                length += 1;
            }
            let number = serde_json::from_str(&rest[..length]).map_err(|_| syntax(text))?;
            tokens.push(Token::Number(number));
            rest = &rest[length..];
            continue;
        }
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        if first == '$' {
            let name: String = rest[1..].chars().take_while(|c| is_name(*c)).collect();
            if !name.is_empty() {
                rest = &rest[1 + name.len()..];
                tokens.push(Token::Variable(name));
                continue;
            }
            if rest[1..].starts_with('"') {
                let (name, length) = string(&rest[1..]).ok_or_else(|| syntax(text))?;
                rest = &rest[1 + length..];
                tokens.push(Token::Variable(name));
                continue;
            }
        }
        if is_name(first) {
            let name: String = rest.chars().take_while(|c| is_name(*c)).collect();
            rest = &rest[name.len()..];
            tokens.push(Token::Word(name));
            continue;
        }
        let sign = SIGNS
            .iter()
            .find(|sign| rest.starts_with(**sign))
            .ok_or_else(|| syntax(text))?;
        tokens.push(Token::Sign(sign));
        rest = &rest[sign.len()..];
    }
    Ok(tokens)
}

/// A JSON string at the start of a text, and its length in it.
fn string(text: &str) -> Option<(String, usize)> {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find_map(|(at, c)| {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == '"' {
            return Some(at + 1);
        }
        None
    })?;
    Some((serde_json::from_str(&text[..end]).ok()?, end))
}

enum Parsed {
    Node(Node),
    Test(Test),
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    /// `@` means something in filters only, `last` in subscripts.
    filters: usize,
    subscripts: usize,
}

impl Parser<'_> {
    fn unexpected(&self) -> Error {
        syntax(self.text)
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Sign(found)) if *found == sign);
        self.at += usize::from(found);
        found
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(found)) if found == word);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<()> {
        if self.take(sign) {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    fn test(&mut self) -> Result<Test> {
        match self.test_or_value()? {
            Parsed::Test(test) => Ok(test),
            Parsed::Node(_) => Err(self.unexpected()),
        }
    }

    fn value(&mut self) -> Result<Node> {
        match self.sum()? {
            Parsed::Node(node) => Ok(node),
            Parsed::Test(_) => Err(self.unexpected()),
        }
    }

    fn test_or_value(&mut self) -> Result<Parsed> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Error::value("54001", "the jsonpath nests too deep"));
        }
        let mut left = self.conjunction()?;
        while self.take("||") {
            let right = self.conjunction()?;
            left = Parsed::Test(Test::Or(self.truth(left)?, self.truth(right)?));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn conjunction(&mut self) -> Result<Parsed> {
        let mut left = self.comparison()?;
        while self.take("&&") {
            let right = self.comparison()?;
            left = Parsed::Test(Test::And(self.truth(left)?, self.truth(right)?));
        }
        Ok(left)
    }

    fn truth(&self, parsed: Parsed) -> Result<Box<Test>> {
        match parsed {
            Parsed::Test(test) => Ok(Box::new(test)),
            Parsed::Node(_) => Err(self.unexpected()),
        }
    }

    fn comparison(&mut self) -> Result<Parsed> {
        if self.take("!") {
            let inner = self.comparison()?;
            return Ok(Parsed::Test(Test::Not(self.truth(inner)?)));
        }
        let left = match self.sum()? {
            Parsed::Test(test) => {
                if self.take_word("is") {
                    if !self.take_word("unknown") {
                        return Err(self.unexpected());
                    }
                    return Ok(Parsed::Test(Test::IsUnknown(Box::new(test))));
                }
                return Ok(Parsed::Test(test));
            }
            Parsed::Node(node) => node,
        };
        for (sign, operator) in [
            ("==", "=="),
            ("!=", "!="),
            ("<>", "!="),
            ("<=", "<="),
            (">=", ">="),
            ("<", "<"),
            (">", ">"),
        ] {
            if self.take(sign) {
                let right = self.value()?;
                return Ok(Parsed::Test(Test::Compare(operator, left, right)));
            }
        }
        if self.take_word("starts") {
            if !self.take_word("with") {
                return Err(self.unexpected());
            }
            let prefix = self.value()?;
            return Ok(Parsed::Test(Test::StartsWith(left, prefix)));
        }
        if self.take_word("like_regex") {
            let pattern = self.text_token()?;
            let flags = if self.take_word("flag") {
                self.text_token()?
            } else {
                String::new()
            };
            return Ok(Parsed::Test(Test::LikeRegex(left, pattern, flags)));
        }
        Ok(Parsed::Node(left))
    }

    fn text_token(&mut self) -> Result<String> {
        match self.peek() {
            Some(Token::Text(text)) => {
                let text = text.clone();
                self.at += 1;
                Ok(text)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn sum(&mut self) -> Result<Parsed> {
        let mut left = self.product()?;
        loop {
            let operator = if self.take("+") {
                '+'
            } else if self.take("-") {
                '-'
            } else {
                return Ok(left);
            };
            let right = self.product()?;
            left = self.arithmetic(operator, left, right)?;
        }
    }

    fn product(&mut self) -> Result<Parsed> {
        let mut left = self.signed()?;
        loop {
            let operator = if self.take("*") {
                '*'
            } else if self.take("/") {
                '/'
            } else if self.take("%") {
                '%'
            } else {
                return Ok(left);
            };
            let right = self.signed()?;
            left = self.arithmetic(operator, left, right)?;
        }
    }

    fn arithmetic(&self, operator: char, left: Parsed, right: Parsed) -> Result<Parsed> {
        match (left, right) {
            (Parsed::Node(left), Parsed::Node(right)) => Ok(Parsed::Node(Node::Arithmetic(
                operator,
                Box::new(left),
                Box::new(right),
            ))),
            _ => Err(self.unexpected()),
        }
    }

    fn signed(&mut self) -> Result<Parsed> {
        let minus = self.take("-");
        if minus || self.take("+") {
            return match self.signed()? {
                Parsed::Node(inner) => Ok(Parsed::Node(Node::Sign(minus, Box::new(inner)))),
                Parsed::Test(_) => Err(self.unexpected()),
            };
        }
        let start = match self.primary()? {
            Parsed::Node(node) => node,
            Parsed::Test(test) => {
                // `($.a == 1).type()` takes the truth as an item.
                if !matches!(self.peek(), Some(Token::Sign("." | "?" | "["))) {
                    return Ok(Parsed::Test(test));
                }
                Node::Truth(Box::new(test))
            }
        };
        let steps = self.steps()?;
        Ok(Parsed::Node(if steps.is_empty() {
            start
        } else {
            Node::Steps(Box::new(start), steps)
        }))
    }

    fn primary(&mut self) -> Result<Parsed> {
        let token = self.peek().cloned().ok_or_else(|| self.unexpected())?;
        self.at += 1;
        Ok(Parsed::Node(match token {
            Token::Sign("$") => Node::Root,
            Token::Sign("@") if self.filters > 0 => Node::Current,
            Token::Variable(name) => Node::Variable(name),
            Token::Number(number) => Node::Literal(Value::Number(number)),
            Token::Text(text) => Node::Literal(Value::String(text)),
            Token::Word(word) => match word.as_str() {
                "true" => Node::Literal(Value::Bool(true)),
                "false" => Node::Literal(Value::Bool(false)),
                "null" => Node::Literal(Value::Null),
                "last" if self.subscripts > 0 => Node::Last,
                "exists" => {
                    self.expect("(")?;
                    let inner = self.value()?;
                    self.expect(")")?;
                    return Ok(Parsed::Test(Test::Exists(inner)));
                }
                _ => return Err(self.unexpected()),
            },
            Token::Sign("(") => {
                let inner = self.test_or_value()?;
                self.expect(")")?;
                return Ok(inner);
            }
            Token::Sign(_) => return Err(self.unexpected()),
        }))
    }

    fn steps(&mut self) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        loop {
            if self.take("?") {
                self.expect("(")?;
                self.filters += 1;
                let test = self.test()?;
                self.filters -= 1;
                self.expect(")")?;
                steps.push(Step::Filter(test));
            } else if self.take("[") {
                steps.push(self.subscript()?);
            } else if self.take(".") {
                steps.push(self.member()?);
            } else {
                return Ok(steps);
            }
        }
    }

    fn subscript(&mut self) -> Result<Step> {
        if self.take("*") {
            self.expect("]")?;
            return Ok(Step::AnyElement);
        }
        self.subscripts += 1;
        let mut ranges = Vec::new();
        loop {
            let from = self.value()?;
            let to = if self.take_word("to") {
                Some(self.value()?)
            } else {
                None
            };
            ranges.push((from, to));
            if !self.take(",") {
                break;
            }
        }
        self.subscripts -= 1;
        self.expect("]")?;
        Ok(Step::Elements(ranges))
    }

    fn member(&mut self) -> Result<Step> {
        if self.take("**") {
            if !self.take("{") {
                return Ok(Step::Any(0, u32::MAX));
            }
            let from = self.level()?;
            let to = if self.take_word("to") {
                self.level()?
            } else {
                from
            };
            self.expect("}")?;
            return Ok(Step::Any(from, to));
        }
        if self.take("*") {
            return Ok(Step::AnyKey);
        }
        let key = match self.peek().cloned() {
            Some(Token::Text(key)) => {
                self.at += 1;
                return Ok(Step::Key(key));
            }
            Some(Token::Word(key)) => key,
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        if matches!(self.peek(), Some(Token::Sign("("))) {
            let method = METHODS.iter().find(|known| **known == key);
            self.at += 1;
            self.expect(")")?;
            return match method {
                Some(method) => Ok(Step::Method(method)),
                None => Err(Error::value(
                    "0A000",
                    format!("the jsonpath method .{key}() is not supported"),
                )),
            };
        }
        Ok(Step::Key(key))
    }

    fn level(&mut self) -> Result<u32> {
        if self.take_word("last") {
            return Ok(u32::MAX);
        }
        match self.peek() {
            Some(Token::Number(number)) => {
                let level = number.as_u64().and_then(|level| u32::try_from(level).ok());
                self.at += 1;
                level.ok_or_else(|| self.unexpected())
            }
            _ => Err(self.unexpected()),
        }
    }
}
