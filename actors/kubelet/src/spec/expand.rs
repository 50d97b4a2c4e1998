//! `$(NAME)` references in commands, arguments and environment values, as the API documents them.

/// Replaces `$(NAME)` by what `lookup` knows; unknown names stay as they are, and `$$` is a literal `$`.
pub fn expand(text: &str, lookup: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(rest.get(..at).unwrap_or_default());
        rest = rest.get(at + 1..).unwrap_or_default();
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match lookup(name) {
                Some(value) => out.push_str(&value),
                None => {
                    out.push_str("$(");
                    out.push_str(name);
                    out.push(')');
                }
            }
            rest = after;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "N" => Some("p".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn references_are_replaced_and_others_kept() {
        for (text, expected) in [
            ("a-$(N)", "a-p"),
            ("b-$$(N)", "b-$(N)"),
            ("c-$(NOPE)", "c-$(NOPE)"),
            ("$$(N) $(LATER) $(NS", "$(N) $(LATER) $(NS"),
            ("$(EMPTY)|$|$x|$$$(N)", "|$|$x|$p"),
            ("tail$", "tail$"),
        ] {
            assert_eq!(expand(text, lookup), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_without_a_dollar_is_itself(text in "[^$]*") {
            prop_assert_eq!(expand(&text, lookup), text);
        }
    }
}
