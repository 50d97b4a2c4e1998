//! The report as a person reads it: a tree for each component, a line for each actor.

use std::collections::BTreeMap;
use std::fmt::Write;

use cox_bus::Identity;
use cox_kit::supervise::{Node, State};

use super::{Answer, Report, kept, told};

/// The report; with colours if it goes to a terminal.
pub(super) fn text(report: &Report, colours: bool) -> String {
    let paint = Paint(colours);
    let mut out = String::new();
    let head = match &report.head {
        Ok(head) => format!("revision {} of epoch {}", head.revision, head.epoch),
        Err(error) => paint.red(error),
    };
    let _ = writeln!(out, "{} {}: {head}", paint.bold("cluster"), report.cluster);
    for fault in &report.faults {
        let _ = writeln!(out, "{} {}", paint.red("✗"), paint.red(&told(fault)));
    }
    if let Some(log) = &report.log {
        let _ = writeln!(out, "{} {}", paint.bold("log"), kept::text(log));
    }
    for answer in &report.answers {
        let Answer { identity, told } = answer;
        let told = match told {
            Ok(told) => told,
            // Many clusters run without the node that they have credentials for.
            Err(error) if matches!(identity, Identity::Node(_) | Identity::Proxy(_)) => {
                let _ = writeln!(out, "\n{}", paint.dim(&format!("○ {identity} {error}")));
                continue;
            }
            Err(error) => {
                let _ =
                    writeln!(out, "\n{} {} {}", paint.red("✗"), paint.bold(&identity.to_string()), paint.red(error));
                continue;
            }
        };
        let mut facts = format!("pid {}", told.pid);
        match (told.revision, report.lag(told)) {
            (Some(revision), Some(0)) => facts.push_str(&format!(", mirror at {revision}")),
            (Some(revision), Some(lag)) => facts.push_str(&format!(", mirror at {revision}, {lag} behind")),
            (Some(revision), None) => facts.push_str(&format!(", mirror at {revision}, lag not known")),
            (None, _) => {}
        }
        let root = told.tree.values().next().cloned().unwrap_or_default();
        let _ = writeln!(out, "\n{} {} {}", paint.mark(&root), paint.bold(&identity.to_string()), paint.dim(&facts));
        write_children(&mut out, &told.tree, &paint);
    }
    out
}

/// The actors below a component's root, drawn as a tree. Paths sort so that an actor stands before what is below it.
fn write_children(out: &mut String, tree: &BTreeMap<String, Node>, paint: &Paint) {
    // Compared by parts, not by bytes: `a/b` and its children come before `a/b-c`.
    let mut rows: Vec<(Vec<&str>, &Node)> = tree.iter().map(|(path, node)| (path.split('/').collect(), node)).collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    let paths: Vec<Vec<&str>> = rows.iter().map(|(path, _)| path.clone()).collect();
    for (index, (path, node)) in rows.iter().enumerate() {
        let Some((name, above)) = path.split_last() else { continue };
        if above.is_empty() {
            continue;
        }
        let later = paths.get(index + 1..).unwrap_or_default();
        let mut line = String::new();
        for depth in 1..path.len() {
            let more = goes_on(later, path, depth);
            line.push_str(match (depth + 1 == path.len(), more) {
                (true, true) => "├─ ",
                (true, false) => "└─ ",
                (false, true) => "│  ",
                (false, false) => "   ",
            });
        }
        let mut facts = Vec::new();
        if node.state != State::Running {
            facts.push(paint.state(node.state));
        }
        if node.restarts > 0 {
            facts.push(paint.yellow(&format!("restarted {}×", node.restarts)));
        }
        if let Some(error) = &node.last_error {
            facts.push(paint.dim(&format!("last error: {}", error.replace('\n', " "))));
        }
        if !node.parked.is_empty() {
            facts.push(paint.red(&format!("parked: {}", node.parked.join(", "))));
        }
        let facts = if facts.is_empty() { String::new() } else { format!("  {}", facts.join(", ")) };
        let _ = writeln!(out, "  {}{} {name}{facts}", paint.dim(&line), paint.mark(node));
    }
}

/// Whether a later row is a sibling of this path's ancestor at `depth` (or of the path itself).
fn goes_on(later: &[Vec<&str>], path: &[&str], depth: usize) -> bool {
    later.iter().any(|other| {
        other.len() > depth && other.get(..depth) == path.get(..depth) && other.get(depth) != path.get(depth)
    })
}

struct Paint(bool);

impl Paint {
    fn code(&self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
    fn bold(&self, text: &str) -> String {
        self.code("1", text)
    }
    fn dim(&self, text: &str) -> String {
        self.code("2", text)
    }
    fn red(&self, text: &str) -> String {
        self.code("31", text)
    }
    fn yellow(&self, text: &str) -> String {
        self.code("33", text)
    }
    fn state(&self, state: State) -> String {
        match state {
            State::Starting => self.yellow("starting"),
            State::Running => self.code("32", "running"),
            State::Restarting => self.yellow("restarting"),
            State::Stopped => self.dim("stopped"),
            State::Failed => self.red("failed"),
        }
    }
    fn mark(&self, node: &Node) -> String {
        match node.state {
            State::Running => self.code("32", "●"),
            State::Starting | State::Restarting => self.yellow("◐"),
            State::Stopped => self.dim("○"),
            State::Failed => self.red("✗"),
        }
    }
}
