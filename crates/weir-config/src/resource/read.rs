//! From the text of one document to its resources.

use std::sync::Arc;

use weir_model::{ObjectName, Severity};

use super::decode::{Decoder, Field, Mark};
use super::kinds::{Kind, Served, Treatment};
use super::opened::{Identity, Opened, identify, open};
use super::policy_type::Origin;
use super::{
    Body, Environment, Metadata, Namespace, Resource, Unserved, UnservedRole, backend, backend_tls_policy,
    config_map, endpoint_slice, gateway, gateway_class, http_route, policy, reference_grant, service,
    tenants, words,
};
use crate::yaml::{Finding, Node, Parser};

/// Lists inside lists that are opened; an API server never nests them.
const LIST_DEPTH: usize = 4;

/// Reads documents. Keep one for many: they share allocations.
#[derive(Debug, Default)]
pub struct Reader {
    parser: Parser,
    environment: Environment,
}

/// What one document says, with places relative to it. Depends on nothing but the document's text and the reader's
/// environment variables.
#[derive(Clone, Debug, Default)]
pub struct Decoded {
    /// The objects, in order; several when the document is a `List`.
    pub resources: Vec<Arc<Resource>>,
    /// What is wrong, each with the object that it is about as far as that is known.
    pub findings: Vec<(Finding, Option<ObjectName>)>,
    /// Something of it could not be read, so that objects may be missing.
    pub incomplete: bool,
}

impl Reader {
    /// A reader that has read nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A reader that expands `${VAR}` in tenants files.
    pub fn with_environment(environment: Environment) -> Self {
        Self {
            environment,
            ..Self::default()
        }
    }

    /// Reads the text of one document, as cut out by [`crate::yaml::sections`]. Never panics.
    pub fn read(&mut self, text: &str) -> Decoded {
        let document = self.parser.parse(text);
        let mut decoded = Decoded::default();
        let broken = document
            .findings
            .iter()
            .any(|finding| finding.severity == Severity::Error);
        decoded.incomplete = broken && document.root.is_none();
        let effect = |finding: Finding| match (finding.severity, document.root.is_some()) {
            (Severity::Error, false) => {
                finding.effect("nothing of this document is served; other documents are")
            }
            _ => finding,
        };
        decoded.findings.extend(
            document
                .findings
                .iter()
                .cloned()
                .map(|finding| (effect(finding), None)),
        );
        if let Some(root) = &document.root {
            if tenants::is_tenants(root) {
                tenants::read(root, &self.environment, broken, &mut decoded);
                return decoded;
            }
            read_object(root, broken, LIST_DEPTH, &mut decoded);
        }
        decoded
    }
}

fn read_object(root: &Node, broken: bool, list_depth: usize, decoded: &mut Decoded) {
    let mut decoder = Decoder::default();
    let mark = decoder.mark();
    let opened = open(&mut decoder, root);
    if let Some(opened) = &opened
        && opened.is_list()
        && list_depth > 0
    {
        let items = opened
            .fields
            .optional("items")
            .map(|field| decoder.items(field, usize::MAX));
        decoded.take(decoder, None);
        for item in items.unwrap_or_default() {
            read_object(item.node, broken, list_depth - 1, decoded);
        }
        return;
    }
    let mut object = None;
    let resource = opened.and_then(|opened| {
        let (kind, metadata) = identify(&mut decoder, &opened)?;
        object = Some(metadata.0.clone());
        build(&mut decoder, mark, kind, &opened, metadata, broken)
    });
    if resource.is_none() {
        let effect = match &object {
            Some(object) => format!("{object} is not served"),
            None => "this object is not served".to_owned(),
        };
        decoded.incomplete |= decoder.failed_since(mark);
        decoder.effect_since(mark, &effect);
    }
    decoded.take(decoder, object);
    decoded.resources.extend(resource.map(Arc::new));
}

impl Decoded {
    fn take(&mut self, decoder: Decoder, object: Option<ObjectName>) {
        self.findings.extend(
            decoder
                .into_findings()
                .into_iter()
                .map(|finding| (finding, object.clone())),
        );
    }
}

fn build(
    decoder: &mut Decoder,
    mark: Mark,
    kind: &'static Kind,
    opened: &Opened<'_>,
    (object, metadata): Identity,
    broken: bool,
) -> Option<Resource> {
    let body = match kind.treatment {
        Treatment::Served(served) => body(decoder, served, kind, opened, &metadata)?,
        Treatment::Unserved(role) => {
            decoder.report(match role {
                UnservedRole::Traffic => Finding::new(
                    "W0111",
                    opened.kind_span,
                    format!("{} is not served yet", kind.name),
                )
                .label("the object is ignored")
                .effect("traffic goes on as if it were not there"),
                UnservedRole::Cluster => Finding::new(
                    "N0112",
                    opened.kind_span,
                    format!("weir has no use for a {}", kind.name),
                )
                .label("the object is ignored"),
            });
            Body::Unserved(Unserved { role })
        }
    };
    let faulty = broken || decoder.failed_since(mark);
    let api_version = words::shared(&opened.api_version);
    Some(Resource {
        object,
        api_version,
        metadata,
        body,
        faulty,
        span: opened.root.span,
    })
}

