//! What commands print for people and for other programs.

use std::ffi::OsStr;
use std::io::{IsTerminal, Write, stdout};

use anyhow::{Context, Result};

/// Nobody reads what is printed any more, as in `cox events | head`: there is nothing left to do, and it is no failure.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads any more")]
pub struct Unread;

/// Prints text to standard output at once.
///
/// # Errors
/// [`Unread`] if the reader is gone, or why it cannot be written.
pub fn print(text: &str) -> Result<()> {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(Unread.into()),
        written => written.context("standard output cannot be written"),
    }
}

/// Prints a line, as [`print`].
///
/// # Errors
/// As [`print`].
pub fn line(text: &str) -> Result<()> {
    print(&format!("{text}\n"))
}

/// A number of bytes as people read it.
pub fn bytes(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.into_iter().find(|(shift, _)| bytes >> shift > 0) {
        Some((shift, unit)) => format!("{:.1} {unit}", bytes as f64 / f64::from(1u32 << shift)),
        None => format!("{bytes} B"),
    }
}

/// Whether what goes to this output is to be coloured: a person looks at it, whose terminal can, and who does not say no (no-color.org).
pub fn colours(output: &impl IsTerminal) -> bool {
    let set = |name: &str| std::env::var_os(name).unwrap_or_default();
    coloured(output.is_terminal(), &set("NO_COLOR"), &set("TERM"))
}

fn coloured(terminal: bool, no_color: &OsStr, term: &OsStr) -> bool {
    terminal && no_color.is_empty() && term != "dumb"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_whose_user_wants_them() {
        let coloured = |terminal, no_color: &str, term: &str| coloured(terminal, no_color.as_ref(), term.as_ref());
        assert!(coloured(true, "", "xterm"));
        assert!(!coloured(false, "", "xterm"));
        assert!(!coloured(true, "1", "xterm"));
        assert!(!coloured(true, "", "dumb"));
    }
}
