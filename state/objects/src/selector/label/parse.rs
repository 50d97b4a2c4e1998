//! The grammar of label selectors in queries: tokens, then one requirement after the other.

use std::collections::BTreeSet;

use super::{LabelSelectorError, Operator, Requirement, key_fault};
use crate::field::Path;

type Result<T> = std::result::Result<T, LabelSelectorError>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    End,
    Identifier,
    Comma,
    Open,
    Close,
    Not,
    Compare(Operator),
}

struct Parser<'a> {
    tokens: Vec<(Token, &'a str)>,
    next: usize,
}

fn special(b: u8) -> bool {
    b"=!(),><".contains(&b)
}

fn blank(b: u8) -> bool {
    b" \t\r\n".contains(&b)
}

fn scan(text: &str) -> Vec<(Token, &str)> {
    let mut tokens = Vec::new();
    // A zero byte ends the text, as in Kubernetes' scanner.
    let mut rest = text.split('\0').next().unwrap_or_default();
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii() && blank(c as u8));
        let Some(first) = rest.bytes().next() else {
            tokens.push((Token::End, ""));
            return tokens;
        };
        let length = match first {
            b'=' | b'!' if rest.as_bytes().get(1) == Some(&b'=') => 2,
            b if special(b) => 1,
            _ => rest.bytes().position(|b| special(b) || blank(b)).unwrap_or(rest.len()),
        };
        let (literal, after) = rest.split_at(length);
        tokens.push((token(literal), literal));
        rest = after;
    }
}

fn token(literal: &str) -> Token {
    match literal {
        "," => Token::Comma,
        "(" => Token::Open,
        ")" => Token::Close,
        "!" => Token::Not,
        "=" => Token::Compare(Operator::Equals),
        "==" => Token::Compare(Operator::DoubleEquals),
        "!=" => Token::Compare(Operator::NotEquals),
        ">" => Token::Compare(Operator::GreaterThan),
        "<" => Token::Compare(Operator::LessThan),
        "in" => Token::Compare(Operator::In),
        "notin" => Token::Compare(Operator::NotIn),
        _ => Token::Identifier,
    }
}

fn expected<T>(found: &str, what: &str) -> Result<T> {
    Err(LabelSelectorError::Token(format!("found '{found}', expected: {what}")))
}

pub(super) fn parse(text: &str) -> Result<Vec<Requirement>> {
    let mut parser = Parser { tokens: scan(text), next: 0 };
    let mut requirements = Vec::new();
    loop {
        match parser.peek() {
            (Token::End, _) => return Ok(requirements),
            (Token::Identifier | Token::Not, _) => {
                let requirement = parser.requirement().map_err(|e| LabelSelectorError::Requirement(Box::new(e)))?;
                requirements.push(requirement);
            }
            (_, literal) => return expected(literal, "!, identifier, or 'end of string'"),
        }
        match parser.take() {
            (Token::End, _) => return Ok(requirements),
            (Token::Comma, _) => match parser.peek() {
                (Token::Identifier | Token::Not, _) => {}
                (_, literal) => return expected(literal, "identifier after ','"),
            },
            (_, literal) => return expected(literal, "',' or 'end of string'"),
        }
    }
}

impl<'a> Parser<'a> {
    /// The next token; `in` and `notin` are words, but where an operator is expected.
    fn peek(&self) -> (Token, &'a str) {
        match self.tokens.get(self.next).copied() {
            Some((Token::Compare(Operator::In | Operator::NotIn), literal)) => (Token::Identifier, literal),
            Some(token) => token,
            None => (Token::End, ""),
        }
    }

    fn take(&mut self) -> (Token, &'a str) {
        let token = self.peek();
        self.next += 1;
        token
    }

    fn requirement(&mut self) -> Result<Requirement> {
        let (mut token, mut key) = self.take();
        let negated = token == Token::Not;
        if negated {
            (token, key) = self.take();
        }
        if token != Token::Identifier {
            return expected(key, "identifier");
        }
        if let Some(error) = key_fault(key, &Path::root()) {
            return Err(LabelSelectorError::Invalid(vec![error]));
        }
        let alone = matches!(self.peek().0, Token::End | Token::Comma);
        match (negated, alone) {
            (true, _) => return Requirement::new(key, Operator::DoesNotExist, Vec::new()),
            (false, true) => return Requirement::new(key, Operator::Exists, Vec::new()),
            (false, false) => {}
        }
        let operator = match self.tokens.get(self.next).copied() {
            Some((Token::Compare(operator), _)) => operator,
            other => return expected(other.map_or("", |(_, literal)| literal), "in, notin, =, ==, !=, gt, lt"),
        };
        self.next += 1;
        let values = match operator {
            Operator::In | Operator::NotIn => self.values()?,
            _ => BTreeSet::from([self.exact_value()?]),
        };
        Requirement::new(key, operator, values.into_iter().map(str::to_owned).collect())
    }

    fn exact_value(&mut self) -> Result<&'a str> {
        if matches!(self.peek().0, Token::End | Token::Comma) {
            return Ok("");
        }
        match self.take() {
            (Token::Identifier, literal) => Ok(literal),
            (_, literal) => expected(literal, "identifier"),
        }
    }

    fn values(&mut self) -> Result<BTreeSet<&'a str>> {
        match self.take() {
            (Token::Open, _) => {}
            // Kubernetes has no comma in this one.
            (_, literal) => return Err(LabelSelectorError::Token(format!("found '{literal}' expected: '('"))),
        }
        match self.peek() {
            (Token::Close, _) => {
                self.next += 1;
                Ok(BTreeSet::from([""]))
            }
            (Token::Identifier | Token::Comma, _) => {
                let values = self.listed()?;
                self.next += 1; // the closing parenthesis at which the list ended
                Ok(values)
            }
            (_, literal) => expected(literal, "',', ')' or identifier"),
        }
    }

    /// Words between commas, up to a closing parenthesis; there may be nothing between two commas.
    fn listed(&mut self) -> Result<BTreeSet<&'a str>> {
        let mut values = BTreeSet::new();
        loop {
            match self.take() {
                (Token::Identifier, literal) => {
                    values.insert(literal);
                    match self.peek() {
                        (Token::Comma, _) => {}
                        (Token::Close, _) => return Ok(values),
                        (_, literal) => return expected(literal, "',' or ')'"),
                    }
                }
                (Token::Comma, _) => {
                    let after = self.peek().0;
                    if values.is_empty() || matches!(after, Token::Close | Token::Comma) {
                        values.insert("");
                    }
                    if after == Token::Close {
                        return Ok(values);
                    }
                }
                (_, literal) => return expected(literal, "',', or identifier"),
            }
        }
    }
}
