//! Reads the table of types from its text form.
//!
//! Three kinds of lines, columns separated by tabs:
//! - `kind GROUP VERSION KIND TYPE`: where a kind's type is.
//! - `type DEFINITION GO`: begins a type; types are numbered from 0.
//! - (empty) `NAME SHAPE NUMBER FLAG…`: a field of it. An empty name is a protobuf message inside this one.
//!
//! Shapes: `s` string (`s:NAME` of a named type), `i` `l` integers, `b` bool, `y` bytes, `q` quantity, `o`
//! int-or-string, `t` time, `m` micro time, `a` any, `f` fieldsV1, `@N` type N, `[S` list, `{S` map.
//! Flags: `e` omitempty, `z` omitzero, `p` pointer, `r` required, `s=` patch strategy, `k=` merge key, `l=` list type,
//! `m=` list keys, `d=` default.

use super::{Field, Patch, Schema, Shape, Type, TypeId};

const TABLE: &str = include_str!("../../data/types.txt");

/// The embedded table.
pub(super) fn parse() -> Schema {
    let mut schema = Schema { types: Vec::new(), kinds: Vec::new() };
    for line in TABLE.lines() {
        let mut columns = line.split('\t');
        match columns.next() {
            Some("kind") => {
                let mut next = || columns.next().unwrap_or_default();
                let (group, version, kind, at) = (next(), next(), next(), next());
                schema.kinds.push((group, version, kind, at.trim_start_matches('@').parse().unwrap_or(usize::MAX)));
            }
            Some("type") => {
                let (definition, go) = (columns.next().unwrap_or_default(), columns.next().unwrap_or_default());
                schema.types.push(Type { definition, go, fields: Vec::new(), inlined: Vec::new() });
            }
            _ => {
                if let Some(owner) = schema.types.last_mut() {
                    add_field(owner, columns);
                }
            }
        }
    }
    schema
}

fn add_field(owner: &mut Type, mut columns: std::str::Split<'static, char>) {
    let name = columns.next().unwrap_or_default();
    let shape = shape(columns.next().unwrap_or_default());
    let number = columns.next().and_then(|n| n.parse().ok()).unwrap_or(0);
    if let (true, Shape::Struct(id)) = (name.is_empty(), &shape) {
        owner.inlined.push((number, *id));
        return;
    }
    let mut field = Field {
        name,
        shape,
        number,
        pointer: false,
        omit_empty: false,
        omit_zero: false,
        required: false,
        patch: Patch::default(),
        list_type: "",
        list_keys: Vec::new(),
        default: None,
    };
    for flag in columns {
        match flag.split_once('=') {
            None if flag == "e" => field.omit_empty = true,
            None if flag == "z" => field.omit_zero = true,
            None if flag == "p" => field.pointer = true,
            None if flag == "r" => field.required = true,
            Some(("s", strategies)) => {
                field.patch.merge = strategies.split(',').any(|s| s == "merge");
                field.patch.retain_keys = strategies.split(',').any(|s| s == "retainKeys");
            }
            Some(("k", key)) => field.patch.merge_key = key,
            Some(("l", list_type)) => field.list_type = list_type,
            Some(("m", keys)) => field.list_keys = keys.split(',').collect(),
            Some(("d", default)) => field.default = serde_json::from_str(default).ok(),
            _ => {}
        }
    }
    owner.fields.push(field);
}

fn shape(text: &'static str) -> Shape {
    let (head, rest) = text.split_at_checked(1).unwrap_or((text, ""));
    match head {
        "s" => Shape::String(rest.strip_prefix(':').unwrap_or("string")),
        "i" => Shape::Int32,
        "l" => Shape::Int64,
        "b" => Shape::Bool,
        "y" => Shape::Bytes,
        "q" => Shape::Quantity,
        "o" => Shape::IntOrString,
        "t" => Shape::Time,
        "m" => Shape::MicroTime,
        "f" => Shape::Fields,
        "@" => Shape::Struct(TypeId(rest.parse().unwrap_or(usize::MAX))),
        "[" => Shape::List(Box::new(shape(rest))),
        "{" => Shape::Map(Box::new(shape(rest))),
        _ => Shape::Any,
    }
}
