//! `routes` and `route_groups`: explicit routes of a tenant (row KT30).

use std::sync::Arc;

use super::path;
use crate::resource::decode::{Decoder, Field, Fields};
use crate::yaml::{Finding, Span, Spanned};

/// Groups inside groups that are opened.
const GROUP_DEPTH: usize = 8;

/// One route, with the patterns of its groups before its own.
#[derive(Clone, Debug, PartialEq)]
pub struct TenantRoute {
    /// Upper case; `None` for every method.
    pub method: Option<Arc<str>>,
    /// Path under the tenant's prefix, beginning with `/`: `{name}` stands for one segment, `{name:regex}` for what
    /// the expression matches inside one, `*` at the end for everything.
    pub pattern: Arc<str>,
    /// Where the route's own pattern is written.
    pub pattern_span: Span,
    /// What serves it.
    pub target: RouteTarget,
    /// Where the route starts.
    pub span: Span,
}

/// What serves a route.
#[derive(Clone, Debug, PartialEq)]
pub enum RouteTarget {
    /// A service of the tenant.
    Service(Spanned<Arc<str>>),
    /// All services of the tenant, balanced.
    Services,
    /// A handler, or a middleware before it, which weir does not run; already reported.
    Unserved,
}

const METHODS: &[(&str, Option<&str>)] = &[
    ("GET", Some("GET")),
    ("HEAD", Some("HEAD")),
    ("POST", Some("POST")),
    ("PUT", Some("PUT")),
    ("DELETE", Some("DELETE")),
    ("OPTIONS", Some("OPTIONS")),
    ("PATCH", Some("PATCH")),
    ("*", None),
];

/// Reads `routes` and `route_groups` of a tenant or of a group; what cannot be read is left out and reported.
pub(super) fn decode(decoder: &mut Decoder, fields: &Fields<'_>) -> Vec<TenantRoute> {
    let mut routes = Vec::new();
    let outer = Outer {
        pattern: "",
        is_guarded: false,
        depth: 0,
    };
    read(decoder, fields, outer, &mut routes);
    routes
}

/// What the groups around a route say.
#[derive(Clone, Copy)]
struct Outer<'a> {
    pattern: &'a str,
    is_guarded: bool,
    depth: usize,
}

fn read(decoder: &mut Decoder, fields: &Fields<'_>, outer: Outer<'_>, routes: &mut Vec<TenantRoute>) {
    if let Some(field) = fields.optional("routes") {
        for item in decoder.items(field, usize::MAX) {
            let mark = decoder.mark();
            routes.extend(route(decoder, item, outer));
            decoder.effect_since(mark, "this route is left out; requests for it are answered 404");
        }
    }
    let groups = match fields.optional("route_groups") {
        Some(field) => decoder.items(field, usize::MAX),
        None => return,
    };
    for item in groups {
        let mark = decoder.mark();
        group(decoder, item, outer, routes);
        decoder.effect_since(
            mark,
            "routes of this group are left out; requests for them are answered 404",
        );
    }
}

fn group(
    decoder: &mut Decoder,
    item: Field<'_>,
    outer: Outer<'_>,
    routes: &mut Vec<TenantRoute>,
) -> Option<()> {
    if outer.depth == GROUP_DEPTH {
        let finding = Finding::new("E0105", item.span(), "groups are nested too deeply");
        decoder.report(finding.help("write the whole pattern in one group"));
        return None;
    }
    let known = ["pattern", "middleware", "routes", "route_groups"];
    let fields = decoder.fields_with_vital(item, &known, ["pattern", "middleware"])?;
    if fields.has_misspelt() {
        return None;
    }
    let own = match fields.optional("pattern") {
        Some(field) => pattern(decoder, field)?.value,
        None => Arc::from(""),
    };
    let own = own.trim_end_matches('*').trim_end_matches('/');
    let pattern = format!("{}{own}", outer.pattern);
    let is_guarded = outer.is_guarded || is_guarded(decoder, &fields);
    let inner = Outer {
        pattern: &pattern,
        is_guarded,
        depth: outer.depth + 1,
    };
    read(decoder, &fields, inner, routes);
    Some(())
}

