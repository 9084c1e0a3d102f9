//! Secrets that are given by themselves or in a file.
//!
//! Invariant: of the two, the one that comes from the nearer source counts; both from one source are a fault.

use std::path::PathBuf;

use super::Secret;
use super::doubts::doubts;
use super::reader::Reader;
use super::settings::{Row, Setting};

/// A secret by itself or in a file: the one that comes from the nearer source.
pub(super) fn one_of(
    r: &mut Reader,
    plain: &'static Setting<String>,
    file: &'static Setting<PathBuf>,
) -> Option<String> {
    let (given, contents) = (r.optional(plain), r.contents(file));
    nearer(r, (&plain.row, given), (&file.row, contents))
}

/// Of what a setting and the file of another hold, what comes from the nearer source.
pub(super) fn nearer(
    r: &mut Reader,
    (plain, given): (&Row, Option<String>),
    (file, contents): (&Row, Option<String>),
) -> Option<String> {
    if given.is_some() && contents.is_some() {
        let (own, other) = (r.source(file), r.source(plain));
        if own == other {
            r.fault(
                file.name,
                format!("and {} are both set: give one of them", plain.name),
            );
        } else if other < own {
            return given;
        }
    }
    contents.or(given)
}

/// As [`one_of`], but a file with nothing in it is wrong: it would leave open what somebody meant to guard.
pub(super) fn filled(
    r: &mut Reader,
    plain: &'static Setting<String>,
    file: &'static Setting<PathBuf>,
) -> Option<Secret> {
    let secret = one_of(r, plain, file);
    if secret.as_ref().is_some_and(String::is_empty) {
        r.fault(file.row.name, "is a file with nothing in it");
    }
    if let Some(secret) = &secret {
        r.notices.extend(doubts(plain.row.name, secret, false));
    }
    secret.map(Secret)
}
