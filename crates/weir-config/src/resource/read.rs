//! From the text of one document to its resources.

use std::sync::Arc;

use weir_model::{ObjectName, Severity};

use super::decode::{Decoder, Field, Fields, Mark};
use super::kinds::{self, Kind, Served, Treatment};
use super::{
    Body, Metadata, Namespace, Resource, Unserved, UnservedRole, backend, backend_tls_policy, endpoint_slice,
    gateway, gateway_class, http_route, metadata, policy, reference_grant, service, words,
};
use crate::nearest::nearest;
use crate::yaml::{Finding, Node, Parser, Span};

/// Lists inside lists that are opened; an API server never nests them.
const LIST_DEPTH: usize = 4;

/// Reads documents. Keep one for many: they share allocations.
#[derive(Debug, Default)]
pub struct Reader {
    parser: Parser,
}

/// What one document says, with places relative to it. Depends on nothing but the document's text.
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

/// An object whose kind has been read.
struct Opened<'n> {
    root: &'n Node,
    fields: Fields<'n>,
    api_version: Arc<str>,
    kind: Arc<str>,
    kind_span: Span,
}

impl Opened<'_> {
    fn is_list(&self) -> bool {
        *self.api_version == *"v1" && *self.kind == *"List"
            || self.kind.ends_with("List") && self.fields.optional("items").is_some()
    }

    /// Group and version.
    fn group(&self) -> (&str, &str) {
        self.api_version
            .split_once('/')
            .unwrap_or(("", &self.api_version))
    }
}

fn open<'n>(decoder: &mut Decoder, root: &'n Node) -> Option<Opened<'n>> {
    let fields = decoder.any_fields(Field::new("the document", root))?;
    if fields
        .optional("apiVersion")
        .or(fields.optional("kind"))
        .is_none()
    {
        let finding = Finding::new(
            "E0102",
            root.span,
            "the document has neither \"apiVersion\" nor \"kind\"",
        );
        decoder.report(
            finding
                .label("not an object")
                .help("every document is one object, such as an HTTPRoute"),
        );
        return None;
    }
    let api_version = fields
        .required(decoder, "apiVersion")
        .and_then(|field| decoder.nonempty(field));
    let kind = fields
        .required(decoder, "kind")
        .and_then(|field| decoder.nonempty(field));
    let (api_version, kind) = (api_version?, kind?);
    Some(Opened {
        root,
        fields,
        api_version: api_version.value,
        kind: kind.value,
        kind_span: kind.span,
    })
}

type Identity = (ObjectName, Metadata);

/// The kind and name of an object; `None` for unknown kinds and nameless objects.
fn identify(decoder: &mut Decoder, opened: &Opened<'_>) -> Option<(&'static Kind, Identity)> {
    let (group, version) = opened.group();
    let Some(kind) = kinds::find(group, &opened.kind) else {
        unknown_kind(decoder, opened, group);
        return None;
    };
    if !kind.versions.is_empty() && !kind.versions.contains(&version) {
        let message = format!("{} has no version \"{version}\"", kind.name);
        let span = opened
            .fields
            .optional("apiVersion")
            .map_or(opened.kind_span, |field| field.span());
        let meant = if group.is_empty() {
            kind.versions[0].to_owned()
        } else {
            format!("{group}/{}", kind.versions[0])
        };
        let finding = Finding::new("W0102", span, message).label(format!("read as {}", kind.versions[0]));
        decoder.report(finding.help(format!("write apiVersion: {meant}")));
    }
    let field = opened.fields.required(decoder, "metadata")?;
    let (metadata, namespace) = metadata::decode(decoder, field)?;
    let namespace = match namespace {
        _ if !kind.namespaced => words::shared(""),
        Some(namespace) => namespace.value,
        None => words::shared("default"),
    };
    let object = ObjectName::new(words::shared(kind.name), namespace, metadata.name.value.clone());
    Some((kind, (object, metadata)))
}

fn unknown_kind(decoder: &mut Decoder, opened: &Opened<'_>, group: &str) {
    let name = &opened.kind;
    let message = format!("weir does not know the kind {name} of \"{}\"", opened.api_version);
    let code = if kinds::TRAFFIC_GROUPS.contains(&group) || kinds::all().any(|kind| kind.name == &**name) {
        "W0110"
    } else {
        "N0112"
    };
    let finding = Finding::new(code, opened.kind_span, message).label("the object is ignored");
    let same_name = kinds::all().find(|kind| kind.name == &**name);
    let similar = nearest(
        name,
        kinds::all()
            .filter(|kind| kind.group == group)
            .map(|kind| kind.name),
    );
    decoder.report(match (same_name, similar) {
        (Some(kind), _) => {
            let version = kind.versions.first().unwrap_or(&"v1");
            let separator = if kind.group.is_empty() { "" } else { "/" };
            finding.help(format!(
                "{name} is of apiVersion {}{separator}{version}",
                kind.group
            ))
        }
        (None, Some(meant)) => finding.help(format!("did you mean {meant}?")),
        (None, None) => finding,
    });
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
        Served::BackendTrafficPolicy => policy::decode_backend(decoder, spec).map(Body::BackendTrafficPolicy),
        Served::TrafficPolicy => policy::decode_backend(decoder, spec).map(Body::TrafficPolicy),
        Served::ClientTrafficPolicy => policy::decode_client(decoder, spec).map(Body::ClientTrafficPolicy),
        Served::Namespace | Served::EndpointSlice | Served::Endpoints => None,
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
