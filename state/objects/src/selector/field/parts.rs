//! The parts of an object that its fields are taken from, read without building the rest.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::fields_of;
use crate::meta::Text;
use crate::{Object, Resource};

/// Where values come from that are not at the path of their field.
const ELSEWHERE: [(&str, &str); 2] = [("pods", "status.podIPs"), ("jobs.batch", "status.succeeded")];

/// An object of a resource with nothing in it but what its fields are taken from; null if that does not have the form of an object.
pub(super) fn read(resource: &Resource, object: &Object) -> Value {
    let elsewhere = ELSEWHERE.iter().filter(|(of, _)| *of == resource.as_str()).map(|(_, path)| *path);
    let paths: Vec<&str> = fields_of(resource).iter().copied().chain(elsewhere).collect();
    let parts = Parts { paths: &paths, within: None };
    parts.deserialize(&mut serde_json::Deserializer::from_slice(object.bytes())).unwrap_or_default()
}

/// The members of an object that paths of one or two names lead to: of the whole object, or of one of its members.
#[derive(Clone, Copy)]
struct Parts<'a> {
    paths: &'a [&'a str],
    within: Option<&'a str>,
}

/// What is to be read of a member.
enum Wanted {
    All,
    Parts,
    Nothing,
}

impl Parts<'_> {
    fn wants(&self, name: &str) -> Wanted {
        let mut wanted = Wanted::Nothing;
        for path in self.paths {
            let rest = match (self.within, path.split_once('.')) {
                (None, None) => (*path == name).then_some(None),
                (None, Some((first, second))) => (first == name).then_some(Some(second)),
                (Some(within), Some((first, second))) => (first == within && second == name).then_some(None),
                (Some(_), None) => None,
            };
            match rest {
                Some(None) => return Wanted::All,
                Some(Some(_)) => wanted = Wanted::Parts,
                None => {}
            }
        }
        wanted
    }
}

impl<'de> DeserializeSeed<'de> for Parts<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Parts<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or null")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut parts = Map::new();
        while let Some(name) = members.next_key::<Text<'de>>()? {
            let part = match self.wants(&name) {
                Wanted::All => members.next_value()?,
                Wanted::Parts => members.next_value_seed(Parts { within: Some(&name), ..self })?,
                Wanted::Nothing => {
                    members.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            parts.insert(name.to_string(), part);
        }
        Ok(parts.into())
    }
}
