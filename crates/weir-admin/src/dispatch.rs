//! Which question a request asks.

use hyper::Method;

use crate::answers::{self, Page};
use crate::metrics::Selection;
use crate::percent::decode;
use crate::{Instance, metrics};

/// A question that is admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    Index,
    Alive,
    Ready {
        is_verbose: bool,
    },
    Metrics(Selection),
    Status,
    Config,
    Health {
        is_strict: bool,
    },
    Tenants,
    Services(String),
    Reload,
    Decide {
        endpoint: String,
        verb: String,
        parameters: String,
    },
}

/// The question of a request, or the page that says why there is none. `bases` are the tenants' base paths.
pub(crate) fn question(method: &Method, path: &str, query: &str, bases: &[String]) -> Result<Question, Page> {
    let has = |flag: &str| {
        query
            .split('&')
            .any(|part| part == flag || part == format!("{flag}=true"))
    };
    let is_reading = matches!(*method, Method::GET | Method::HEAD);
    let read = |question: Question| {
        if is_reading {
            Ok(question)
        } else {
            Err(Page::wrong_method("GET, HEAD"))
        }
    };
    match path {
        "/" => return read(Question::Index),
        "/livez" | "/healthz" => return read(Question::Alive),
        "/readyz" => {
            let is_verbose = has("verbose");
            return read(Question::Ready { is_verbose });
        }
        "/metrics" => {
            let selection = Selection::parse(query)
                .map_err(|what| Page::error(hyper::StatusCode::BAD_REQUEST, "invalid", &what));
            return selection.and_then(|selection| read(Question::Metrics(selection)));
        }
        "/status" => return read(Question::Status),
        "/config" => return read(Question::Config),
        _ => {}
    }
    let write = |question: Question| match *method {
        Method::POST => Ok(question),
        _ => Err(Page::wrong_method("POST")),
    };
    if path == "/reload" {
        return write(Question::Reload);
    }
    if let Some((endpoint, verb)) = path
        .strip_prefix("/endpoints/")
        .and_then(|rest| rest.rsplit_once('/'))
    {
        let endpoint = decode(endpoint).filter(|endpoint| !endpoint.is_empty());
        let endpoint = endpoint.ok_or_else(|| Page::not_found("this is no endpoint"))?;
        return write(Question::Decide {
            endpoint,
            verb: verb.to_owned(),
            parameters: query.to_owned(),
        });
    }
    let below = bases
        .iter()
        .find_map(|base| path.strip_prefix(&**base)?.strip_prefix('/'));
    match below.map(|below| below.split('/').collect::<Vec<_>>()).as_deref() {
        Some(["health"]) => {
            let is_strict = has("strict");
            read(Question::Health { is_strict })
        }
        Some(["tenants"]) => read(Question::Tenants),
        Some(["tenants", name, "health"]) => {
            let name = decode(name).ok_or_else(|| Page::not_found("this is no tenant"))?;
            read(Question::Services(name))
        }
        _ => Err(Page::not_found("GET / says what there is")),
    }
}

/// Answers a question. May wait for a publication that is under way.
pub(crate) fn answer(question: Question, instance: &dyn Instance) -> Page {
    match question {
        Question::Index => answers::index(),
        Question::Alive => answers::alive(),
        Question::Ready { is_verbose } => answers::ready(&instance.readiness(), is_verbose),
        Question::Metrics(selection) => Page {
            media_type: "text/plain; version=0.0.4; charset=utf-8",
            ..Page::text(
                hyper::StatusCode::OK,
                metrics::selected(&instance.report(), selection),
            )
        },
        Question::Status => status(instance),
        Question::Config => Page::json(hyper::StatusCode::OK, &instance.config()),
        Question::Health { is_strict } => answers::overall(&instance.report(), is_strict),
        Question::Tenants => answers::tenants(&instance.report()),
        Question::Services(name) => answers::services(&instance.report(), &name),
        Question::Reload => answers::reload(instance),
        Question::Decide {
            endpoint,
            verb,
            parameters,
        } => answers::decide(instance, endpoint, &verb, &parameters),
    }
}

fn status(instance: &dyn Instance) -> Page {
    match serde_json::to_value(instance.report()) {
        Ok(report) => Page::json(hyper::StatusCode::OK, &report),
        Err(error) => answers::refused(&crate::Refusal::Failed(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn op04_what_is_asked_and_how() {
        let bases = ["/admin".to_owned(), "/ops/gw".to_owned()];
        let ask = |method: Method, target: &str| {
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            question(&method, path, query, &bases).map_err(|page| page.status.as_u16())
        };
        let scrape = |query: &str| Selection::parse(query).expect("a selection");
        for (target, expected) in [
            ("/livez", Ok(Question::Alive)),
            ("/healthz", Ok(Question::Alive)),
            ("/readyz", Ok(Question::Ready { is_verbose: false })),
            ("/readyz?verbose", Ok(Question::Ready { is_verbose: true })),
            ("/admin/health", Ok(Question::Health { is_strict: false })),
            (
                "/ops/gw/health?strict=true",
                Ok(Question::Health { is_strict: true }),
            ),
            ("/admin/tenants", Ok(Question::Tenants)),
            (
                "/admin/tenants/a%20b/health",
                Ok(Question::Services("a b".to_owned())),
            ),
            (
                "/metrics?scope=route",
                Ok(Question::Metrics(scrape("scope=route"))),
            ),
            ("/metrics?scope=server", Err(400)),
            ("/admin/tenants/%f/health", Err(404)),
            ("/admin/tenants/a/b/health", Err(404)),
            ("/health", Err(404)),
            ("/adminx/health", Err(404)),
            ("/reload", Err(405)),
            ("/endpoints/10.0.0.1:80/drain", Err(405)),
            ("/endpoints/drain", Err(404)),
        ] {
            assert_eq!(ask(Method::GET, target), expected, "GET {target}");
        }
        let decide = |endpoint: &str| {
            Ok(Question::Decide {
                endpoint: endpoint.to_owned(),
                verb: "drain".to_owned(),
                parameters: "for=1m".to_owned(),
            })
        };
        for (target, expected) in [
            ("/reload", Ok(Question::Reload)),
            ("/endpoints/10.0.0.1:80/drain?for=1m", decide("10.0.0.1:80")),
            ("/endpoints/%2Frun%2Fa.sock/drain?for=1m", decide("/run/a.sock")),
            ("/endpoints//drain", Err(404)),
            ("/status", Err(405)),
            ("/admin/health", Err(405)),
        ] {
            assert_eq!(ask(Method::POST, target), expected, "POST {target}");
        }
        // A base path `/` is the empty one.
        let found = question(&Method::GET, "/tenants", "", &[String::new()]);
        assert_eq!(found, Ok(Question::Tenants));
    }
}
