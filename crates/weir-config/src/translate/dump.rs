//! A `Config` as text for people: what `weir check --dump` prints and golden files hold.

use std::fmt::{self, Display, Write};

use weir_model::{
    Action, Backend, ClientIp, Config, Destination, EndpointCondition, EndpointSource, Filter, FixedAnswer,
    HeaderChange, HeaderMatch, HostPattern, IdentityFields, Listener, Match, OriginPattern, PathMatch,
    PathRewrite, QueryMatch, Redirect, Rewrite, Route, Rule, Target, Tier, Timeouts, ValueMatch, Weight,
};

mod balance;
mod json;
mod secret;
mod traffic;
mod upstream;

pub use json::{config_json, destinations, matches};

/// The whole `Config`, one thing per line.
pub fn dump(config: &Config) -> String {
    let mut text = String::new();
    let mut out = Dump {
        config,
        out: &mut text,
    };
    // Writing to a String cannot fail.
    let _ = out.all();
    text
}

/// How a rule treats endpoints, requests and responses where that is not the default, one thing per line: health,
/// limits, connections, retries, sessions, faults, bounds on time and so on.
pub fn treatment(rule: &Rule) -> Vec<String> {
    let mut lines = match &rule.action {
        Action::Forward(forward) => upstream::lines(forward),
        Action::Redirect(_) | Action::Answer(_) => Vec::new(),
    };
    lines.extend(rule.traffic.iter().flat_map(|spec| traffic::lines(spec)));
    if rule.timeouts != Timeouts::default() {
        lines.push(describe_timeouts(&rule.timeouts));
    }
    lines
}

struct Dump<'c, 'o> {
    config: &'c Config,
    out: &'o mut String,
}

impl Dump<'_, '_> {
    fn all(&mut self) -> fmt::Result {
        for listener in &self.config.listeners {
            self.listener(listener)?;
        }
        for (id, route) in self.config.routes.iter().enumerate() {
            self.route(id, route)?;
        }
        for backend in &self.config.backends {
            self.backend(backend)?;
        }
        Ok(())
    }

    fn listener(&mut self, listener: &Listener) -> fmt::Result {
        writeln!(self.out, "listener {}", listener.key.address)?;
        match &listener.client_ip {
            ClientIp::Peer => {}
            ClientIp::TrustedHops(hops) => writeln!(self.out, "  client ip: trusted hops {hops}")?,
            ClientIp::TrustedCidrs(cidrs) => writeln!(self.out, "  client ip: trusted {cidrs:?}")?,
        }
        for section in &listener.sections {
            writeln!(
                self.out,
                "  section {} host {} port {}",
                section.name, section.host, section.port
            )?;
            for attachment in &section.attachments {
                let route = self.config.route(attachment.route);
                let hosts = list(&attachment.hosts, HostPattern::to_string);
                writeln!(
                    self.out,
                    "    route {} {} for {hosts}",
                    attachment.route.0, route.object
                )?;
            }
        }
        Ok(())
    }

    fn route(&mut self, id: usize, route: &Route) -> fmt::Result {
        write!(self.out, "route {id} {}", route.object)?;
        if let Some(created) = route.created {
            write!(self.out, " created {created}")?;
        }
        writeln!(self.out)?;
        route.rules.iter().try_for_each(|rule| self.rule(rule))
    }

    fn rule(&mut self, rule: &Rule) -> fmt::Result {
        write!(self.out, "  rule {}", rule.key)?;
        if let Some(name) = &rule.name {
            write!(self.out, " name {name}")?;
        }
        writeln!(self.out)?;
        for one in &rule.matches {
            writeln!(self.out, "    match {}", describe_match(one))?;
        }
        for filter in &rule.filters {
            writeln!(self.out, "    filter {}", describe_filter(self.config, filter))?;
        }
        match &rule.action {
            Action::Answer(answer) => return writeln!(self.out, "    answer {}", describe_answer(answer)),
            Action::Redirect(redirect) => {
                writeln!(self.out, "    redirect {}", describe_redirect(redirect))?;
                return self.lines("    ", rule.traffic.iter().flat_map(|spec| traffic::lines(spec)));
            }
            Action::Forward(forward) => {
                write!(self.out, "    balance {}", balance::describe(&forward.balance))?;
                match &forward.policy {
                    Some((policy, _)) => writeln!(self.out, " by {policy}")?,
                    None => writeln!(self.out)?,
                }
                self.lines("    ", upstream::lines(forward))?;
                forward
                    .destinations
                    .iter()
                    .try_for_each(|destination| self.destination(destination))?;
            }
        }
        self.lines("    ", rule.traffic.iter().flat_map(|spec| traffic::lines(spec)))?;
        writeln!(self.out, "    {}", describe_timeouts(&rule.timeouts))
    }

