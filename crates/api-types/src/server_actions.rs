//! Bodies of `POST /servers/{id}/action` that carry more than their name.

use crate::Microversion;
use crate::check::{self, Result};
use serde_json::Value;
use std::collections::BTreeMap;

/// The action of a body: its only key. `None` if it has not exactly one.
pub fn action_of(body: &Value) -> Option<&str> {
    let map = body.as_object()?;
    let mut keys = map.keys();
    match (keys.next(), keys.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

/// `{"reboot": {"type": "HARD"}}`: whether it is hard.
/// # Errors
/// Nova's sentence.
pub fn reboot(body: &Value) -> Result<bool> {
    check::only(body, "reboot", |at| {
        let mut f = at.object()?;
        let kind = f.required("type", |at| at.one_of(&["HARD", "Hard", "hard", "SOFT", "Soft", "soft"]))?;
        f.finish()?;
        Ok(kind.eq_ignore_ascii_case("hard"))
    })
}

/// `{"lock": null}` or, from 2.73 on, `{"lock": {"locked_reason": …}}`.
/// # Errors
/// Nova's sentence.
pub fn lock(body: &Value, mv: Microversion) -> Result<Option<String>> {
    check::only(body, "lock", |at| {
        if !mv.at_least(73) || at.is_null() {
            return Ok(None);
        }
        let mut f = at.object()?;
        let reason = f.required("locked_reason", |at| at.bounded(1, 255).map(str::to_owned))?;
        f.finish()?;
        Ok(Some(reason))
    })
}

/// `{"createImage": {"name": …, "metadata": …}}`.
/// # Errors
/// Nova's sentence.
pub fn create_image(body: &Value) -> Result<(String, BTreeMap<String, String>)> {
    check::only(body, "createImage", |at| {
        let mut f = at.object()?;
        let name = f.required("name", check::name)?;
        let metadata = f.optional("metadata", check::metadata)?.unwrap_or_default();
        f.finish()?;
        Ok((name, metadata))
    })
}

/// `{"os-getConsoleOutput": {"length": 50}}`: lines from the end; `None` for all.
/// # Errors
/// Nova's sentence.
pub fn console_output(body: &Value) -> Result<Option<u32>> {
    check::only(body, "os-getConsoleOutput", |at| {
        let mut f = at.object()?;
        let length = f.optional("length", |at| if at.is_null() { Ok(None) } else { at.integer(-1, i64::from(i32::MAX)).map(Some) })?;
        f.finish()?;
        // -1 is Nova's word for everything.
        Ok(length.flatten().and_then(|n| u32::try_from(n).ok()))
    })
}

/// `{"os-resetState": {"state": "active"}}`: whether it is `active` (else `error`).
/// # Errors
/// Nova's sentence.
pub fn reset_state(body: &Value) -> Result<bool> {
    check::only(body, "os-resetState", |at| {
        let mut f = at.object()?;
        let state = f.required("state", |at| at.one_of(&["active", "error"]))?;
        f.finish()?;
        Ok(state == "active")
    })
}

/// `{"addSecurityGroup": {"name": …}}`, also for `removeSecurityGroup`.
/// # Errors
/// Nova's sentence.
pub fn security_group(body: &Value, action: &'static str) -> Result<String> {
    check::only(body, action, |at| {
        let mut f = at.object()?;
        let name = f.required("name", |at| at.bounded(1, 255).map(str::to_owned))?;
        f.finish()?;
        Ok(name)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn bodies() {
        assert_eq!(action_of(&json!({"pause": null})), Some("pause"));
        assert_eq!(action_of(&json!({"pause": null, "x": 1})), None);
        assert_eq!(action_of(&json!([])), None);
        assert_eq!(reboot(&json!({"reboot": {"type": "Hard"}})), Ok(true));
        assert!(reboot(&json!({"reboot": {"type": "NONE"}})).is_err());
        assert!(reboot(&json!({"reboot": {}})).is_err());
        let reason = json!({"lock": {"locked_reason": "r"}});
        assert_eq!(lock(&reason, Microversion(2, 73)), Ok(Some("r".into())));
        assert_eq!(lock(&reason, Microversion(2, 72)), Ok(None));
        assert_eq!(console_output(&json!({"os-getConsoleOutput": {"length": -1}})), Ok(None));
        assert_eq!(console_output(&json!({"os-getConsoleOutput": {"length": "5"}})), Ok(Some(5)));
        assert!(console_output(&json!({"os-getConsoleOutput": {"length": -2}})).is_err());
        assert_eq!(reset_state(&json!({"os-resetState": {"state": "error"}})), Ok(false));
        assert!(reset_state(&json!({"os-resetState": {"state": "paused"}})).is_err());
    }
}
