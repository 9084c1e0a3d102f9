//! `notify`: posts one notification for one or more users, as backends do, and says how it was answered.
//!
//! Invariant: a notification that would go to nobody is sent only where that is asked for.

use std::io::Read;
use std::process::ExitCode;

use clap::Args;
use http::Request;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::client::PATIENCE;
use super::given;
use super::terminal::{fail, print, runtime};
use crate::client::ClientError;
use crate::client::dial::Server;
use crate::client::exchange::{self, Answer};
use crate::config::Sources;
use crate::dialect::inbox::addressees::{self, Addressee};
use crate::dialect::inbox::posted::{Posted, Shape};
use crate::dialect::inbox::proof;

const EXAMPLE: &str = r#"Examples:
  foghorn notify notify --user ann text=hello count:=3
  echo '{"command":"refresh"}' |
      foghorn notify appr --user ann --user bob --content - --url https://push.example.com

What posts need is FOGHORN_SSE_SECRET (or the file that FOGHORN_SSE_SECRET_FILE names); where it is not set, nothing is shown.
A notification that would go to nobody (a type or a user that cannot be, nothing in it) is sent with --force only.
Exit code: 0 where the server accepted it, 1 otherwise."#;

/// Send one notification to users' inboxes
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Arguments {
    /// Where inboxes are, as backends know it
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3000")]
    url: String,
    /// Send it even if nobody would get it
    #[arg(long)]
    force: bool,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
    /// Type of notification, as pages listen for it
    #[arg(value_name = "TYPE")]
    kind: String,
    /// Whom it is for; may be given several times
    #[arg(long, value_name = "USER", required = true)]
    user: Vec<String>,
    /// The whole data as JSON; - reads it from standard input
    #[arg(long, value_name = "JSON", conflicts_with = "fields")]
    content: Option<String>,
    /// Fields of the data: NAME=TEXT, or NAME:=JSON for numbers and the like
    #[arg(value_name = "FIELD", required_unless_present = "content")]
    fields: Vec<String>,
}

