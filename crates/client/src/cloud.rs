//! One cloud: login, catalog, and a call.

use crate::Error;
use reqwest::{Method, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// How to log in.
#[derive(Clone, Default)]
pub struct Credentials {
    /// Identity endpoint, with or without `/v3`.
    pub auth_url: String,
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
    /// Project name.
    pub project: String,
    /// Domain of user and project.
    pub domain: String,
    /// Region.
    pub region: String,
    /// Certificate to trust, PEM.
    pub ca: Option<Vec<u8>>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("auth_url", &self.auth_url).field("username", &self.username).finish_non_exhaustive()
    }
}

/// A session with one cloud. Cheap to clone.
#[derive(Clone)]
pub struct Cloud {
    http: reqwest::Client,
    token: String,
    urls: BTreeMap<String, String>,
    /// Project of the token.
    pub project_id: String,
}

impl std::fmt::Debug for Cloud {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cloud").field("urls", &self.urls).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct TokenBody {
    token: Token,
}
#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    catalog: Vec<Service>,
    project: Option<Project>,
}
#[derive(Deserialize)]
struct Project {
    id: String,
}
#[derive(Deserialize)]
struct Service {
    #[serde(rename = "type")]
    kind: String,
    endpoints: Vec<Endpoint>,
}
#[derive(Deserialize)]
struct Endpoint {
    interface: String,
    region_id: Option<String>,
    url: String,
}

impl Cloud {
    /// Logs in.
    /// # Errors
    /// Unreachable, or refused.
    pub async fn login(c: &Credentials) -> Result<Cloud, Error> {
        // Another part of the program may have installed the provider already; then this changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder().connect_timeout(Duration::from_secs(10)).no_proxy();
        if let Some(pem) = &c.ca {
            let certificate = reqwest::Certificate::from_pem(pem)
                .map_err(|e| Error::File { path: "CA certificate".into(), reason: e.to_string() })?;
            builder = builder.tls_certs_only([certificate]);
        }
        let http = builder.build().map_err(|e| Error::Unreachable { url: c.auth_url.clone(), reason: chain(&e) })?;
        let base = c.auth_url.trim_end_matches('/').trim_end_matches("/v3");
        let url = format!("{base}/v3/auth/tokens");
        let domain = json!({"id": c.domain});
        let body = json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user": {
                "name": c.username, "domain": domain, "password": c.password}}},
            "scope": {"project": {"name": c.project, "domain": domain}},
        }});
        let response = http
            .post(&url)
            .json(&body)
            .send()
            .await
            .map_err(|e| Error::Unreachable { url: url.clone(), reason: chain(&e) })?;
        let response = accepted(response).await?;
        let token = response
            .headers()
            .get("x-subject-token")
            .and_then(|v| v.to_str().ok())
            .ok_or_else(|| Error::Malformed { url: url.clone(), reason: "no X-Subject-Token".into() })?
            .to_owned();
        let body: TokenBody = response.json().await.map_err(|e| Error::Malformed { url, reason: chain(&e) })?;
        let mut urls = BTreeMap::new();
        for s in body.token.catalog {
            let fits = |e: &&Endpoint| {
                e.interface == "public" && (c.region.is_empty() || e.region_id.as_deref().is_none_or(|r| r == c.region))
            };
            if let Some(e) = s.endpoints.iter().find(fits) {
                urls.insert(s.kind, e.url.trim_end_matches('/').to_owned());
            }
        }
        let project_id = body.token.project.map(|p| p.id).unwrap_or_default();
        Ok(Cloud { http, token, urls, project_id })
    }
    /// Address of a service.
    /// # Errors
    /// The catalog has none.
    pub fn url(&self, service: &str) -> Result<&str, Error> {
        self.urls.get(service).map(String::as_str).ok_or_else(|| Error::NoService(service.to_owned()))
    }
    /// The token, for a websocket or another client.
    pub fn token(&self) -> &str {
        &self.token
    }
    pub(crate) fn request(&self, method: Method, service: &str, path: &str) -> Result<(String, reqwest::RequestBuilder), Error> {
        let mut url = format!("{}{path}", self.url(service)?);
        if service == "image" {
            url = format!("{}/v2{path}", self.url(service)?.trim_end_matches("/v2"));
        } else if service == "network" {
            url = format!("{}/v2.0{path}", self.url(service)?.trim_end_matches("/v2.0"));
        }
        let mut request = self.http.request(method, &url).header("x-auth-token", &self.token);
        if service == "compute" {
            request = request.header("openstack-api-version", "compute 2.96");
        }
        Ok((url, request))
    }
    /// One call; the answer as text of JSON, empty where there is none.
    /// # Errors
    /// Unreachable, or refused.
    pub async fn call(&self, method: Method, service: &str, path: &str, body: Option<&Value>) -> Result<String, Error> {
        let (url, mut request) = self.request(method, service, path)?;
        request = request.timeout(Duration::from_secs(120));
        if let Some(b) = body {
            request = request.json(b);
        }
        let response = request.send().await.map_err(|e| Error::Unreachable { url: url.clone(), reason: chain(&e) })?;
        accepted(response).await?.text().await.map_err(|e| Error::Malformed { url, reason: chain(&e) })
    }
    /// One call; what is below `key` of the answer.
    /// # Errors
    /// Unreachable, refused, or another form.
    pub async fn get<T: DeserializeOwned>(&self, service: &str, path: &str, key: &str) -> Result<T, Error> {
        let text = self.call(Method::GET, service, path, None).await?;
        read(&text, key, path)
    }
    /// POST; what is below `key` of the answer.
    /// # Errors
    /// Unreachable, refused, or another form.
    pub async fn post<T: DeserializeOwned>(&self, service: &str, path: &str, body: &Value, key: &str) -> Result<T, Error> {
        let text = self.call(Method::POST, service, path, Some(body)).await?;
        read(&text, key, path)
    }
}

