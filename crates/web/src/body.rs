//! JSON bodies whose errors name the field.

use crate::Fault;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;

/// Largest JSON body, bytes (Nova's `osapi_max_request_body_size`).
pub const MAX_BODY: usize = 114_688;

/// Longest problem repeated to the client, characters.
const MAX_MESSAGE: usize = 300;

/// A JSON body of type `T`. Unknown fields are refused where `T` says `deny_unknown_fields`.
#[derive(Debug, Clone)]
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Fault;
    async fn from_request(request: Request, _: &S) -> Result<Body<T>, Fault> {
        let json = request
            .headers()
            .get("content-type")
            .and_then(|v| v.to_str().ok())
            .is_none_or(|v| v.starts_with("application/json") || v.contains("+json") || v.contains("-json-patch"));
        if !json {
            return Err(Fault::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Content-Type is not supported; send application/json.",
            ));
        }
        let bytes = axum::body::to_bytes(request.into_body(), MAX_BODY).await.map_err(|e| unread(e, MAX_BODY))?;
        read_json(&bytes).map(Body)
    }
}

/// Why a body of at most `limit` bytes could not be read: 413 beyond the limit, 400 where it was cut off.
pub fn unread(error: axum::Error, limit: usize) -> Fault {
    if error.into_inner().is::<http_body_util::LengthLimitError>() {
        Fault::too_large(format!("The request body is larger than {limit} bytes."))
    } else {
        Fault::bad_request("The request body was cut off before its end.")
    }
}

/// Reads `T`; the fault names the field by its path.
/// # Errors
/// 400.
pub fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    let mut de = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut de).map_err(|e| {
        let path = e.path().to_string();
        let inner = e.into_inner();
        if inner.is_syntax() || inner.is_eof() {
            return Fault::bad_request(format!("Malformed request body: {inner}."));
        }
        let problem = without_value(&inner.to_string());
        if path == "." {
            Fault::bad_request(format!("Invalid input: {problem}."))
        } else {
            Fault::bad_request(format!("Invalid input for field/attribute {path}: {problem}."))
        }
    })?;
    de.end().map_err(|e| Fault::bad_request(format!("Malformed request body: {e}.")))?;
    Ok(value)
}

/// serde's words for a wrong type without the value, which may be a password in the wrong place, or long.
fn without_value(message: &str) -> String {
    let scrubbed = ["invalid type: ", "invalid value: "].iter().find_map(|start| {
        let (kind, _) = message.strip_prefix(start)?.split_once([' ', ','])?;
        let (_, expected) = message.rsplit_once(", expected ")?;
        Some(format!("{start}{kind}, expected {expected}"))
    });
    scrubbed.unwrap_or_else(|| message.chars().take(MAX_MESSAGE).collect())
}

#[cfg(test)]
mod tests {
    use super::without_value;

    #[test]
    fn a_value_is_not_repeated() {
        for (message, shown) in [
            (
                "invalid type: string \"pass, expected word\", expected u32 at line 1 column 9",
                "invalid type: string, expected u32 at line 1 column 9",
            ),
            ("invalid type: null, expected a string", "invalid type: null, expected a string"),
            ("invalid value: integer `-1`, expected u32", "invalid value: integer, expected u32"),
            ("missing field `size`", "missing field `size`"),
        ] {
            assert_eq!(without_value(message), shown);
        }
        assert_eq!(without_value(&format!("unknown field `{}`", "x".repeat(9000))).len(), super::MAX_MESSAGE);
    }
}
