//! Health as recorded in `discovery/health` and `discovery/health-verbose`.

use super::*;

fn ask_as(told: bool, single: Option<&str>, query: &str, fault: Option<&str>) -> (u16, String) {
    let checks = vec![Check::new("log-store", fault.map(str::to_owned)), Check::new("bus", None)];
    let answer = answer(Health::Readyz, single, &Query::parse(query), checks, |_| told);
    let code = answer.status().as_u16();
    let body: Vec<u8> = answer.into_body().into_pieces().ok().unwrap().into_iter().flatten().collect();
    (code, String::from_utf8(body).unwrap())
}

fn ask(single: Option<&str>, query: &str, fault: Option<&str>) -> (u16, String) {
    ask_as(false, single, query, fault)
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
    let failed = "[+]ping ok\n[-]log-store failed: reason withheld\n[+]bus ok\nreadyz check failed\n";
    assert_eq!(ask(None, "", Some("disk full")), (500, failed.into()));
    let told = failed.replace("reason withheld", "disk full");
    assert_eq!(ask_as(true, None, "", Some("disk full")), (500, told));
    assert_eq!(ask(Some("log-store"), "", Some("disk full")).1, "internal server error: disk full\n");
    assert_eq!(ask(Some("bus"), "", Some("disk full")), (200, "ok".into()));
}

#[test]
fn what_is_left_out() {
    assert_eq!(ask(None, "exclude=log-store", Some("disk full")), (200, "ok".into()));
    assert_eq!(
        ask(None, "exclude=etcd&exclude=nothing&exclude=a&verbose", Some("disk full")),
        (
            200,
            "[+]ping ok\n[+]log-store excluded: ok\n[+]bus ok\n\
             warn: some health checks cannot be excluded: no matches for \"a\", \"nothing\"\nreadyz check passed\n"
                .into()
        )
    );
}
