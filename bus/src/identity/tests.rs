//! Identities are read back as they were written, and are the users that RBAC's bootstrap policy knows.

use super::*;

#[test]
fn an_identity_survives_its_token() {
    let named =
        ["node:worker-1.example.com", "proxy:a", "integrator:x y", "hollow:1000", "controller:deployment-controller"];
    let fixed = Identity::FIXED.iter().map(ToString::to_string);
    for text in fixed.chain(named.map(str::to_owned)) {
        let identity: Identity = text.parse().unwrap();
        assert_eq!(identity.to_string(), text);
        let token = identity.token();
        assert!(!token.contains(['.', ' ', '*', '>']), "{token}");
        assert_eq!(Identity::from_token(&token).unwrap(), identity);
    }
}

#[test]
fn what_names_nobody_is_refused() {
    for text in ["", "root", "node:", "controller:made-up", "gateway:x", "hollow:x"] {
        assert!(text.parse::<Identity>().is_err(), "{text:?}");
    }
}

#[test]
fn users_are_those_of_the_bootstrap_policy() {
    let scheduler = Identity::Scheduler.user().unwrap();
    assert_eq!(scheduler.name, "system:kube-scheduler");
    assert_eq!(scheduler.groups, ["system:authenticated"]);
    let controller = Identity::Controller("deployment-controller".into()).user().unwrap();
    assert_eq!(controller.name, "system:serviceaccount:kube-system:deployment-controller");
    assert!(controller.groups.contains(&"system:serviceaccounts:kube-system".to_owned()));
    let node = Identity::Node("n1".into()).user().unwrap();
    assert_eq!((node.name.as_str(), node.groups[0].as_str()), ("system:node:n1", "system:nodes"));
    assert_eq!(Identity::Gateway.user(), None, "a gateway always says for whom it asks");
}
