//! `publish`: posts one event by HTTP, as Seafile's backends do, and says how it was answered, for whom it was and how many
//! those are.
//!
//! Invariant: an event that no client could make anything of is sent only where that is asked for.

mod fit;
mod reached;

use std::io::Read;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value, json};

use super::Mint;
use super::client::ops::{NodeChoice, OpsAddress};
use super::client::{PATIENCE, post};
use super::given;
use super::terminal::{fail, print, runtime};
use crate::client::dial::Server;
use crate::client::exchange::Answer;
use crate::config::Sources;
use reached::Reached;

const EXAMPLE: &str = r#"Examples:
  foghorn publish repo-update commit_id=0123abcd \
      --repo 5a6bcd0e-7a3c-4c1e-9c4b-1f2d3e4a5b6c
  foghorn publish folder-perm-changed \
      --repo 5a6bcd0e-7a3c-4c1e-9c4b-1f2d3e4a5b6c \
      path=/a type=group group:=7 change_event=modify perm=r
  echo '{"repo_id":"5a6bcd0e","commit_id":"0123abcd"}' |
      foghorn publish repo-update --content - --url https://seafile.example.com/notification

The key is JWT_PRIVATE_KEY of the environment, else jwt_private_key of the seafile.conf in the -c folder.
An event that clients could make nothing of (an unknown type, no library's ID, fields that are missing) is sent with --force only.
How many got it is asked of a node's ops address: --ops, else this machine's (FOGHORN_OPS_ADDR, FOGHORN_OPS_PASSWORD).
Exit code: 0 where the server accepted the event, 1 otherwise."#;

/// Good for this long, in seconds, as seaf-server's own tokens for events are.
const TTL: u32 = 300;

/// Send one event to a notification server
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Arguments {
    /// Where the server is, as INNER_NOTIFICATION_SERVER_URL has it
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8083")]
    url: String,
    /// Send it even if no client can make anything of it
    #[arg(long)]
    force: bool,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
    /// Ops address of a node, to ask how many got it; without it, that of this machine's node
    #[arg(long, value_name = "URL")]
    ops: Option<String>,
    /// Type of event: repo-update, file-lock-changed, folder-perm-changed or comment-update
    #[arg(value_name = "TYPE")]
    kind: String,
    /// Library it is about
    #[arg(long, value_name = "ID")]
    repo: Option<String>,
    /// The whole content as JSON; - reads it from standard input
    #[arg(long, value_name = "JSON", conflicts_with_all = ["repo", "fields"])]
    content: Option<String>,
    /// Fields of the content: NAME=TEXT, or NAME:=JSON for numbers and the like
    #[arg(value_name = "FIELD")]
    fields: Vec<String>,
}

/// Posts the event and prints the answer.
pub fn run(arguments: &Arguments, sources: &Sources) -> ExitCode {
    match publish(arguments, sources) {
        Ok(accepted) => {
            print(&accepted);
            ExitCode::SUCCESS
        }
        Err(error) => {
            if arguments.json {
                print(&format!(
                    "{:#}\n",
                    json!({"accepted": false, "error": error})
                ));
            }
            fail(&error)
        }
    }
}

/// What is printed where the event was accepted, or why it was not.
fn publish(arguments: &Arguments, sources: &Sources) -> Result<String, String> {
    let server = Server::parse(&arguments.url).map_err(|error| format!("--url: {error}"))?;
    let body = body(arguments, &mut std::io::stdin())?;
    let posted: Value = serde_json::from_str(&body).unwrap_or_default();
    let faults = fit::faults(&arguments.kind, &posted["content"], &body);
    if !arguments.force && !faults.is_empty() {
        return Err(format!(
            "not sent (--force sends it all the same): {}",
            faults.join("; ")
        ));
    }
    let token = Mint::from(sources)
        .map_err(|error| error.to_string())?
        .events(TTL);
    let runtime = runtime().map_err(|error| error.to_string())?;
    let answer = runtime
        .block_on(post::event(&server, &token, body.clone(), PATIENCE))
        .map_err(|error| error.to_string())?;
    if answer.status != 200 {
        return Err(format!(
            "{} answered {}: {}{}",
            server.authority(),
            answer.status,
            answer.body.trim_end(),
            advice(&answer)
        ));
    }
    drop(runtime);
    let reached = fit::audience(&body).map(|(library, whom)| {
        Reached::ask(
            OpsAddress::find(&NodeChoice::at(arguments.ops.clone()), sources),
            library,
            whom,
        )
    });
    Ok(if arguments.json {
        let reached = reached.as_ref().map(Reached::json);
        format!(
            "{:#}\n",
            json!({"accepted": true, "reached": reached, "faults": faults})
        )
    } else {
        let nobody = || "for nobody: no client can make anything of it\n".to_owned();
        format!(
            "200: accepted\n{}",
            reached.map_or_else(nobody, |reached| reached.text())
        )
    })
}

fn advice(answer: &Answer) -> &'static str {
    match answer.status {
        400 if answer.body.contains("token not match") => {
            " (its JWT_PRIVATE_KEY is another one: give both the same and restart the nodes; or clocks are apart)"
        }
        404 => " (is --url the address that Seafile uses?)",
        _ => "",
    }
}

/// What is posted. Given content is passed on byte by byte.
fn body(arguments: &Arguments, stdin: &mut dyn Read) -> Result<String, String> {
    let made = || content(arguments.repo.as_deref(), &arguments.fields);
    let content = given::json("content", arguments.content.as_deref(), stdin, made)?;
    Ok(format!(
        "{{\"type\":{},\"content\":{content}}}",
        Value::from(arguments.kind.as_str())
    ))
}

fn content(repo: Option<&str>, given: &[String]) -> Result<Map<String, Value>, String> {
    let repo = repo.ok_or("give the library with --repo, or the whole content with --content")?;
    let mut content = Map::from_iter([("repo_id".to_owned(), Value::from(repo))]);
    content.extend(given::fields(given)?);
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(content: Option<&str>, fields: &[&str]) -> Arguments {
        let fields = fields.iter().map(ToString::to_string).collect();
        let repo = content.is_none().then(|| "r".to_owned());
        let content = content.map(ToOwned::to_owned);
        Arguments {
            url: String::new(),
            force: false,
            json: false,
            ops: None,
            kind: "t\"".into(),
            repo,
            content,
            fields,
        }
    }

    #[test]
    fn fields_make_the_content() {
        let body = body(
            &arguments(None, &["a=1", "group:=7", "x==y"]),
            &mut std::io::empty(),
        )
        .unwrap();
        let value: Value = serde_json::from_str(&body).unwrap();
        let content = serde_json::json!({"repo_id": "r", "a": "1", "group": 7, "x": "=y"});
        assert_eq!(
            (&value["type"], &value["content"]),
            (&"t\"".into(), &content)
        );
        assert!(super::body(&arguments(None, &["nothing"]), &mut std::io::empty()).is_err());
        assert!(super::body(&arguments(None, &["a:=b"]), &mut std::io::empty()).is_err());
    }

    #[test]
    fn given_content_keeps_its_bytes() {
        let mut stdin = &b" {\"b\": 1.0, \"a\": \"\\u00e9\"}\n"[..];
        let body = body(&arguments(Some("-"), &[]), &mut stdin).unwrap();
        assert_eq!(
            body,
            "{\"type\":\"t\\\"\",\"content\":{\"b\": 1.0, \"a\": \"\\u00e9\"}}"
        );
        assert!(super::body(&arguments(Some("{}x"), &[]), &mut std::io::empty()).is_err());
    }
}
