//! `publish`: posts one event by HTTP, as Seafile's backends do, and says how it was answered.

use std::io::Read;
use std::process::ExitCode;

use clap::Args;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::client::dial::Server;
use super::client::exchange::Answer;
use super::client::{PATIENCE, post};
use super::{Mint, fail, print, runtime};
use crate::config::Sources;

const EXAMPLE: &str = r#"Examples:
  foghorn publish repo-update commit_id=0123abcd \
      --repo 5a6bcd0e-7a3c-4c1e-9c4b-1f2d3e4a5b6c
  foghorn publish folder-perm-changed \
      --repo 5a6bcd0e-7a3c-4c1e-9c4b-1f2d3e4a5b6c \
      path=/a type=group group:=7 change_event=modify perm=r
  echo '{"repo_id":"5a6bcd0e","commit_id":"0123abcd"}' |
      foghorn publish repo-update --content - --url https://seafile.example.com/notification

The key is JWT_PRIVATE_KEY of the environment, else jwt_private_key of the seafile.conf in the -c folder.
Exit code: 0 where the server accepted the event, 1 otherwise."#;

/// Good for this long, in seconds, as seaf-server's own tokens for events are.
const TTL: u32 = 300;

/// Send one event to a notification server
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// Where the server is, as INNER_NOTIFICATION_SERVER_URL has it
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8083")]
    url: String,
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
    match post_event(arguments, sources) {
        Ok(answer) if answer.status == 200 => {
            print("200: accepted\n");
            ExitCode::SUCCESS
        }
        Ok(answer) => {
            fail(&format!("the server answered {}: {}{}", answer.status, answer.body.trim_end(), advice(&answer)))
        }
        Err(error) => fail(&error),
    }
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

fn post_event(arguments: &Arguments, sources: &Sources) -> Result<Answer, Box<dyn std::error::Error>> {
    let server = Server::parse(&arguments.url)?;
    let body = body(arguments, &mut std::io::stdin())?;
    let token = Mint::from(sources)?.events(TTL);
    Ok(runtime()?.block_on(post::event(&server, &token, body, PATIENCE))?)
}

/// What is posted. Given content is passed on byte by byte.
fn body(arguments: &Arguments, stdin: &mut dyn Read) -> Result<String, String> {
    let content = match arguments.content.as_deref() {
        Some("-") => {
            let mut text = String::new();
            stdin.read_to_string(&mut text).map_err(|error| format!("cannot read standard input: {error}"))?;
            text
        }
        Some(text) => text.to_owned(),
        None => Value::Object(content(arguments.repo.as_deref(), &arguments.fields)?).to_string(),
    };
    let content: Box<RawValue> =
        serde_json::from_str(content.trim()).map_err(|error| format!("the content is not JSON: {error}"))?;
    Ok(format!("{{\"type\":{},\"content\":{content}}}", Value::from(arguments.kind.as_str())))
}

fn content(repo: Option<&str>, fields: &[String]) -> Result<Map<String, Value>, String> {
    let repo = repo.ok_or("give the library with --repo, or the whole content with --content")?;
    let mut content = Map::from_iter([("repo_id".to_owned(), Value::from(repo))]);
    for field in fields {
        let (name, value) =
            field.split_once('=').ok_or_else(|| format!("{field:?} should be NAME=TEXT or NAME:=JSON"))?;
        let (name, value) = match name.strip_suffix(':') {
            Some(name) => {
                (name, serde_json::from_str(value).map_err(|error| format!("{field:?} is not JSON: {error}"))?)
            }
            None => (name, Value::from(value)),
        };
        content.insert(name.to_owned(), value);
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(content: Option<&str>, fields: &[&str]) -> Arguments {
        let fields = fields.iter().map(ToString::to_string).collect();
        let repo = content.is_none().then(|| "r".to_owned());
        Arguments { url: String::new(), kind: "t\"".into(), repo, content: content.map(ToOwned::to_owned), fields }
    }

    #[test]
    fn fields_make_the_content() {
        let body = body(&arguments(None, &["a=1", "group:=7", "x==y"]), &mut std::io::empty()).unwrap();
        let value: Value = serde_json::from_str(&body).unwrap();
        let content = serde_json::json!({"repo_id": "r", "a": "1", "group": 7, "x": "=y"});
        assert_eq!((&value["type"], &value["content"]), (&"t\"".into(), &content));
        assert!(super::body(&arguments(None, &["nothing"]), &mut std::io::empty()).is_err());
        assert!(super::body(&arguments(None, &["a:=b"]), &mut std::io::empty()).is_err());
    }

    #[test]
    fn given_content_keeps_its_bytes() {
        let mut stdin = &b" {\"b\": 1.0, \"a\": \"\\u00e9\"}\n"[..];
        let body = body(&arguments(Some("-"), &[]), &mut stdin).unwrap();
        assert_eq!(body, "{\"type\":\"t\\\"\",\"content\":{\"b\": 1.0, \"a\": \"\\u00e9\"}}");
        assert!(super::body(&arguments(Some("{}x"), &[]), &mut std::io::empty()).is_err());
    }
}
