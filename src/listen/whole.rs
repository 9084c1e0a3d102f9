//! A request's body, read to its end.
//!
//! Invariants: no more is kept of it than it may have; pieces are let go of as they come, so that the connection can use their
//! room again.

use std::time::Duration;

use axum::BoxError;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;

use crate::buffer::Buffer;

/// Why a body is not read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Unread {
    /// It is longer than it may be.
    TooBig,
    /// It did not come in time.
    TooSlow,
    /// It broke off.
    CutOff,
}

impl Unread {
    /// As a metric's label.
    pub fn label(self) -> &'static str {
        self.into()
    }

    /// What such a request is answered.
    pub fn status(self) -> StatusCode {
        match self {
            Self::TooBig => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::CutOff => StatusCode::BAD_REQUEST,
        }
    }

    /// What its sender is to do about an event of `most` bytes that has come `within` so long.
    pub fn advice(self, most: usize, within: Duration) -> String {
        match self {
            Self::TooBig => {
                format!("The event is longer than {most} bytes (FOGHORN_MAX_EVENT_BYTES).")
            }
            Self::TooSlow => format!(
                "The body did not come within {} s (FOGHORN_REQUEST_SECONDS).",
                within.as_secs()
            ),
            Self::CutOff => "The body broke off.".to_owned(),
        }
    }
}

/// All of a body of up to `most` bytes that comes `within` so long.
///
/// # Errors
/// [`Unread`]
pub async fn whole<B>(body: B, most: usize, within: Duration) -> Result<Bytes, Unread>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    if body.size_hint().lower() > most as u64 {
        return Err(Unread::TooBig);
    }
    match tokio::time::timeout(within, collect(Limited::new(body, most))).await {
        Ok(Ok(whole)) => Ok(whole),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Unread::TooBig),
        Ok(Err(_)) => Err(Unread::CutOff),
        Err(_) => Err(Unread::TooSlow),
    }
}

async fn collect<B>(mut body: Limited<B>) -> Result<Bytes, BoxError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    // Never more than the limit.
    let mut whole = Buffer::with_room(body.size_hint().lower() as usize);
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame?.into_data() {
            whole.put(&piece);
        }
    }
    Ok(whole.freeze())
}
