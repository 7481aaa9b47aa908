//! The errors a client can get, as one table.
//!
//! `definite` is what a client must know about a write: `true` when the operation surely had no effect, `false` when
//! it may have had one, or may have it yet.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode {
    /// The name, as it stands in the body of the answer.
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// Whether the operation surely had no effect.
    pub definite: bool,
    /// What it means.
    pub message: &'static str,
}

macro_rules! error_codes {
    ($($name:ident = $status:literal $code:literal $definite:literal $message:literal;)*) => {
        $(
            #[doc = $message]
            pub const $name: ErrorCode =
                ErrorCode { code: $code, status: $status, definite: $definite, message: $message };
        )*
        /// All rows.
        pub static ERRORS: &[ErrorCode] = &[$($name),*];
    };
}

error_codes! {
    BAD_REQUEST        = 400 "bad-request"        true  "The request cannot be understood.";
    NOT_FOUND          = 404 "not-found"          true  "The key is absent.";
    NO_SUCH_ROUTE      = 404 "no-such-route"      true  "There is nothing at this path.";
    METHOD_NOT_ALLOWED = 405 "method-not-allowed" true  "The path does not take this method.";
    CAS_MISMATCH       = 409 "cas-mismatch"       true  "The key does not have the value `old`.";
    NOT_A_LIST         = 409 "not-a-list"         true  "An append met a value that is not a list.";
    CHANGE_IN_PROGRESS = 409 "change-in-progress" true  "Another membership change is not committed, or the leader is too new.";
    LAST_MEMBER        = 409 "last-member"        true  "The change would leave no member.";
    NO_TRANSFER        = 409 "no-transfer"        true  "Leadership cannot go there: that node leads, or is no member, or a transfer is under way.";
    SESSION_EXPIRED    = 409 "session-expired"    false "The session has moved past this number and its reply is forgotten.";
    TOO_LARGE          = 413 "too-large"          true  "The body is too large.";
    INTERNAL           = 500 "internal"           false "The node failed while it worked on the request.";
    NO_LEADER          = 503 "no-leader"          true  "No leader is known; nothing was proposed.";
    OVERLOADED         = 503 "overloaded"         true  "Too many requests wait; nothing was proposed.";
    TIMEOUT            = 504 "timeout"            false "Time is up; the operation may have taken effect, or may yet.";
}

/// An error on its way to a client.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    code: ErrorCode,
    message: String,
    extra: Map<String, Value>,
}

impl From<ErrorCode> for ApiError {
    fn from(code: ErrorCode) -> ApiError {
        ApiError { message: code.message.to_owned(), code, extra: Map::new() }
    }
}

impl ApiError {
    /// The error `code` with a message of its own.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> ApiError {
        ApiError { message: message.into(), ..code.into() }
    }

    /// The same error with one more field in its body.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> ApiError {
        self.extra.insert(name.to_owned(), value);
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body =
            json!({"error": self.code.code, "definite": self.code.definite, "message": self.message});
        if let Value::Object(fields) = &mut body {
            fields.extend(self.extra);
        }
        let status = StatusCode::from_u16(self.code.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(body)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_statuses_are_errors() {
        for (at, row) in ERRORS.iter().enumerate() {
            assert!((400..600).contains(&row.status), "{}", row.code);
            assert!(!ERRORS[..at].iter().any(|other| other.code == row.code), "{} twice", row.code);
        }
    }
}
