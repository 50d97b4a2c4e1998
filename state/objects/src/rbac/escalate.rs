//! Nobody may give rights that he does not hold; and the rules that a ClusterRole gathers from others.

use std::collections::BTreeSet;

use super::rules::path_matches;
use super::{MASTERS, RbacView, Rule, rules_of};
use crate::User;
use crate::selector::{LabelSelector, Labels};

/// Checks that a user holds all of the rights that he is about to give, in a namespace (empty: everywhere).
///
/// The verbs `escalate` and `bind`, which lift this, are for the caller to look at.
///
/// # Errors
/// With Kubernetes' text, which lists the rights that he does not hold.
pub fn check_escalation(view: &dyn RbacView, user: &User, namespace: &str, given: &[Rule]) -> Result<(), String> {
    if user.is_in(MASTERS) {
        return Ok(());
    }
    let held = rules_of(view, user, namespace);
    let missing = rules_cover(&held.rules, given);
    if missing.is_empty() {
        return Ok(());
    }
    let lines: BTreeSet<String> = compact(missing).iter().map(describe).collect();
    let lines: Vec<String> = lines.into_iter().collect();
    let mut text = format!(
        "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        quoted(&user.groups),
        lines.join("\n")
    );
    if !held.faults.is_empty() {
        text.push_str(&format!("; resolution errors: [{}]", held.faults.join(", ")));
    }
    Err(text)
}

/// The rights among `given`, one by one, that `held` does not have. Nothing means that it has them all.
pub fn rules_cover(held: &[Rule], given: &[Rule]) -> Vec<Rule> {
    given.iter().flat_map(break_down).filter(|right| !held.iter().any(|rule| covers(rule, right))).collect()
}

/// The single rights of a rule: one verb on one resource (of one name), or on one path.
fn break_down(rule: &Rule) -> Vec<Rule> {
    let one = |text: &String| vec![text.clone()];
    let mut rights = Vec::new();
    for group in &rule.api_groups {
        for resource in &rule.resources {
            for verb in &rule.verbs {
                let right =
                    Rule { verbs: one(verb), api_groups: one(group), resources: one(resource), ..Rule::default() };
                if rule.resource_names.is_empty() {
                    rights.push(right);
                    continue;
                }
                for name in &rule.resource_names {
                    rights.push(Rule { resource_names: one(name), ..right.clone() });
                }
            }
        }
    }
    for url in &rule.non_resource_urls {
        for verb in &rule.verbs {
            rights.push(Rule { verbs: one(verb), non_resource_urls: one(url), ..Rule::default() });
        }
    }
    rights
}

fn covers(rule: &Rule, right: &Rule) -> bool {
    let all = |held: &[String], wanted: &[String]| {
        held.iter().any(|h| h == "*") || wanted.iter().all(|wanted| held.contains(wanted))
    };
    let resource = |wanted: &String| {
        rule.resources.contains(wanted)
            || wanted.split('/').nth(1).is_some_and(|sub| rule.resources.contains(&format!("*/{sub}")))
    };
    let url = |wanted: &String| rule.non_resource_urls.iter().any(|held| path_matches(held, wanted));
    let names = match right.resource_names.as_slice() {
        [] => rule.resource_names.is_empty(),
        wanted => rule.resource_names.is_empty() || wanted.iter().all(|name| rule.resource_names.contains(name)),
    };
    all(&rule.verbs, &right.verbs)
        && all(&rule.api_groups, &right.api_groups)
        && (rule.resources.iter().any(|r| r == "*") || right.resources.iter().all(resource))
        && right.non_resource_urls.iter().all(url)
        && names
}

/// Joins the verbs of rights on the same resource (and name).
fn compact(rights: Vec<Rule>) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for right in rights {
        let same = |rule: &&mut Rule| {
            right.non_resource_urls.is_empty()
                && Rule { verbs: Vec::new(), ..(**rule).clone() } == Rule { verbs: Vec::new(), ..right.clone() }
        };
        match rules.iter_mut().find(same) {
            Some(rule) => rule.verbs.extend(right.verbs),
            None => rules.push(right),
        }
    }
    rules
}

fn quoted(list: &[String]) -> String {
    let items: Vec<String> = list.iter().map(|item| format!("{item:?}")).collect();
    format!("[{}]", items.join(" "))
}

fn describe(rule: &Rule) -> String {
    let parts = [
        ("APIGroups", &rule.api_groups),
        ("Resources", &rule.resources),
        ("NonResourceURLs", &rule.non_resource_urls),
        ("ResourceNames", &rule.resource_names),
        ("Verbs", &rule.verbs),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(_, list)| !list.is_empty())
        .map(|(name, list)| format!("{name}:{}", quoted(list)))
        .collect();
    format!("{{{}}}", parts.join(", "))
}

/// The rules that a ClusterRole with an aggregation rule gathers, selector by selector, from roles given in the order of
/// their names; each rule once.
pub fn aggregate<'a, L: Labels + 'a>(
    own_name: &str,
    selectors: &[LabelSelector],
    roles: impl Iterator<Item = (&'a str, &'a L, &'a [Rule])> + Clone,
) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for selector in selectors {
        for (_, _, found) in roles.clone().filter(|(name, labels, _)| *name != own_name && selector.matches(*labels)) {
            for rule in found {
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
        }
    }
    rules
}