    fn lines(&mut self, indent: &str, lines: impl IntoIterator<Item = String>) -> fmt::Result {
        let mut lines = lines.into_iter();
        lines.try_for_each(|line| writeln!(self.out, "{indent}{line}"))
    }

    fn destination(&mut self, destination: &Destination) -> fmt::Result {
        write!(self.out, "    {}", destination.weight.number())?;
        if destination.tier != Tier::FIRST {
            write!(self.out, " tier {}", destination.tier.number())?;
        }
        self.out.push_str(" -> ");
        match &destination.target {
            Target::Backend(backend) => writeln!(self.out, "{}", self.config.backend(*backend).key)?,
            Target::Answer(answer) => writeln!(self.out, "answer {}", describe_answer(answer))?,
        }
        for filter in &destination.filters {
            writeln!(self.out, "      filter {}", describe_filter(self.config, filter))?;
        }
        Ok(())
    }

    fn backend(&mut self, backend: &Backend) -> fmt::Result {
        writeln!(self.out, "backend {}", backend.key)?;
        self.lines("  ", upstream::dns(&backend.dns))?;
        match &backend.endpoints {
            EndpointSource::Names(names) => {
                for named in names.iter() {
                    write!(self.out, "  name {}:{}", named.host, named.port.number())?;
                    if named.name != named.host {
                        self.out.push_str(&labelled(" name ", &named.name));
                    }
                    self.weight(named.weight)?;
                    writeln!(self.out)?;
                }
            }
            EndpointSource::Static(endpoints) => {
                for endpoint in endpoints.iter() {
                    write!(self.out, "  endpoint {}", endpoint.address)?;
                    let draining = endpoint.condition == EndpointCondition::Draining;
                    self.out.push_str(if draining { " draining" } else { "" });
                    self.out.push_str(&labelled(" name ", &endpoint.name));
                    self.out.push_str(&labelled(" zone ", &endpoint.zone));
                    self.weight(endpoint.weight)?;
                    writeln!(self.out)?;
                }
            }
        }
        Ok(())
    }

    fn weight(&mut self, weight: Weight) -> fmt::Result {
        match weight {
            Weight::ONE => Ok(()),
            weight => write!(self.out, " weight {}", weight.number()),
        }
    }
}

fn describe_filter(config: &Config, filter: &Filter) -> String {
    match filter {
        Filter::RequestHeaders(change) => format!("request headers {}", describe_change(change)),
        Filter::ResponseHeaders(change) => format!("response headers {}", describe_change(change)),
        Filter::Rewrite(rewrite) => format!("rewrite {}", describe_rewrite(rewrite)),
        Filter::Mirror(mirror) => {
            let percent = mirror.fraction.ratio() * 100.0;
            format!("mirror {percent} % to {}", config.backend(mirror.backend).key)
        }
        Filter::Identity(fields) => format!("identity {}", describe_identity(*fields)),
        Filter::Cors(cors) => format!(
            "cors origins {} methods {} headers {} expose {} credentials {} max age {:?}",
            list(&cors.allow_origins, describe_origin),
            list(&cors.allow_methods, |method| method.to_string()),
            list(&cors.allow_headers, |header| header.to_string()),
            list(&cors.expose_headers, |header| header.to_string()),
            cors.allow_credentials,
            cors.max_age
        ),
    }
}

fn describe_identity(fields: IdentityFields) -> String {
    // Its own words say it best: one flag each.
    format!("{fields:?}").replace("IdentityFields ", "")
}

