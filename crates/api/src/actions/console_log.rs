//! `os-getConsoleOutput`: what the guest wrote on its console.

use super::Call;
use crate::fault::{bad, refused};
use api_types::server_actions;
use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use web::Fault;

pub(super) async fn output(call: &Call<'_>) -> Result<Response, Fault> {
    let lines = server_actions::console_output(call.body).map_err(bad)?;
    let s = call.server().await?;
    let bytes = call.api.conductor().console_log(&s, lines).await.map_err(refused)?;
    Ok(Json(json!({ "output": clean(&bytes) })).into_response())
}

/// The text without the control characters that the original takes out: all but tab and line feed.
fn clean(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().filter(|c| *c == '\t' || *c == '\n' || u32::from(*c) >= 0x20).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn control_characters_are_taken_out() {
        assert_eq!(super::clean(b"a\x1b[0mb\r\n\tc\xff\x00"), "a[0mb\n\tc\u{fffd}");
    }
}
