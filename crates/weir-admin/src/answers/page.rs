//! An answer before it is sent.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::Refusal;

/// What is served, one per line.
const INDEX: &str = "\
weir admin

GET  /livez                       alive
GET  /readyz                      ready to serve; ?verbose says why not
GET  /metrics                     for Prometheus; ?scope=SCOPE, ?metrics=NAME,-NAME
GET  /status                      the whole picture
GET  /config                      the configuration as meant
GET  /admin/health                health by tenant
GET  /admin/tenants               tenants and their services
GET  /admin/tenants/NAME/health   health of one tenant's services
POST /reload                      load the configuration again
POST /endpoints/ADDRESS/VERB      drain, disable, enable, reset; weight?weight=N
";

/// Status, media type, body, and the methods that there are if it was another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) media_type: &'static str,
    pub(crate) body: String,
    pub(crate) allow: Option<&'static str>,
}

impl Page {
    /// A text.
    pub(crate) fn text(status: StatusCode, body: impl Into<String>) -> Self {
        Self {
            status,
            media_type: "text/plain; charset=utf-8",
            body: body.into(),
            allow: None,
        }
    }

    /// A JSON document.
    pub(crate) fn json(status: StatusCode, body: &Value) -> Self {
        Self {
            media_type: "application/json",
            ..Self::text(status, format!("{body:#}\n"))
        }
    }

    /// What went wrong, with a stable word.
    pub(crate) fn error(status: StatusCode, word: &str, message: &str) -> Self {
        Self::json(status, &json!({"error": word, "message": message}))
    }

    /// The path is known, the method is not (RFC 9110 15.5.6).
    pub(crate) fn wrong_method(allow: &'static str) -> Self {
        let message = format!("this path takes {allow}");
        Self {
            allow: Some(allow),
            ..Self::error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &message)
        }
    }

    /// The path is not known.
    pub(crate) fn not_found(message: &str) -> Self {
        Self::error(StatusCode::NOT_FOUND, "not_found", message)
    }
}

/// What there is.
pub(crate) fn index() -> Page {
    Page::text(StatusCode::OK, INDEX)
}

/// Something that was asked for is not done.
pub(crate) fn refused(refusal: &Refusal) -> Page {
    match refusal {
        Refusal::Unknown(message) => Page::not_found(message),
        Refusal::Invalid(message) => Page::error(StatusCode::BAD_REQUEST, "invalid", message),
        Refusal::Failed(message) => Page::error(StatusCode::INTERNAL_SERVER_ERROR, "failed", message),
    }
}
