//! A file of `NAME=value` lines, read by the rules that Docker Compose reads an `.env` by, since sites' own are
//! written for it: quotes, comments, escapes and `${OTHER}` mean here what they mean there.
//!
//! Invariant: the file `compose.tsv` beside this one, made by Compose's own reader, holds for every line in it. A line that
//! Compose refuses is a fault that names the line and shows nothing of its value; the lines after it are read all the same.

mod expand;

use std::collections::BTreeMap;

use expand::{escapes, expanded};

/// What a file says.
#[derive(Default)]
pub struct EnvFile {
    /// The names and values. A name given twice has its last value.
    pub(super) values: BTreeMap<String, String>,
    /// The lines that cannot be read, counted from 1, and why.
    pub(super) faults: Vec<(usize, String)>,
    /// Names whose value refers to a variable that is not set, and that variable: it counts as empty.
    pub(super) undefined: Vec<(String, String)>,
}

/// Reads a file. `outer` gives variables from outside, which win over the file's own lines where a value refers to one.
pub fn read(text: &str, outer: &dyn Fn(&str) -> Option<String>) -> EnvFile {
    let text = text.trim_start_matches('\u{feff}');
    let mut parser = Parser {
        text,
        at: 0,
        outer,
        file: EnvFile::default(),
    };
    while parser.skip_to_statement() {
        let start = parser.at;
        if let Err(why) = parser.statement() {
            parser
                .file
                .faults
                .push((1 + text[..start].matches('\n').count(), why));
            parser.at = text[start..]
                .find('\n')
                .map_or(text.len(), |end| start + end);
        }
    }
    parser.file
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    outer: &'a dyn Fn(&str) -> Option<String>,
    file: EnvFile,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Goes over blanks, empty lines and comments. Returns whether anything is left.
    fn skip_to_statement(&mut self) -> bool {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with('#') {
                return !trimmed.is_empty();
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    fn statement(&mut self) -> Result<(), String> {
        if let Some(exported) = self
            .rest()
            .strip_prefix("export")
            .filter(|rest| rest.starts_with(blank))
        {
            self.at = self.text.len() - exported.trim_start_matches(blank).len();
        }
        let rest = self.rest();
        let end = rest.find(['=', ':', '\n']).unwrap_or(rest.len());
        let name = &rest[..end];
        let odd = |c: char| !(c.is_alphanumeric() || blank(c) || "_.-[]".contains(c));
        if let Some(odd) = name.chars().find(|c| odd(*c)) {
            return Err(format!(
                "{odd:?} cannot be in a name; is a quote before it closed too early, or one missing?"
            ));
        }
        let name = name.trim_end();
        if name.contains(' ') {
            return Err("there is a blank inside of the name, or no = behind it".into());
        }
        // A name alone takes its value from the environment, where it is looked for anyway.
        if !rest[end..].starts_with(['=', ':']) {
            self.at += end;
            return Ok(());
        }
        self.at += end + 1;
        self.at = self.text.len() - self.rest().trim_start_matches(blank).len();
        let value = self.value(name)?;
        self.file.values.insert(name.to_owned(), value);
        Ok(())
    }

    fn value(&mut self, name: &str) -> Result<String, String> {
        let rest = self.rest();
        let Some(quote) = rest.chars().next().filter(|c| ['"', '\''].contains(c)) else {
            let line = rest.split('\n').next().unwrap_or_default();
            self.at += line.len();
            let value = line.split(" #").next().unwrap_or_default().trim_end();
            return self.expand(name, value);
        };
        let (inside, end) = quoted(rest, quote).ok_or("the quote is never closed")?;
        self.at += end;
        if quote == '"' {
            self.expand(name, &escapes(&inside))
        } else {
            Ok(inside)
        }
    }

    fn expand(&mut self, name: &str, text: &str) -> Result<String, String> {
        let values = &self.file.values;
        let look = |other: &str| (self.outer)(other).or_else(|| values.get(other).cloned());
        let mut undefined = Vec::new();
        let value = expanded(text, &look, &mut undefined)?;
        self.file
            .undefined
            .extend(undefined.into_iter().map(|other| (name.to_owned(), other)));
        Ok(value)
    }
}

/// What stands between quotes, where a quote may be escaped, and where it ends.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let (mut inside, mut escaped) = (String::new(), false);
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if c == quote && !escaped => return Some((inside, at + 1)),
            '\\' if !escaped => {
                escaped = true;
                continue;
            }
            _ if escaped && c != quote => inside.push('\\'),
            _ => {}
        }
        escaped = false;
        inside.push(c);
    }
    None
}

/// A blank that does not end a line.
fn blank(c: char) -> bool {
    matches!(
        c,
        '\t' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{85}' | '\u{a0}'
    )
}

#[cfg(test)]
mod tests;
