//! Whether weir is alive and ready, for whoever starts and restarts it.

use hyper::StatusCode;
use serde_json::json;

use super::Page;
use crate::Readiness;

/// That this is answered is the answer.
pub(crate) fn alive() -> Page {
    Page::text(StatusCode::OK, "ok\n")
}

/// Whether requests should come here.
pub(crate) fn ready(readiness: &Readiness, is_verbose: bool) -> Page {
    let is_ready = readiness.is_ready();
    let status = if is_ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    if is_verbose {
        return Page::json(status, &json!({"ready": is_ready, "reasons": readiness.reasons}));
    }
    Page::text(status, if is_ready { "ok\n" } else { "not ready\n" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_says_why_not_to_those_who_ask() {
        let starting = Readiness {
            reasons: vec!["starting"],
        };
        for (readiness, is_verbose, status, body) in [
            (Readiness::default(), false, 200, "ok\n"),
            (starting.clone(), false, 503, "not ready\n"),
            (
                starting,
                true,
                503,
                "{\n  \"ready\": false,\n  \"reasons\": [\n    \"starting\"\n  ]\n}\n",
            ),
        ] {
            let page = ready(&readiness, is_verbose);
            assert_eq!((page.status.as_u16(), &*page.body), (status, body));
        }
    }
}
