//! Label selectors: the string form of queries, and the `matchLabels`/`matchExpressions` form of objects.

mod parse;

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use super::Labels;
use crate::field::{FieldError, Path};
use crate::name;

/// How a requirement compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `=`
    Equals,
    /// `==`
    DoubleEquals,
    /// `!=`
    NotEquals,
    /// `in`
    In,
    /// `notin`
    NotIn,
    /// `key`
    Exists,
    /// `!key`
    DoesNotExist,
    /// `>`, of whole numbers
    GreaterThan,
    /// `<`, of whole numbers
    LessThan,
}

/// One condition on one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// How its value is compared.
    pub operator: Operator,
    /// With what; sorted.
    pub values: Vec<String>,
}

/// Conditions that must all hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelSelector {
    /// All of these hold; with none, everything is selected.
    All(Vec<Requirement>),
    /// Nothing is selected: what an absent `selector` of an object means.
    Nothing,
}

impl Default for LabelSelector {
    fn default() -> Self {
        LabelSelector::All(Vec::new())
    }
}

/// Why something is not a label selector; the texts are Kubernetes'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelSelectorError {
    /// A requirement in the string form.
    #[error("unable to parse requirement: {0}")]
    Requirement(Box<LabelSelectorError>),
    /// Another token was expected.
    #[error("{0}")]
    Token(String),
    /// Keys or values are not as labels must be.
    #[error("{}", aggregate(.0))]
    Invalid(Vec<FieldError>),
    /// An operator of an object's selector is unknown.
    #[error("{0:?} is not a valid label selector operator")]
    Operator(String),
    /// An object's selector does not have the form of one.
    #[error("not a label selector: {0}")]
    Form(String),
}

fn aggregate(errors: &[FieldError]) -> String {
    match errors {
        [one] => one.to_string(),
        many => format!("[{}]", many.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    }
}

impl Requirement {
    /// A requirement with good key and values.
    ///
    /// # Errors
    /// With all that is wrong with them.
    pub fn new(key: &str, operator: Operator, mut values: Vec<String>) -> Result<Self, LabelSelectorError> {
        let path = Path::new("values");
        let mut errors = Vec::new();
        if let Some(error) = key_fault(key, &Path::new("key")) {
            errors.push(error);
        }
        let fault = match operator {
            Operator::In | Operator::NotIn if values.is_empty() => {
                "for 'in', 'notin' operators, values set can't be empty"
            }
            Operator::Equals | Operator::DoubleEquals | Operator::NotEquals if values.len() != 1 => {
                "exact-match compatibility requires one single value"
            }
            Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
                "values set must be empty for exists and does not exist"
            }
            Operator::GreaterThan | Operator::LessThan if values.len() != 1 => {
                "for 'Gt', 'Lt' operators, exactly one value is required"
            }
            _ => "",
        };
        if !fault.is_empty() {
            errors.push(FieldError::invalid(&path, values.clone(), fault));
        }
        if matches!(operator, Operator::GreaterThan | Operator::LessThan) {
            for (i, value) in values.iter().enumerate().filter(|(_, v)| number(v).is_none()) {
                let detail = "for 'Gt', 'Lt' operators, the value must be an integer";
                errors.push(FieldError::invalid(&path.index(i), value.as_str(), detail));
            }
        }
        for (i, value) in values.iter().enumerate() {
            let faults = name::is_label_value(value);
            if !faults.is_empty() {
                errors.push(FieldError::invalid(&path.index(i).key(key), value.as_str(), &faults.join("; ")));
            }
        }
        if !errors.is_empty() {
            return Err(LabelSelectorError::Invalid(errors));
        }
        values.sort();
        Ok(Requirement { key: key.to_owned(), operator, values })
    }

    /// Whether labels meet it.
    pub fn matches(&self, labels: &impl Labels) -> bool {
        let value = labels.label(&self.key);
        let listed = |value: &str| self.values.iter().any(|v| v == value);
        match self.operator {
            Operator::Equals | Operator::DoubleEquals | Operator::In => value.is_some_and(listed),
            Operator::NotEquals | Operator::NotIn => !value.is_some_and(listed),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => self.compares(value, |a, b| a > b),
            Operator::LessThan => self.compares(value, |a, b| a < b),
        }
    }

    fn compares(&self, value: Option<&str>, holds: fn(i64, i64) -> bool) -> bool {
        let bound = self.values.first().and_then(|v| number(v));
        value.and_then(number).zip(bound).is_some_and(|(value, bound)| holds(value, bound))
    }
}