fn body(
    decoder: &mut Decoder,
    served: Served,
    kind: &'static Kind,
    opened: &Opened<'_>,
    metadata: &Metadata,
) -> Option<Body> {
    let known: &[&str] = match served {
        Served::EndpointSlice => &[
            "apiVersion",
            "kind",
            "metadata",
            "addressType",
            "endpoints",
            "ports",
        ],
        Served::Endpoints => &["apiVersion", "kind", "metadata", "subsets"],
        Served::ConfigMap => &[
            "apiVersion",
            "kind",
            "metadata",
            "data",
            "binaryData",
            "immutable",
        ],
        _ => &["apiVersion", "kind", "metadata", "spec", "status"],
    };
    let fields = decoder.fields(Field::new(kind.name, opened.root), known)?;
    let spec = match served {
        Served::EndpointSlice => {
            return endpoint_slice::decode(decoder, &fields, &metadata.labels).map(Body::EndpointSlice);
        }
        Served::Endpoints => {
            return endpoint_slice::decode_endpoints(decoder, &fields, &metadata.name).map(Body::Endpoints);
        }
        Served::Namespace => return Some(Body::Namespace(Namespace)),
        Served::ConfigMap => return Some(Body::ConfigMap(config_map::decode(decoder, &fields))),
        _ => fields.required(decoder, "spec")?,
    };
    match served {
        Served::BackendTlsPolicy => {
            let finding = Finding::new(
                "W0111",
                opened.kind_span,
                format!("{} is not served yet", kind.name),
            );
            decoder.report(
                finding
                    .label("no TLS to backends")
                    .effect("requests for what it names are answered 500 instead of being sent in the clear"),
            );
            backend_tls_policy::decode(decoder, spec).map(Body::BackendTlsPolicy)
        }
        Served::GatewayClass => gateway_class::decode(decoder, spec).map(Body::GatewayClass),
        Served::Gateway => gateway::decode(decoder, spec).map(Body::Gateway),
        Served::HttpRoute => http_route::decode(decoder, spec).map(Body::HttpRoute),
        Served::ReferenceGrant => reference_grant::decode(decoder, spec).map(Body::ReferenceGrant),
        Served::Service => service::decode(decoder, spec).map(Body::Service),
        Served::Backend => backend::decode(decoder, spec).map(Body::Backend),
        Served::BackendTrafficPolicy => {
            policy::decode_backend(decoder, spec, Origin::Envoy).map(Body::BackendTrafficPolicy)
        }
        Served::TrafficPolicy => policy::decode_backend(decoder, spec, Origin::Weir).map(Body::TrafficPolicy),
        Served::ClientTrafficPolicy => policy::decode_client(decoder, spec).map(Body::ClientTrafficPolicy),
        Served::Namespace | Served::ConfigMap | Served::EndpointSlice | Served::Endpoints => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::report::{self, SourceTexts, TextOptions};
    use crate::resource::ResourceSet;

    /// Pieces that documents are made of, wrong ones too.
    const PIECES: [&str; 40] = [
        "apiVersion: gateway.networking.k8s.io/v1\n",
        "apiVersion: v1\n",
        "kind: HTTPRoute\n",
        "kind: Gateway\n",
        "kind: Service\n",
        "kind: List\nitems:\n",
        "metadata: {name: a}\n",
        "spec:\n",
        "  rules:\n",
        "  listeners:\n",
        "  ports: [{port: 80}]\n",
        "  - matches: [{path: {value: /}}]\n",
        "    backendRefs: [{name: a, port: 80}]\n",
        "    filters:\n",
        "    - type: RequestRedirect\n",
        "  - {name: http, port: 80, protocol: HTTP}\n",
        "---\n",
        "...\n",
        "- ",
        "  ",
        "\n",
        "\t",
        ": ",
        "[",
        "]",
        "{",
        "}",
        "\"",
        "'",
        "|\n",
        "&a ",
        "*a ",
        "<<: ",
        "!t ",
        "# c\n",
        "%YAML 1.2\n",
        "ünï",
        "null",
        "\r\n",
        "1",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn whatever_is_written_is_read_and_every_problem_has_a_place(
            pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..40)
        ) {
            let text = pieces.concat();
            let lines = u32::try_from(text.split('\n').count()).expect("few lines");
            let set = ResourceSet::from_texts([("p.yaml", &*text)]);
            for problem in &set.problems {
                prop_assert!((1..=lines).contains(&problem.origin.line), "{problem:?} in {text:?}");
            }
            let mut sources = SourceTexts::new(|_| Some(text.clone()));
            report::text(&set.problems, &mut sources, TextOptions::default());
        }
    }
}
