//! `forceDelete`: a deletion, since nothing is kept for later.

use super::Call;
use axum::response::Response;
use conductor::ActionRequest;
use web::Fault;

pub(super) async fn force(call: &Call<'_>) -> Result<Response, Fault> {
    let answer = call.act(ActionRequest::Delete).await?;
    if let Ok(id) = uuid::Uuid::try_parse(call.id) {
        call.api.consoles().forget(id);
    }
    Ok(answer)
}