fn number(text: &str) -> Option<i64> {
    text.parse().ok()
}

fn key_fault(key: &str, path: &Path) -> Option<FieldError> {
    let faults = name::is_label_key(key);
    (!faults.is_empty()).then(|| FieldError::invalid(path, key, &faults.join("; ")))
}

/// The selector of an object, as JSON.
#[derive(Deserialize)]
struct Spec {
    #[serde(rename = "matchLabels")]
    match_labels: Option<BTreeMap<String, String>>,
    #[serde(rename = "matchExpressions")]
    match_expressions: Option<Vec<Expression>>,
}

#[derive(Deserialize)]
struct Expression {
    #[serde(default)]
    key: String,
    #[serde(default)]
    operator: String,
    values: Option<Vec<String>>,
}

impl LabelSelector {
    /// Reads the string form: `a=b,c!=d,e in (x,y),!f,g>1`. An empty string selects everything.
    ///
    /// # Errors
    /// With Kubernetes' text.
    pub fn parse(text: &str) -> Result<Self, LabelSelectorError> {
        Ok(Self::of(parse::parse(text)?))
    }

    /// Reads an object's selector with `matchLabels` and `matchExpressions`. An empty one selects everything, null
    /// nothing.
    ///
    /// # Errors
    /// If it is not the JSON of a selector, or a requirement in it is not valid.
    pub fn from_value(value: &Value) -> Result<Self, LabelSelectorError> {
        if value.is_null() {
            return Ok(LabelSelector::Nothing);
        }
        let spec = Spec::deserialize(value).map_err(|e| LabelSelectorError::Form(e.to_string()))?;
        let mut requirements = Vec::new();
        for (key, value) in spec.match_labels.unwrap_or_default() {
            requirements.push(Requirement::new(&key, Operator::Equals, vec![value])?);
        }
        for expression in spec.match_expressions.unwrap_or_default() {
            let operator = match expression.operator.as_str() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                _ => return Err(LabelSelectorError::Operator(expression.operator)),
            };
            requirements.push(Requirement::new(&expression.key, operator, expression.values.unwrap_or_default())?);
        }
        Ok(Self::of(requirements))
    }

    /// The selector for objects that have all these labels (a Service's or ReplicationController's `selector`).
    /// Nothing is checked; without labels it selects everything.
    pub fn from_labels<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let requirement = |(key, value): (&str, &str)| Requirement {
            key: key.to_owned(),
            operator: Operator::Equals,
            values: vec![value.to_owned()],
        };
        Self::of(labels.into_iter().map(requirement).collect())
    }

    fn of(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        LabelSelector::All(requirements)
    }

    /// Whether it selects everything.
    pub fn is_everything(&self) -> bool {
        matches!(self, LabelSelector::All(requirements) if requirements.is_empty())
    }

    /// Whether labels are selected.
    pub fn matches(&self, labels: &impl Labels) -> bool {
        match self {
            LabelSelector::All(requirements) => requirements.iter().all(|r| r.matches(labels)),
            LabelSelector::Nothing => false,
        }
    }

    /// The labels that a selected object has with exactly these values: what an index by label can serve.
    pub fn exact(&self) -> impl Iterator<Item = (&str, &str)> {
        self.requirements().iter().filter_map(|r| match (r.operator, r.values.as_slice()) {
            (Operator::Equals | Operator::DoubleEquals | Operator::In, [value]) => {
                Some((r.key.as_str(), value.as_str()))
            }
            _ => None,
        })
    }

    /// Its conditions, in the order of their keys.
    pub fn requirements(&self) -> &[Requirement] {
        match self {
            LabelSelector::All(requirements) => requirements,
            LabelSelector::Nothing => &[],
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, values) = (&self.key, self.values.join(","));
        match self.operator {
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

/// The string form, as `status.selector` of a Scale has it.
impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, requirement) in self.requirements().iter().enumerate() {
            write!(f, "{}{requirement}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}
