//! Posts one event, as Seafile's own backends do.

use std::time::Duration;

use http::Request;
use http::header::{AUTHORIZATION, CONTENT_TYPE};

use super::paths::Paths;
use crate::client::ClientError;
use crate::client::dial::Server;
use crate::client::exchange::{self, Answer};

/// Posts `event`, the JSON text of the request's body, and waits for the answer no longer than `within`.
///
/// # Errors
/// [`ClientError`], where there is no answer. An answer other than 200 is none.
pub async fn event(
    server: &Server,
    token: &str,
    event: String,
    within: Duration,
) -> Result<Answer, ClientError> {
    let request = Request::post(server.events_path())
        .header(AUTHORIZATION, format!("Token {token}"))
        .header(CONTENT_TYPE, "application/json")
        .body(event)
        .map_err(|_| ClientError::Url {
            url: server.websocket_url(),
        })?;
    Ok(exchange::send(server, request, within).await?.0)
}
