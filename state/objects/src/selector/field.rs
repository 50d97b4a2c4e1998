//! Field selectors: the few fields of a kind by which its objects can be selected.

mod offered;
mod parts;

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

use crate::{Kind, Object, Resource, meta};
pub use offered::fields_of;

/// Why something is not a field selector; the texts are Kubernetes'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldSelectorError {
    /// A term has no operator.
    #[error("invalid selector: '{selector}'; can't understand '{term}'")]
    Syntax {
        /// The whole text.
        selector: String,
        /// The term.
        term: String,
    },
    /// A backslash stands before something that needs none.
    #[error("invalid field selector: invalid escape sequence: {0}")]
    Escape(String),
    /// A comma or an equals sign stands in a value without a backslash.
    #[error("invalid field selector: unescaped character in value: {}", u32::from(*.0))]
    Unescaped(char),
    /// The kind does not offer the field; each family of kinds has its own words.
    #[error("{0}")]
    NotOffered(String),
}

/// A condition on one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// The field, by the name under which the stored resource has it.
    pub field: String,
    /// The value.
    pub value: String,
    /// Whether the field must differ from it.
    pub negated: bool,
}

/// Conditions on fields that must all hold; without any, everything is selected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    /// The conditions, in the order of their texts.
    pub terms: Vec<Term>,
}

impl FieldSelector {
    /// Reads `metadata.name=a,spec.nodeName!=b` for a kind. `==` means `=`; `\`, `,` and `=` in values stand behind a
    /// backslash.
    ///
    /// # Errors
    /// If it cannot be read, or names a field that the kind does not offer.
    pub fn parse(kind: &Kind, text: &str) -> Result<Self, FieldSelectorError> {
        let mut texts = split_terms(text);
        texts.sort_unstable();
        let mut terms = Vec::new();
        for term in texts.into_iter().filter(|t| !t.is_empty()) {
            let (field, value, negated) = split_term(term)
                .ok_or_else(|| FieldSelectorError::Syntax { selector: text.to_owned(), term: term.to_owned() })?;
            terms.push(Term { field: field.to_owned(), value: unescape(value)?, negated });
        }
        // All terms are read before the first field is looked at.
        for term in &mut terms {
            term.field = offered::translate(kind, &term.field)?.to_owned();
        }
        Ok(FieldSelector { terms })
    }

    /// The selector for one field's value.
    pub fn equal(field: &str, value: &str) -> Self {
        FieldSelector { terms: vec![Term { field: field.to_owned(), value: value.to_owned(), negated: false }] }
    }

    /// Whether it selects everything.
    pub fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    /// The value that a field must have, if the selector says so: what an index can serve.
    pub fn exact(&self, field: &str) -> Option<&str> {
        self.terms.iter().find(|t| t.field == field && !t.negated).map(|t| t.value.as_str())
    }

    /// Whether an object with these values of its fields is selected.
    pub fn matches<'a>(&self, fields: impl Fn(&str) -> Cow<'a, str>) -> bool {
        self.terms.iter().all(|t| (fields(&t.field) == t.value) != t.negated)
    }
}

/// The form that [`FieldSelector::parse`] reads.
impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, term) in self.terms.iter().enumerate() {
            let value = term.value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
            let operator = if term.negated { "!=" } else { "=" };
            write!(f, "{}{}{operator}{value}", if i == 0 { "" } else { "," }, term.field)?;
        }
        Ok(())
    }
}

fn split_terms(text: &str) -> Vec<&str> {
    let mut escaped = false;
    text.split(|c: char| {
        let ends = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })
    .collect()
}

fn split_term(term: &str) -> Option<(&str, &str, bool)> {
    let at = term
        .char_indices()
        .find(|(i, c)| *c == '=' || (*c == '!' && term.get(i + 1..).is_some_and(|t| t.starts_with('='))))?
        .0;
    let (field, rest) = term.split_at(at);
    if let Some(value) = rest.strip_prefix("!=") {
        return Some((field, value, true));
    }
    let value = rest.strip_prefix("==").or_else(|| rest.strip_prefix('='))?;
    Some((field, value, false))
}

fn unescape(value: &str) -> Result<String, FieldSelectorError> {
    let mut text = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => text.push(c),
                other => return Err(FieldSelectorError::Escape(std::iter::once('\\').chain(other).collect())),
            },
            ',' | '=' => return Err(FieldSelectorError::Unescaped(c)),
            c => text.push(c),
        }
    }
    Ok(text)
}

/// The value by which an object of a resource is selected: strings as they are, absent numbers 0, absent booleans false.
pub fn value_of<'a>(resource: &Resource, object: &'a Value, field: &str) -> Cow<'a, str> {
    let found = match (resource.as_str(), field) {
        ("events", "source") => match meta::text(object, "source.component") {
            "" => meta::get(object, "reportingComponent"),
            component => return Cow::Borrowed(component),
        },
        ("pods", "status.podIP") => match object.pointer("/status/podIPs/0/ip") {
            Some(address) => address,
            None => meta::get(object, field),
        },
        ("jobs.batch", "status.successful") => meta::get(object, "status.succeeded"),
        _ => meta::get(object, field),
    };
    match found {
        Value::String(text) => Cow::Borrowed(text),
        Value::Bool(flag) => Cow::Borrowed(if *flag { "true" } else { "false" }),
        Value::Number(number) => Cow::Owned(number.to_string()),
        _ => Cow::Borrowed(offered::unset(field)),
    }
}

/// The values of all selectable fields of one object, taken out once to be matched many times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<(&'static str, String)>);

impl Fields {
    /// Takes them from an object of a resource; what they are not taken from is passed over.
    pub fn of(resource: &Resource, object: &Object) -> Self {
        let object = parts::read(resource, object);
        let value = |field: &&'static str| (*field, value_of(resource, &object, field).into_owned());
        Fields(fields_of(resource).iter().map(value).collect())
    }

    /// The value of a field; empty for one that the resource does not have.
    pub fn get(&self, field: &str) -> &str {
        self.0.iter().find(|(name, _)| *name == field).map_or("", |(_, value)| value)
    }
}