fn read<T: DeserializeOwned>(text: &str, key: &str, path: &str) -> Result<T, Error> {
    let malformed = |e: serde_json::Error| Error::Malformed { url: path.to_owned(), reason: e.to_string() };
    let mut value: Value = serde_json::from_str(text).map_err(malformed)?;
    let value = if key.is_empty() { value } else { value[key].take() };
    serde_json::from_value(value).map_err(malformed)
}

/// An error with its causes.
pub(crate) fn chain(e: &dyn std::error::Error) -> String {
    let mut text = e.to_string();
    let mut source = e.source();
    while let Some(s) = source {
        text = s.to_string();
        source = s.source();
    }
    text
}

/// The answer if it is a success; the cloud's own words otherwise.
pub(crate) async fn accepted(response: Response) -> Result<Response, Error> {
    let status = response.status();
    if status.is_success() || status.as_u16() == 300 {
        return Ok(response);
    }
    let request_id =
        response.headers().get("x-openstack-request-id").and_then(|v| v.to_str().ok()).map(str::to_owned);
    let text = response.text().await.unwrap_or_default();
    Err(Error::Refused { status: status.as_u16(), message: message_of(&text), request_id })
}

/// The sentence in any of the services' error bodies. Pure.
fn message_of(text: &str) -> String {
    let Ok(value) = serde_json::from_str::<Value>(text) else { return text.trim().to_owned() };
    fn find(v: &Value) -> Option<String> {
        match v {
            Value::Object(map) => {
                for key in ["message", "detail", "faultstring"] {
                    if let Some(Value::String(s)) = map.get(key)
                        && !s.is_empty()
                    {
                        return Some(s.clone());
                    }
                }
                map.values().find_map(find)
            }
            Value::Array(list) => list.iter().find_map(find),
            _ => None,
        }
    }
    find(&value).unwrap_or_else(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_sentence_in_every_shape() {
        assert_eq!(message_of(r#"{"badRequest":{"code":400,"message":"no"}}"#), "no");
        assert_eq!(message_of(r#"{"NeutronError":{"type":"X","message":"no","detail":""}}"#), "no");
        assert_eq!(message_of(r#"{"errors":[{"status":404,"detail":"no"}]}"#), "no");
        assert_eq!(message_of("plain"), "plain");
    }
}
