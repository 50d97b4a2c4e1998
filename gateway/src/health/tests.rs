//! Health as recorded in `discovery/health` and `discovery/health-verbose`.

use super::*;

fn ask(single: Option<&str>, query: &str, fault: Option<&str>) -> (u16, String) {
    let checks = vec![Check::new("log-store", fault.map(str::to_owned)), Check::new("bus", None)];
    let answer = answer(Health::Readyz, single, &Query::parse(query), checks);
    let code = answer.status().as_u16();
    let body: Vec<u8> = answer.into_body().into_pieces().ok().unwrap().into_iter().flatten().collect();
    (code, String::from_utf8(body).unwrap())
}

#[test]
fn well() {
    assert_eq!(ask(None, "", None), (200, "ok".into()));
    assert_eq!(ask(Some("ping"), "verbose=true", None), (200, "ok".into()));
    assert_eq!(ask(Some("etcd"), "", None), (200, "ok".into()));
    assert_eq!(ask(Some("nothing"), "", None), (404, "404 page not found\n".into()));
    assert_eq!(
        ask(None, "verbose", None),
        (200, "[+]ping ok\n[+]log-store ok\n[+]bus ok\nreadyz check passed\n".into())
    );
}

#[test]
fn not_well() {
    let (code, text) = ask(None, "", Some("disk full"));
    assert_eq!(code, 500);
    assert!(
        text.contains("[-]log-store failed: reason withheld\n") && text.ends_with("readyz check failed\n"),
        "{text}"
    );
    assert_eq!(ask(Some("log-store"), "", Some("disk full")).1, "internal server error: disk full\n");
    assert_eq!(ask(None, "exclude=log-store", Some("disk full")), (200, "ok".into()));
}
