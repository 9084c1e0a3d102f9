//! `${OTHER}` and backslashes in the value of an `.env` file, as Compose has them.
//!
//! Invariant: what is refused is refused without showing the value.

/// How deep defaults may lie in each other.
const DEPTH: usize = 16;

/// The text with its variables filled in: `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`, `${NAME:+other}`,
/// `${NAME+other}`, `${NAME:?why}`, `${NAME?why}`; `$$` is a dollar sign. Names that are not set are added to `undefined`.
pub(super) fn expanded(
    text: &str,
    look: &dyn Fn(&str) -> Option<String>,
    undefined: &mut Vec<String>,
) -> Result<String, String> {
    at_depth(text, look, undefined, 0)
}

fn at_depth(
    text: &str,
    look: &dyn Fn(&str) -> Option<String>,
    undefined: &mut Vec<String>,
    depth: usize,
) -> Result<String, String> {
    if depth > DEPTH {
        return Err("there are too many ${…} inside of each other".into());
    }
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(braced) = rest.strip_prefix('{') {
            let end = closing(braced)
                .ok_or("${ without a name, or without a } behind it; $$ means a dollar sign")?;
            out.push_str(&braces(&braced[..end], look, undefined, depth)?);
            rest = &braced[end + 1..];
        } else {
            let name = &rest[..name_length(rest)];
            if name.is_empty() {
                out.push('$');
            } else {
                out.push_str(&plain(name, look, undefined));
                rest = &rest[name.len()..];
            }
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn plain(name: &str, look: &dyn Fn(&str) -> Option<String>, undefined: &mut Vec<String>) -> String {
    look(name).unwrap_or_else(|| {
        undefined.push(name.to_owned());
        String::new()
    })
}

/// What stands for the inside of `${…}`.
fn braces(
    inside: &str,
    look: &dyn Fn(&str) -> Option<String>,
    undefined: &mut Vec<String>,
    depth: usize,
) -> Result<String, String> {
    let (name, operation) = inside.split_at(name_length(inside));
    if name.is_empty() {
        return Err("${ without a name behind it; $$ means a dollar sign".into());
    }
    if operation.is_empty() {
        return Ok(plain(name, look, undefined));
    }
    let (filled_only, operation) = operation
        .strip_prefix(':')
        .map_or((false, operation), |rest| (true, rest));
    let value = look(name).filter(|value| !(filled_only && value.is_empty()));
    let mut other = |text: &str| at_depth(text, look, undefined, depth + 1);
    match (operation.chars().next(), value) {
        (Some('-'), Some(value)) | (Some('?'), Some(value)) => Ok(value),
        (Some('-'), None) => other(&operation[1..]),
        (Some('+'), Some(_)) => other(&operation[1..]),
        (Some('+'), None) => Ok(String::new()),
        (Some('?'), None) => Err(format!("{name} must be set, it says")),
        _ => Err(format!(
            "${{{name}… has something behind the name that is none of - + ? :- :+ :?"
        )),
    }
}

/// How long the name is that a text begins with.
fn name_length(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .unwrap_or(text.len())
}

/// Where the brace closes that was opened just before the text.
fn closing(text: &str) -> Option<usize> {
    let mut open = 1;
    for (at, c) in text.char_indices() {
        match c {
            '{' => open += 1,
            '}' if open == 1 => return Some(at),
            '}' => open -= 1,
            _ => {}
        }
    }
    None
}

/// The text with what backslashes mean between double quotes. A dollar sign stays escaped, as `$$`.
pub(super) fn escapes(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let mut following = rest.chars();
        let meant = match following.next() {
            Some('a') => "\u{7}",
            Some('b') => "\u{8}",
            Some('f') => "\u{c}",
            Some('n') => "\n",
            Some('r') => "\r",
            Some('t') => "\t",
            Some('v') => "\u{b}",
            Some('$') => "$$",
            Some('"') => "\"",
            Some('\\') => "\\",
            Some('0') => {
                let digits = rest[1..]
                    .find(|c: char| !c.is_ascii_digit())
                    .unwrap_or(rest.len() - 1)
                    .min(3);
                let octal = Some(&rest[1..=digits]).filter(|octal| octal.len() == 3);
                match octal.and_then(|octal| u8::from_str_radix(octal, 8).ok()) {
                    Some(byte) => out.push(char::from(byte)),
                    // As Compose leaves it: without the 0.
                    None => {
                        out.push('\\');
                        out.push_str(&rest[1..=digits]);
                    }
                }
                rest = &rest[1 + digits..];
                continue;
            }
            _ => {
                out.push('\\');
                continue;
            }
        };
        out.push_str(meant);
        rest = following.as_str();
    }
    out.push_str(rest);
    out
}
