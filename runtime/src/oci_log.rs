//! What an OCI runtime says when it fails, read from its JSON log and put into the field's usual words.

use serde::Deserialize;

/// The last error in a `--log-format json` log (crun and runc write `level` and `msg`); else its last line.
pub(crate) fn last_error(log: &str) -> String {
    #[derive(Deserialize)]
    struct Entry {
        msg: String,
        #[serde(default)]
        level: String,
    }
    let mut found = String::new();
    for line in log.lines().filter(|l| !l.trim().is_empty()) {
        match serde_json::from_str::<Entry>(line) {
            Ok(entry) if entry.level.is_empty() || entry.level == "error" => found = entry.msg,
            Ok(_) => {}
            Err(_) => line.clone_into(&mut found),
        }
    }
    found
}

/// How a container's command failed to start, as people know it from runc, whichever runtime said it.
pub(crate) fn start_error(runtime: &str, said: &str, command: &[String]) -> String {
    let cause = command_error(said, command).map_or_else(
        || said.to_owned(),
        |cause| format!("unable to start container process: error during container init: {cause}"),
    );
    format!("failed to create container task: OCI runtime create failed: {runtime} create failed: {cause}")
}

/// The same for an exec, with the exit code that shells give (126 not executable, 127 not found).
pub(crate) fn exec_error(said: &str, command: &[String]) -> (String, i32) {
    let cause = command_error(said, command);
    let code = if cause.as_deref().is_some_and(is_missing) { 127 } else { 126 };
    let cause = cause.map_or_else(|| said.to_owned(), |cause| format!("unable to start container process: {cause}"));
    (format!("OCI runtime exec failed: exec failed: {cause}"), code)
}

fn is_missing(cause: &str) -> bool {
    cause.ends_with("no such file or directory") || cause.ends_with("executable file not found in $PATH")
}

/// `exec: "x": …` when the complaint is about the command itself.
fn command_error(said: &str, command: &[String]) -> Option<String> {
    if let Some(at) = said.find("exec: \"") {
        return said.get(at..).map(str::to_owned);
    }
    let program = command.first()?;
    // crun: "executable file `x` not found in $PATH: No such file or directory", "open executable: Permission
    // denied", "cannot find … in $PATH"; of what is no file: "open executable: Operation not permitted".
    let lower = said.to_lowercase();
    if !["executable", "exec ", "execv", "exec:"].iter().any(|word| lower.contains(word)) {
        return None;
    }
    let reason = if lower.contains("permission denied") {
        "permission denied".to_owned()
    } else if lower.contains("is a directory") || lower.ends_with("open executable: operation not permitted") {
        "is a directory".to_owned()
    } else if lower.contains("exec format error") {
        "exec format error".to_owned()
    } else if lower.contains("no such file") || lower.contains("not found") {
        if program.contains('/') {
            format!("stat {program}: no such file or directory")
        } else {
            "executable file not found in $PATH".to_owned()
        }
    } else {
        return None;
    };
    Some(format!("exec: {program:?}: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crun_and_runc_say_the_same_thing_in_the_end() {
        let command = ["/no/such".to_owned()];
        let tail = r#"unable to start container process: error during container init: exec: "/no/such": stat /no/such: no such file or directory"#;
        let crun = "executable file `/no/such` not found: No such file or directory";
        assert!(start_error("crun", crun, &command).ends_with(tail));
        assert!(start_error("runc", tail, &command).ends_with(tail));
        let folder = start_error("crun", "open executable: Operation not permitted", &["/etc".to_owned()]);
        assert!(folder.ends_with(r#"exec: "/etc": is a directory"#), "{folder}");
    }

    #[test]
    fn what_is_not_about_the_command_is_kept_as_said() {
        let said = "mount `/x` to `/y`: No such file or directory";
        assert!(start_error("crun", said, &["sh".to_owned()]).ends_with(said));
    }

    #[test]
    fn exec_codes_are_those_of_shells() {
        let said = "executable file `nope` not found in $PATH: No such file or directory";
        let (text, code) = exec_error(said, &["nope".to_owned()]);
        assert_eq!(code, 127);
        assert!(text.ends_with(r#"exec: "nope": executable file not found in $PATH"#), "{text}");
        assert_eq!(exec_error("open executable: Permission denied", &["/etc/passwd".to_owned()]).1, 126);
    }

    #[test]
    fn the_last_error_of_a_log() {
        let log = "{\"msg\":\"a warning\",\"level\":\"warning\"}\n{\"msg\":\"it broke\",\"level\":\"error\"}\n";
        assert_eq!(last_error(log), "it broke");
        assert_eq!(last_error("plain\n"), "plain");
        assert_eq!(last_error(""), "");
    }
}