/// Posts the notification and prints the answer.
pub fn run(arguments: &Arguments, sources: &Sources) -> ExitCode {
    match notify(arguments, sources) {
        Ok(faults) => {
            print(&match arguments.json {
                true => format!(
                    "{:#}\n",
                    json!({"accepted": true, "users": arguments.user, "faults": faults})
                ),
                false => format!("200: accepted\nfor {}\n", arguments.user.join(", ")),
            });
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

/// What is wrong with what was accepted all the same, or why it was not.
fn notify(arguments: &Arguments, sources: &Sources) -> Result<Vec<String>, String> {
    let server = Server::parse(&arguments.url).map_err(|error| format!("--url: {error}"))?;
    let body = body(arguments, &mut std::io::stdin())?;
    let faults = faults(arguments, &body);
    if !arguments.force && !faults.is_empty() {
        return Err(format!(
            "not sent (--force sends it all the same): {}",
            faults.join("; ")
        ));
    }
    let secret = proof::posting(sources).map_err(|error| error.to_string())?;
    let mut request = Request::post(format!("{}/webNotification", server.prefix()))
        .header(CONTENT_TYPE, "application/json")
        .body(body)
        .map_err(|_| {
            ClientError::Url {
                url: arguments.url.clone(),
            }
            .to_string()
        })?;
    request.headers_mut().extend(secret);
    let runtime = runtime().map_err(|error| error.to_string())?;
    let sent = runtime.block_on(exchange::send(&server, request, PATIENCE));
    let (answer, _) = sent.map_err(|error| error.to_string())?;
    if answer.status == 200 {
        return Ok(faults);
    }
    let said = answer.body.lines().next().unwrap_or_default();
    Err(format!(
        "{} answered {}: {said}{}",
        server.authority(),
        answer.status,
        advice(&answer)
    ))
}

fn advice(answer: &Answer) -> &'static str {
    match answer.status {
        401 => " (FOGHORN_SSE_SECRET is another one here than there)",
        403 => " (FOGHORN_EVENTS_FROM says who may post)",
        404 => " (is --url where inboxes are, FOGHORN_SSE_ADDR?)",
        _ => "",
    }
}

/// What is posted. Given data is passed on byte by byte.
fn body(arguments: &Arguments, stdin: &mut dyn Read) -> Result<String, String> {
    let made = || given::fields(&arguments.fields);
    let data = given::json("data", arguments.content.as_deref(), stdin, made)?;
    let parts: Vec<String> = arguments
        .user
        .iter()
        .map(|user| format!("{}_{user}", arguments.kind))
        .collect();
    Ok(format!(
        "{{\"id\":{},\"data\":{data}}}",
        Value::from(parts.join(";"))
    ))
}

/// What is wrong with a post, as a node reads it; empty: nothing.
fn faults(arguments: &Arguments, body: &str) -> Vec<String> {
    let posted = match Posted::read(Shape::Json, body.as_bytes()) {
        Ok(posted) => posted,
        Err(error) => return vec![error.to_string()],
    };
    let read = addressees::read(&posted.id, &[])
        .map(|(good, _)| good)
        .unwrap_or_default();
    let meant = arguments.user.iter().map(|user| Addressee {
        kind: &arguments.kind,
        user,
    });
    let missed: Vec<String> = meant
        .filter(|one| !read.contains(one))
        .map(|one| format!("{:?}", one.user))
        .collect();
    let mut found = Vec::new();
    if !missed.is_empty() {
        found.push(format!(
            "it would not reach {}: a type is 1 to 64 letters, digits, dots and hyphens, and none of a stream's own; \
             a user is 1 to 256 bytes without semicolons and control characters; there are 10000 at most",
            missed.join(", ")
        ));
    }
    if posted.data.is_none() {
        found.push(
            "its data is null, false, 0 or empty: a node takes that, and gives it to nobody"
                .to_owned(),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(kind: &str, users: &[&str], content: Option<&str>, fields: &[&str]) -> Arguments {
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        Arguments {
            url: String::new(),
            force: false,
            json: false,
            kind: kind.into(),
            user: texts(users),
            content: content.map(ToOwned::to_owned),
            fields: texts(fields),
        }
    }

    #[test]
    fn users_make_the_id_and_fields_the_data() {
        let text = body(
            &arguments("notify", &["a\"b", "c_d"], None, &["a=1", "n:=7"]),
            &mut std::io::empty(),
        )
        .unwrap();
        assert_eq!(
            text,
            r#"{"id":"notify_a\"b;notify_c_d","data":{"a":"1","n":7}}"#
        );
        let mut stdin = &b" {\"b\": 1.0}\n"[..];
        let text = body(&arguments("x", &["u"], Some("-"), &[]), &mut stdin).unwrap();
        assert_eq!(text, "{\"id\":\"x_u\",\"data\":{\"b\": 1.0}}");
        assert!(
            body(
                &arguments("x", &["u"], Some("{}x"), &[]),
                &mut std::io::empty()
            )
            .is_err()
        );
    }

    #[test]
    fn what_would_go_to_nobody_is_named() {
        let told = |kind: &str, user: &str, data: &str| {
            let arguments = arguments(kind, &[user], Some(data), &[]);
            faults(
                &arguments,
                &body(&arguments, &mut std::io::empty()).unwrap(),
            )
            .join("\n")
        };
        assert_eq!(told("notify", "ann", "{}"), "");
        assert_eq!(told("notify", "a_b", "\"x\""), "");
        for (kind, user, data, part) in [
            ("connect", "ann", "1", "it would not reach \"ann\":"),
            ("a_b", "ann", "1", "it would not reach \"ann\":"),
            ("notify", "", "1", "it would not reach \"\":"),
            ("notify", "a;b", "1", "it would not reach \"a;b\":"),
            ("notify", "ann", "0", "gives it to nobody"),
        ] {
            assert!(
                told(kind, user, data).contains(part),
                "{part} in {}",
                told(kind, user, data)
            );
        }
    }
}