fn describe_timeouts(timeouts: &Timeouts) -> String {
    format!(
        "timeouts request {} try {} connect {:?}{}",
        upstream::bound(&timeouts.request),
        upstream::bound(&timeouts.backend_request),
        timeouts.connect,
        upstream::stream_bounds(timeouts)
    )
}

fn describe_match(one: &Match) -> String {
    let mut text = match &one.path {
        PathMatch::Exact(path) => format!("path = {path}"),
        PathMatch::Prefix(path) => format!("path under {path}/"),
        PathMatch::Regex(path) => format!("path ~ {path}"),
    };
    if let Some(method) = &one.method {
        text += &format!(", method {method}");
    }
    for HeaderMatch { name, value } in &one.headers {
        text += &format!(", header {name} {}", describe_named_value(name, value));
    }
    for QueryMatch { name, value } in &one.query {
        text += &format!(", query {name} {}", describe_named_value(name, value));
    }
    text
}

fn describe_value(value: &ValueMatch) -> String {
    match value {
        ValueMatch::Exact(text) => format!("= {text}"),
        ValueMatch::Regex(text) => format!("~ {text}"),
    }
}

/// The same, unless the name says that the value is a secret.
fn describe_named_value(name: &str, value: &ValueMatch) -> String {
    match value {
        ValueMatch::Exact(text) => format!("= {}", secret::shown(name, text)),
        ValueMatch::Regex(text) => format!("~ {}", secret::shown(name, text)),
    }
}

fn describe_answer(answer: &FixedAnswer) -> String {
    format!("{} {}", answer.status, answer.reason)
}

fn describe_redirect(redirect: &Redirect) -> String {
    let mut text = redirect.status.to_string();
    text += &redirect
        .scheme
        .as_ref()
        .map(|scheme| format!(" scheme {scheme}"))
        .unwrap_or_default();
    text += &redirect
        .host
        .as_ref()
        .map(|host| format!(" host {host}"))
        .unwrap_or_default();
    text += &redirect
        .port
        .map(|port| format!(" port {}", port.number()))
        .unwrap_or_default();
    text += &redirect.path.as_ref().map(describe_path).unwrap_or_default();
    if redirect.is_relative {
        text += " relative";
    }
    text
}

fn describe_rewrite(rewrite: &Rewrite) -> String {
    let host = rewrite
        .host
        .as_ref()
        .map(|host| format!(" host {host}"))
        .unwrap_or_default();
    let path = rewrite.path.as_ref().map(describe_path).unwrap_or_default();
    let query = rewrite
        .query
        .as_ref()
        .map(|query| format!(" query {}", secret::query(query)))
        .unwrap_or_default();
    (host + &path + &query).trim_start().to_string()
}

fn describe_path(path: &PathRewrite) -> String {
    match path {
        PathRewrite::Full(path) => format!(" path {path}"),
        PathRewrite::Prefix(prefix) => format!(" prefix {prefix}"),
        PathRewrite::Start { from, to } => format!(" start {from}/ -> {to}/"),
    }
}

fn describe_change(change: &HeaderChange) -> String {
    let pair = |(name, value): &(std::sync::Arc<str>, std::sync::Arc<str>)| {
        format!("{name}: {}", secret::shown(name, value))
    };
    let set = list(&change.set, pair);
    let add = list(&change.add, pair);
    let remove = list(&change.remove, |name| name.to_string());
    format!("set {set} add {add} remove {remove}")
}

fn describe_origin(origin: &OriginPattern) -> String {
    match origin {
        OriginPattern::Any => "*".to_string(),
        OriginPattern::Of { scheme, host, port } => {
            format!("{scheme}://{host}") + &port.map(|port| format!(":{}", port.number())).unwrap_or_default()
        }
    }
}

fn labelled(label: &str, text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("{label}{text}")
    }
}

/// `[a, b]`.
fn list<T, D: Display>(items: &[T], describe: impl Fn(&T) -> D) -> String {
    let items: Vec<String> = items.iter().map(|item| describe(item).to_string()).collect();
    format!("[{}]", items.join(", "))
}
