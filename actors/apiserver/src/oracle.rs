//! Recorded requests and answers of a Kubernetes API server, put to the pipeline on state in memory.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use cox_bus::{ApiReply, ApiRequest, PatchType, Verb, WriteOptions};
use cox_objects::{Key, Kinds, RequestId, Source, Status, User, kinds, scale};
use serde_json::{Value, json};

use crate::execute::{Asked, context};
use crate::pipeline::{self, finish, options};
use crate::state::memory::{Memory, Refused};
use crate::{bootstrap, test_config};

mod compare;
mod http;

/// A scenario's world.
pub(crate) struct World {
    memory: Memory,
    kinds: std::sync::Arc<Kinds>,
    config: crate::Config,
    namespace: String,
    answers: BTreeMap<String, Value>,
    bound: compare::Bound,
}

impl World {
    pub(crate) fn new(namespace: &str) -> Self {
        Self::with(namespace, test_config())
    }

    /// A world with other settings.
    pub(crate) fn with(namespace: &str, config: crate::Config) -> Self {
        let mut world = World {
            memory: Memory::new(),
            kinds: std::sync::Arc::new(kinds::builtin()),
            config,
            namespace: namespace.to_owned(),
            answers: BTreeMap::new(),
            bound: compare::Bound::default(),
        };
        let changes = bootstrap::for_tests(&world.kinds, &world.config);
        world.memory.transact(&changes, &[], &[]).expect("the defaults");
        for (path, object) in [
            ("/api/v1/namespaces".to_owned(), json!({"metadata": {"name": namespace}})),
            (format!("/api/v1/namespaces/{namespace}/serviceaccounts"), json!({"metadata": {"name": "default"}})),
        ] {
            let step = json!({"method": "POST", "path": path, "body": object});
            let (code, body, _) = world.send(&step).expect("a request");
            assert_eq!(code, 201, "{body}");
        }
        world
    }

    /// Puts a step's request; none if it is no business of the pipeline.
    pub(crate) fn send(&mut self, step: &Value) -> Option<(u16, Value, Vec<String>)> {
        let call = http::parse(step, &self.kinds)?;
        match call {
            http::Call::Get(key, subresource) => {
                let Some(object) = self.memory.get(&key.0) else {
                    return Some(status(&Status::not_found(&key.1, key.0.name())));
                };
                let value = object.value();
                let value = if subresource == "scale" { scale::of(&value).ok()? } else { value };
                Some((200, value, Vec::new()))
            }
            http::Call::Write(request) => {
                let reply = self.write(&request);
                let body = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
                // The gateway warns of deprecated kinds.
                let kind = self.kinds.at(&request.group, &request.version, &request.plural);
                let deprecation = kind.map(|kind| kind.deprecation.clone()).filter(|text| !text.is_empty());
                Some((reply.code, body, deprecation.into_iter().chain(reply.warnings).collect()))
            }
        }
    }

    fn write(&mut self, request: &ApiRequest) -> ApiReply {
        match self.attempt(request) {
            Ok(reply) => reply,
            Err(status) => ApiReply::error(&status),
        }
    }

    fn attempt(&mut self, request: &ApiRequest) -> Result<ApiReply, Status> {
        let kind = self.kinds.at(&request.group, &request.version, &request.plural);
        let kind = kind.ok_or_else(pipeline::no_such_resource)?.clone();
        let user = Cow::Owned(request.user.clone().unwrap_or_default());
        let asked = Asked { kind, request, user, progress: None };
        for _ in 0..5 {
            let plan = {
                let ctx = context(&self.memory, &self.kinds, &self.config, &asked);
                let plan = pipeline::decide(&ctx)?;
                if options::dry_run(&ctx) {
                    return finish::dry_run(&ctx, &plan);
                }
                plan
            };
            match self.memory.commit(&plan) {
                Ok(objects) => {
                    let head = self.memory.revision();
                    let ctx = context(&self.memory, &self.kinds, &self.config, &asked);
                    return finish::committed(&ctx, &plan, &objects, head);
                }
                Err(Refused::Conflict | Refused::Guard | Refused::Exists | Refused::Missing) => {}
            }
        }
        Err(Status::internal("the plan cannot be committed"))
    }
}

fn status(status: &Status) -> (u16, Value, Vec<String>) {
    (status.code, status.to_value(), Vec::new())
}

/// What came of the scenarios of an area.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: Vec<String>,
}

/// Runs all scenarios of an area.
pub(crate) fn run(area: &str) -> Tally {
    let mut tally = Tally::default();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/oracle/cases").join(area);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    for file in files {
        let scenario: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        one(&scenario, &mut tally);
    }
    tally
}

fn one(scenario: &Value, tally: &mut Tally) {
    let mut world = World::new("oracle-ns");
    let name = format!("{}/{}", scenario["area"].as_str().unwrap(), scenario["name"].as_str().unwrap());
    for step in scenario["steps"].as_array().unwrap() {
        let id = step["id"].as_str().unwrap();
        let Some(step) = http::filled(step, &world.namespace, &world.answers) else { continue };
        let Some((code, body, warnings)) = world.send(&step) else { continue };
        let masks = [&scenario["mask"], &step["mask"], &step["loose"]];
        let expected = &step["response"];
        let differences =
            compare::compare(&mut world.bound, expected, &masks, code, &body, &warnings, &world.namespace);
        world.answers.insert(id.to_owned(), body);
        // Controllers, and reads that wait for them, are not here.
        if differences.is_empty() {
            tally.passed += 1;
        } else if step.get("wait").is_none() && step["method"] != "GET" {
            tally.failed.push(format!("{name} {id}: {}", differences.join("; ")));
        }
    }
}

/// The areas, and how many steps of each must at least pass: what differs is listed in the test's output.
#[test]
fn recorded_answers_are_given() {
    let floors: &[(&str, usize)] = &[
        ("configmaps", 5),
        ("errors", 12),
        ("lists", 5),
        ("pods", 6),
        ("services", 4),
        ("patch", 164),
        ("delete", 152),
        ("kinds", 454),
        ("subresources", 80),
        ("auth", 186),
        ("admission", 164),
        ("content", 101),
        ("validation", 593),
        ("workloads", 1),
    ];
    let mut short = Vec::new();
    let areas = [
        "configmaps",
        "errors",
        "lists",
        "pods",
        "services",
        "patch",
        "delete",
        "kinds",
        "subresources",
        "auth",
        "admission",
        "content",
        "validation",
        "workloads",
    ];
    for area in areas {
        let tally = run(area);
        println!("{area}: {} passed, {} failed", tally.passed, tally.failed.len());
        for line in &tally.failed {
            println!("  {}", line.chars().take(600).collect::<String>());
        }
        let floor = floors.iter().find(|(a, _)| *a == area).map_or(0, |(_, f)| *f);
        if tally.passed < floor {
            short.push(format!("{area}: {} of {floor}", tally.passed));
        }
    }
    assert!(short.is_empty(), "{short:?}");
}
