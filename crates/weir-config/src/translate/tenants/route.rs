//! Explicit routes: method and pattern to a service, 405 for a known path with another method (row KT30).

use weir_model::{Action, FixedAnswer, Match, PathMatch};

use super::canary::report_unknown;
use super::pattern::{covers, path_match};
use super::rule::{Common, Draft, RuleWriter, fixed, on_path};
use crate::resource::{RouteTarget, TenantRoute, TenantService};
use crate::yaml::Finding;

/// A route and what it matches.
struct Compiled<'a> {
    route: &'a TenantRoute,
    path: PathMatch,
    draft: Draft,
}

/// Writes the rules of a tenant's explicit routes.
pub(super) fn write<'a>(
    writer: &mut RuleWriter<'_, 'a>,
    common: &Common,
    services: &[&'a TenantService],
    drafts: &mut Vec<Draft>,
) {
    let tenant = writer.tenant;
    let prefix = writer.prefix();
    let mut compiled: Vec<Compiled<'a>> = Vec::new();
    for route in &tenant.spec.routes {
        let path = match path_match(&prefix, &route.pattern) {
            Ok(path) => path,
            Err(error) => {
                let message = format!("the pattern \"{}\" is not valid: {}", route.pattern, error.reason);
                let finding = Finding::new("E0410", route.pattern_span, message);
                let effect = "this route is left out; requests for it are answered 404";
                writer.reporter.add(tenant.placed, finding.effect(effect));
                continue;
            }
        };
        let action = action(writer, common, services, route);
        let mut draft = common.draft(vec![with_method(&path, route.method.as_deref())], action);
        draft.origin = Some(tenant.origin(route.span));
        compiled.push(Compiled { route, path, draft });
    }
    let answers = settle_methods(&mut compiled);
    drafts.extend(compiled.into_iter().map(|one| one.draft));
    drafts.extend(answers);
    // Without words of its own it leaves what it does not have to tenants that are found after it.
    if tenant.spec.error_handlers.not_found.is_some() {
        let matches = vec![on_path(PathMatch::Prefix(prefix))];
        drafts.push(Draft::answer(matches, fixed(404, "NoRoute")));
    }
}

fn action<'a>(
    writer: &mut RuleWriter<'_, 'a>,
    common: &Common,
    services: &[&'a TenantService],
    route: &TenantRoute,
) -> Action {
    match &route.target {
        RouteTarget::Unserved => Action::Answer(fixed(501, "ScriptsNotSupported")),
        RouteTarget::Services => writer.forward(common, "", &[(services, 1)]),
        RouteTarget::Service(name) => {
            let is_named = |service: &&&TenantService| service.name.value == name.value;
            if let Some(service) = services.iter().find(is_named) {
                let key = format!("service/{}", name.value);
                return writer.forward(common, &key, &[(&[*service], 1)]);
            }
            let tenant = writer.tenant;
            if !tenant
                .spec
                .services
                .iter()
                .any(|service| service.name.value == name.value)
            {
                report_unknown(
                    tenant,
                    name,
                    "requests for this route are answered 500",
                    writer.reporter,
                );
            }
            Action::Answer(fixed(500, "UnknownService"))
        }
    }
}

fn with_method(path: &PathMatch, method: Option<&str>) -> Match {
    Match {
        method: method.map(Into::into),
        ..on_path(path.clone())
    }
}

/// The router takes the narrowest path first, whatever its method. So for each path and each method that it does not
/// serve itself, a wider route that does gets one more match; what is left is answered 405.
fn settle_methods(compiled: &mut [Compiled<'_>]) -> Vec<Draft> {
    let mut answers = Vec::new();
    let mut seen: Vec<PathMatch> = Vec::new();
    for place in 0..compiled.len() {
        let path = compiled[place].path.clone();
        if seen.contains(&path) {
            continue;
        }
        seen.push(path.clone());
        let mut methods: Vec<Option<String>> = Vec::new();
        let own = compiled.iter().filter(|one| one.path == path);
        methods.extend(own.map(|one| one.route.method.as_deref().map(str::to_owned)));
        let mut wider: Vec<usize> = (0..compiled.len())
            .filter(|other| covers(&compiled[*other].path, &path))
            .collect();
        wider.sort_by_key(|other| precedence(&compiled[*other].path));
        for other in wider {
            let method = compiled[other].route.method.as_deref().map(str::to_owned);
            if methods.contains(&None) || methods.contains(&method) {
                continue;
            }
            compiled[other]
                .draft
                .matches
                .push(with_method(&path, method.as_deref()));
            methods.push(method);
        }
        if !methods.contains(&None) {
            let mut allowed: Vec<String> = methods.into_iter().flatten().collect();
            allowed.sort();
            allowed.dedup();
            answers.push(Draft::answer(vec![on_path(path)], not_allowed(&allowed)));
        }
    }
    answers
}

/// RFC 9110 15.5.6: the answer lists the methods that there are.
fn not_allowed(methods: &[String]) -> FixedAnswer {
    FixedAnswer {
        allow: Some(methods.join(", ").into()),
        ..fixed(405, "MethodNotAllowed")
    }
}

/// Greater is asked later (the order of the router).
fn precedence(path: &PathMatch) -> (u8, std::cmp::Reverse<usize>) {
    match path {
        PathMatch::Exact(text) => (0, std::cmp::Reverse(text.len())),
        PathMatch::Regex(text) => (1, std::cmp::Reverse(text.len())),
        PathMatch::Prefix(text) => (2, std::cmp::Reverse(text.len())),
    }
}