fn route(decoder: &mut Decoder, item: Field<'_>, outer: Outer<'_>) -> Option<TenantRoute> {
    let known = ["method", "pattern", "handler", "backend", "middleware"];
    let fields = decoder.fields_with_vital(item, &known, known)?;
    if fields.has_misspelt() {
        return None;
    }
    let method = match fields.optional("method") {
        Some(field) => decoder.choice(field, METHODS)?.value,
        None => None,
    };
    let written = fields.required(decoder, "pattern")?;
    let written = pattern(decoder, written)?;
    let guarded = is_guarded(decoder, &fields);
    let target = match (fields.optional("handler"), fields.optional("backend")) {
        (Some(_), Some(_)) => {
            let span = fields.key_span("handler");
            decoder.conflict(
                span,
                "a route has a handler or a backend, not both",
                "remove one of the two",
            );
            return None;
        }
        (Some(_), None) => {
            report_unserved(decoder, fields.key_span("handler"), "handlers");
            RouteTarget::Unserved
        }
        (None, Some(field)) => RouteTarget::Service(decoder.nonempty(field)?),
        (None, None) => RouteTarget::Services,
    };
    Some(TenantRoute {
        method: method.map(Into::into),
        pattern: format!("{}{}", outer.pattern, written.value).into(),
        pattern_span: written.span,
        target: match guarded || outer.is_guarded {
            true => RouteTarget::Unserved,
            false => target,
        },
        span: item.span(),
    })
}

/// Whether a middleware stands before the routes; what it would do, such as asking for a password, must not be
/// skipped.
fn is_guarded(decoder: &mut Decoder, fields: &Fields<'_>) -> bool {
    let Some(field) = fields.optional("middleware") else {
        return false;
    };
    let is_guarded = field.node.scalar().is_some() || !decoder.items(field, usize::MAX).is_empty();
    if is_guarded {
        report_unserved(decoder, fields.key_span("middleware"), "middleware of routes");
    }
    is_guarded
}

fn report_unserved(decoder: &mut Decoder, span: Span, what: &str) {
    let verb = if what.ends_with('s') && !what.contains(' ') {
        "are"
    } else {
        "is"
    };
    let finding = Finding::new("E0408", span, format!("{what} {verb} not supported yet"));
    decoder.report(
        finding
            .label("a script is not run")
            .effect("requests for this route are answered 501"),
    );
}

fn pattern(decoder: &mut Decoder, field: Field<'_>) -> Option<Spanned<Arc<str>>> {
    let text = decoder.nonempty(field)?;
    // Braces are no path characters; what is around them must be a path.
    let plain = without_braces(&text).filter(|plain| {
        let star = plain.find('*');
        plain.starts_with('/') && star.is_none_or(|star| star + 1 == plain.len() && plain.ends_with("/*"))
    });
    let Some(plain) = plain else {
        let message = format!("\"{}\" is not a pattern", text.value);
        let help = "begin it with \"/\"; \"*\" stands at the end only, and {name} for one segment";
        decoder.report(Finding::new("E0410", text.span, message).help(help));
        return None;
    };
    path::path(
        decoder,
        &Spanned::new(plain.trim_end_matches('*').into(), text.span),
    )?;
    Some(text)
}

/// The pattern with a letter in the place of every `{...}`; `None` when braces are not closed.
fn without_braces(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut depth = 0usize;
    for letter in text.chars() {
        match letter {
            '{' => {
                if depth == 0 {
                    out.push('x');
                }
                depth += 1;
            }
            '}' => depth = depth.checked_sub(1)?,
            _ if depth == 0 => out.push(letter),
            _ => {}
        }
    }
    (depth == 0).then_some(out)
}
