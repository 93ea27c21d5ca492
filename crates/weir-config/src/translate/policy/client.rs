//! ClientTrafficPolicy: how the client's address is found (`clientIPDetection`). The rest is not served yet.

use weir_model::{ClientIp, Problem};

use super::claims::Claims;
use super::load_balancer::cidrs;
use super::report;
use super::spec::report_unserved;
use crate::resource::Finding;
use crate::resource::decode::{Decoder, Field, Fields};
use crate::yaml::Node;

/// Fields of a ClientTrafficPolicy that weir knows but does not act on yet, and what that means for traffic.
const UNSERVED: [(&str, &str); 13] = [
    ("tcpKeepalive", "client connections are not probed"),
    (
        "enableProxyProtocol",
        "PROXY protocol headers are refused as bad requests",
    ),
    (
        "proxyProtocol",
        "PROXY protocol headers are refused as bad requests",
    ),
    ("tls", "TLS is not served"),
    ("path", "paths are normalised and escaped slashes refused"),
    ("headers", "weir's own header rules apply"),
    ("timeout", "weir's own time limits apply"),
    ("connection", "weir's own connection limits apply"),
    ("http1", "weir's own HTTP/1.1 rules apply"),
    ("http2", "HTTP/2 is not served"),
    ("http3", "HTTP/3 is not served"),
    ("healthCheck", "no path is answered by the gateway itself"),
    ("scheme", "the scheme is that of the connection"),
];

/// What one ClientTrafficPolicy means.
pub(super) struct Client {
    pub(super) client_ip: Option<ClientIp>,
    pub(super) fault: Option<String>,
}

/// Judges every ClientTrafficPolicy, in the order of the claims.
pub(super) fn judged(claims: &Claims<'_>, problems: &mut Vec<Problem>) -> Vec<Client> {
    let mut clients = Vec::with_capacity(claims.policies.len());
    for claim in &claims.policies {
        let mut decoder = Decoder::default();
        let client_ip = client_ip(&mut decoder, &claim.policy.spec);
        let findings = decoder.into_findings();
        let fault = report::first_error(&findings);
        problems.extend(findings.into_iter().map(|finding| claim.placed.problem(finding)));
        // A refused policy trusts nobody: the peer's own address is the safe answer.
        let client_ip = client_ip.filter(|_| fault.is_none());
        clients.push(Client { client_ip, fault });
    }
    clients
}

fn client_ip(decoder: &mut Decoder, spec: &Node) -> Option<ClientIp> {
    let mut known = vec!["targetRef", "targetRefs", "targetSelectors", "clientIPDetection"];
    known.extend(UNSERVED.map(|(name, _)| name));
    let fields = decoder.fields(Field::new("spec", spec), &known)?;
    report_unserved(decoder, fields, "", &UNSERVED);
    let block = fields.optional("clientIPDetection")?;
    let fields = decoder.fields(block, &["xForwardedFor", "customHeader", "directSourceIP"])?;
    let written = ["xForwardedFor", "customHeader", "directSourceIP"];
    if written
        .iter()
        .filter(|name| fields.optional(name).is_some())
        .count()
        > 1
    {
        let message = "clientIPDetection takes one of xForwardedFor, customHeader and directSourceIP";
        decoder.report(Finding::new("E0308", block.span(), message).label("more than one is written"));
        return None;
    }
    let effect = "the client's address is that of the connection";
    report_unserved(decoder, fields, "clientIPDetection.", &[("customHeader", effect)]);
    let block = fields.optional("xForwardedFor")?;
    let fields = decoder.fields(
        block,
        &["numTrustedHops", "trustedCIDRs", "disableXForwardedForAppend"],
    )?;
    let effect = "the connection's address is appended to X-Forwarded-For";
    report_unserved(
        decoder,
        fields,
        "xForwardedFor.",
        &[("disableXForwardedForAppend", effect)],
    );
    forwarded_for(decoder, fields, block)
}

fn forwarded_for(decoder: &mut Decoder, fields: Fields<'_>, block: Field<'_>) -> Option<ClientIp> {
    match (fields.optional("numTrustedHops"), fields.optional("trustedCIDRs")) {
        (Some(_), Some(_)) => {
            let message = "xForwardedFor takes numTrustedHops or trustedCIDRs, not both";
            decoder.report(Finding::new("E0308", block.span(), message).label("both are written"));
            None
        }
        (Some(hops), None) => {
            let hops = decoder.integer(hops, 0..=255)?.value;
            let hops = u32::try_from(hops).ok()?;
            Some(if hops == 0 {
                ClientIp::Peer
            } else {
                ClientIp::TrustedHops(hops)
            })
        }
        (None, Some(list)) => cidrs(decoder, list).map(ClientIp::TrustedCidrs),
        (None, None) => None,
    }
}
