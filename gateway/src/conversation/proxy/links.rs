//! Links of proxied pages and redirects: paths of the other side get the proxy's prefix.

/// Rewrites links below one proxy.
pub(super) struct Links<'a> {
    prefix: &'a str,
    host: &'a str,
}

/// The attributes that hold links, whatever their element.
const ATTRIBUTES: [&str; 15] = [
    "action",
    "background",
    "cite",
    "codebase",
    "data",
    "formaction",
    "href",
    "icon",
    "longdesc",
    "manifest",
    "poster",
    "profile",
    "src",
    "usemap",
    "classid",
];

impl<'a> Links<'a> {
    /// Of the proxy at this path on this server (`host:port`).
    pub(super) fn new(prefix: &'a str, host: &'a str) -> Self {
        Links { prefix, host }
    }

    /// Where a link leads through the proxy; none if it may stay as it is: it is relative, leads to another host, or through the proxy already.
    pub(super) fn moved(&self, link: &str) -> Option<String> {
        let path = match link.split_once("://") {
            Some((_, rest)) => rest.strip_prefix(self.host)?,
            None if link.starts_with("//") => link.strip_prefix("//")?.strip_prefix(self.host)?,
            None => link,
        };
        (path.starts_with('/') && !path.starts_with(self.prefix)).then(|| format!("{}{path}", self.prefix))
    }

    /// A page of HTML with its links moved. Text, scripts and comments stay as they are.
    pub(super) fn rewritten(&self, page: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(page.len() + page.len() / 16);
        let mut rest = page;
        while let Some(at) = rest.iter().position(|byte| *byte == b'<') {
            let (text, tag) = rest.split_at(at);
            out.extend_from_slice(text);
            let (tag, after) = tag.split_at(tag_end(tag));
            self.rewrite_tag(tag, &mut out);
            rest = after;
        }
        out.extend_from_slice(rest);
        out
    }

    fn rewrite_tag(&self, tag: &[u8], out: &mut Vec<u8>) {
        let Ok(mut rest) = std::str::from_utf8(tag) else { return out.extend_from_slice(tag) };
        if rest.starts_with("<!--") {
            return out.extend_from_slice(tag);
        }
        while let Some(attribute) = Attribute::next_in(rest) {
            out.extend_from_slice(attribute.before.as_bytes());
            let is_link = ATTRIBUTES.iter().any(|name| attribute.name.eq_ignore_ascii_case(name));
            match self.moved(attribute.value).filter(|_| is_link) {
                Some(moved) => out.extend_from_slice(moved.as_bytes()),
                None => out.extend_from_slice(attribute.value.as_bytes()),
            }
            rest = attribute.after;
        }
        out.extend_from_slice(rest.as_bytes());
    }
}

/// How long a tag is (or a comment, or what follows a `<` that begins none): quoted values may hold `>`.
fn tag_end(tag: &[u8]) -> usize {
    let find = |end: &[u8]| tag.windows(end.len()).position(|w| w == end).map_or(tag.len(), |at| at + end.len());
    if tag.starts_with(b"<!--") {
        return find(b"-->");
    }
    let mut quote = None;
    for (at, byte) in tag.iter().enumerate() {
        match (quote, byte) {
            (None, b'>') => return at + 1,
            (None, b'"' | b'\'') => quote = Some(*byte),
            (Some(open), byte) if open == *byte => quote = None,
            _ => {}
        }
    }
    tag.len()
}

/// One attribute of a tag: all up to its value, the value, and the rest.
struct Attribute<'a> {
    before: &'a str,
    name: &'a str,
    value: &'a str,
    after: &'a str,
}

impl<'a> Attribute<'a> {
    fn next_in(tag: &'a str) -> Option<Self> {
        let (left, right) = tag.split_once('=')?;
        let name = left.trim_end().rsplit(|c: char| c.is_whitespace() || c == '/').next().unwrap_or_default();
        let value = right.trim_start();
        let (value, length) = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let inside = value.get(1..)?;
                (inside, inside.find(quote)?)
            }
            _ => (value, value.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(value.len())),
        };
        let (value, after) = value.split_at_checked(length)?;
        let before = tag.get(..tag.len() - value.len() - after.len())?;
        Some(Attribute { before, name, value, after })
    }
}

#[cfg(test)]
mod tests;
