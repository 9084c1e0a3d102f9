//! What the JSON API answers with.
//!
//! Invariant: an answer is JSON; every failure has a word for programs and a sentence for people.

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

/// What cannot be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    status: StatusCode,
    error: &'static str,
    text: String,
}

impl Failure {
    /// A failure that programs know as `error`.
    pub fn new(status: StatusCode, error: &'static str, text: impl Into<String>) -> Self {
        Self {
            status,
            error,
            text: text.into(),
        }
    }

    /// The request is not understood.
    pub fn bad(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", text)
    }
}

/// The parameters of a request.
///
/// # Errors
/// One is not known here, or not what is expected.
pub fn asked<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Failure> {
    match query {
        Ok(Query(asked)) => Ok(asked),
        Err(error) => Err(Failure::bad(format!(
            "The parameters are not what is expected here: {}.",
            error.body_text()
        ))),
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = json!({"error": self.error, "text": self.text});
        (
            self.status,
            [(header::CONTENT_TYPE, "application/json")],
            format!("{body}\n"),
        )
            .into_response()
    }
}

/// What a handler answers with.
pub type Answer<T> = Result<Said<T>, Failure>;

/// A JSON answer.
pub struct Said<T>(pub T);

impl<T: Serialize> IntoResponse for Said<T> {
    fn into_response(self) -> Response {
        match serde_json::to_string(&self.0) {
            Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text + "\n").into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}
