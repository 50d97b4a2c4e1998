//! The excerpt of a body that errors about unreadable ones show.

/// How much of the body is shown.
const LENGTH: usize = 30;

/// The beginning of a body: as text if it looks like JSON, else in hexadecimal.
///
/// Kubernetes puts it in parentheses after `the object provided is unrecognized (must be of type Pod): …`.
pub fn excerpt(body: &[u8]) -> String {
    let (shown, more) = match body.get(..LENGTH) {
        Some(head) if body.len() > LENGTH => (head, " ..."),
        _ => (body, ""),
    };
    match body.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(shown)),
        Some(_) => format!("{}{more}", shown.iter().map(|b| format!("{b:02x}")).collect::<String>()),
    }
}
