//! Whether clients could make anything of an event, looked at before it is sent.
//!
//! Invariant: what a node would deliver is judged by the node's own code; what clients read of it, by the protocol's table.

use serde_json::Value;

use crate::dialect::seafile::backend_event::{Audience, BackendEvent, EventType, Parsed};

/// Two names that are alike by more than this are most likely the same one, misspelled.
const ALIKE: f64 = 0.8;

/// What an event of this type has beside its library, and the values there are, where they are few.
fn wanted(kind: EventType) -> &'static [(&'static str, &'static [&'static str])] {
    match kind {
        EventType::RepoUpdate => &[("commit_id", &[])],
        EventType::FileLockChanged => &[("path", &[]), ("change_event", &["locked", "unlocked"])],
        EventType::FolderPermChanged => &[
            ("path", &[]),
            ("type", &["user", "group"]),
            ("change_event", &["add", "modify", "del"]),
            ("perm", &[]),
        ],
        EventType::CommentUpdate => &[("type", &[]), ("file_uuid", &[]), ("file_path", &[])],
    }
}

/// What is wrong with an event of this type and content; empty: nothing.
pub fn faults(kind: &str, content: &Value, body: &str) -> Vec<String> {
    let Some(known) = EventType::ALL
        .into_iter()
        .find(|known| known.name() == kind)
    else {
        return vec![unknown(kind)];
    };
    let mut found = Vec::new();
    if let Ok(Parsed::Nowhere { detail, .. }) = BackendEvent::parse(body.as_bytes()) {
        found.push(format!("it would go to nobody: {detail}"));
    }
    if let Some(library) = content["repo_id"]
        .as_str()
        .filter(|library| !is_uuid(library))
    {
        found.push(format!(
            "{library:?} is no library's ID, which looks like 5a6bcd0e-7a3c-4c1e-9c4b-1f2d3e4a5b6c: no client can hold it"
        ));
    }
    for (name, values) in wanted(known) {
        match content[*name].as_str() {
            None if content[*name].is_null() => {
                found.push(format!("a {kind} has a {name}: add {name}=…"))
            }
            Some(value) if !values.is_empty() && !values.contains(&value) => {
                found.push(format!(
                    "{name} is {value:?}; it should be {}",
                    values.join(" or ")
                ));
            }
            _ => {}
        }
    }
    if known == EventType::FolderPermChanged
        && content["user"].as_str().unwrap_or_default().is_empty()
        && content["group"].is_null()
    {
        found.push(
            "a folder-perm-changed is for a user or a group: add user=EMAIL or group:=NUMBER"
                .to_owned(),
        );
    }
    found
}

fn unknown(kind: &str) -> String {
    let names = EventType::ALL.map(EventType::name);
    let closest = names
        .iter()
        .max_by(|a, b| strsim::jaro_winkler(a, kind).total_cmp(&strsim::jaro_winkler(b, kind)));
    let hint = closest
        .filter(|name| strsim::jaro_winkler(name, kind) > ALIKE)
        .map(|name| format!("; did you mean {name}?"));
    format!(
        "{kind:?} is none of Seafile's types, {}, and goes to nobody{}",
        names.join(", "),
        hint.unwrap_or_default()
    )
}

/// Whom a node would give it to; `None`: nobody.
pub fn audience(body: &str) -> Option<(String, Audience)> {
    match BackendEvent::parse(body.as_bytes()) {
        Ok(Parsed::Deliver(event)) => Some((event.repo_id, event.audience)),
        _ => None,
    }
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    lengths == [8, 4, 4, 4, 12]
        && groups
            .iter()
            .all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const LIBRARY: &str = "5a6bcd0e-7a3c-4c1e-9c4b-1f2d3e4a5b6c";

    fn told(kind: &str, content: Value) -> String {
        let body = json!({"type": kind, "content": content}).to_string();
        faults(kind, &content, &body).join("\n")
    }

    #[test]
    fn each_type_has_its_fields() {
        for (kind, content) in [
            ("repo-update", json!({"repo_id": LIBRARY, "commit_id": "1"})),
            (
                "file-lock-changed",
                json!({"repo_id": LIBRARY, "path": "/a", "change_event": "locked", "lock_user": "a@x"}),
            ),
            (
                "folder-perm-changed",
                json!({"repo_id": LIBRARY, "path": "/", "type": "user", "user": "a@x", "change_event": "add", "perm": "r"}),
            ),
            (
                "folder-perm-changed",
                json!({"repo_id": LIBRARY, "path": "/", "type": "group", "group": 7, "change_event": "del", "perm": ""}),
            ),
            (
                "comment-update",
                json!({"repo_id": LIBRARY, "type": "file", "file_uuid": "u", "file_path": "/a"}),
            ),
        ] {
            assert_eq!(told(kind, content), "", "{kind}");
        }
    }

    #[test]
    fn what_clients_could_make_nothing_of_is_named() {
        for (kind, content, part) in [
            (
                "repo-updat",
                json!({"repo_id": LIBRARY}),
                "did you mean repo-update?",
            ),
            ("something", json!({"repo_id": LIBRARY}), "goes to nobody"),
            ("repo-update", json!({"repo_id": LIBRARY}), "add commit_id="),
            (
                "repo-update",
                json!({"repo_id": "mine", "commit_id": "1"}),
                "\"mine\" is no library's ID",
            ),
            (
                "repo-update",
                json!({"repo_id": 7, "commit_id": "1"}),
                "repo_id of a repo-update has the wrong type",
            ),
            (
                "folder-perm-changed",
                json!({"repo_id": LIBRARY, "path": "/", "type": "group", "change_event": "add", "perm": "r"}),
                "group:=NUMBER",
            ),
            (
                "file-lock-changed",
                json!({"repo_id": LIBRARY, "path": "/", "change_event": "lock"}),
                "it should be locked or unlocked",
            ),
        ] {
            let text = told(kind, content);
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!told("something", json!({})).contains("did you mean"));
    }
}
