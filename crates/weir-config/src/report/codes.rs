//! The registry of problem codes: what each means, in one line. `docs/problems.md` is made from it.

/// A stable problem code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// The letter is the severity: E for error, W for warning, N for note.
    pub code: &'static str,
    /// What it means, in one line.
    pub meaning: &'static str,
}

const fn is(code: &'static str, meaning: &'static str) -> Code {
    Code { code, meaning }
}

/// All codes, by the stage that finds them.
pub const CODES: &[(&str, &[Code])] = &[
    ("Files and YAML", FILES),
    ("Objects by themselves", OBJECTS),
    ("Objects together", TRANSLATION),
    ("Policies", POLICIES),
    ("Tenants files", TENANTS),
];

/// Looks a code up.
pub fn code(code: &str) -> Option<&'static Code> {
    CODES
        .iter()
        .flat_map(|(_, codes)| codes.iter())
        .find(|known| known.code == code)
}

const FILES: &[Code] = &[
    is(
        "E0001",
        "A document is not YAML; nothing of it is served, other documents are.",
    ),
    is(
        "E0002",
        "A key is written twice in one mapping; the first one counts.",
    ),
    is(
        "E0003",
        "A key or a merge key is not what YAML objects can have; it is left out.",
    ),
    is(
        "E0004",
        "A document is nested too deeply, too large, or expands too much through aliases.",
    ),
    is("N0005", "A YAML tag is ignored."),
    is("E0010", "A file or directory cannot be read."),
    is("E0011", "A file is too large."),
    is("E0012", "A file is not text in UTF-8."),
    is("W0013", "A directory holds no configuration files."),
    is("N0014", "A file holds no documents."),
    is(
        "W0015",
        "Objects may be in a part of a file that cannot be read; their last good versions stay in force.",
    ),
];

const OBJECTS: &[Code] = &[
    is("W0101", "A field is unknown and ignored."),
    is(
        "W0102",
        "Something is read as meant, though Kubernetes would refuse it.",
    ),
    is("E0101", "A value has the wrong type."),
    is("E0102", "A required field is missing."),
    is("E0103", "A value is out of range or has the wrong form."),
    is("E0104", "A value is not one of the possible words."),
    is("E0105", "Fields do not go together, or one needs another."),
    is(
        "W0106",
        "A list names the same thing twice; the first entry counts.",
    ),
    is("W0107", "An EndpointSlice belongs to no Service."),
    is(
        "E0108",
        "A regular expression is not valid or needs too much memory.",
    ),
    is(
        "E0109",
        "An object is defined twice; the first definition counts.",
    ),
    is(
        "W0110",
        "A kind is unknown, though its group would change traffic.",
    ),
    is("W0111", "A kind is known but not served yet."),
    is("N0112", "An object is of a kind that weir has no use for."),
    is(
        "W0113",
        "A filter changes a header that weir alone writes; the entry is ignored.",
    ),
    is(
        "E0114",
        "A field looks misspelt, and its absence would match more requests or send them elsewhere.",
    ),
];

const TRANSLATION: &[Code] = &[
    is(
        "N0201",
        "A Gateway's class is not defined; the Gateway is served all the same.",
    ),
    is(
        "N0202",
        "A Gateway is of another controller's class; it is not served here.",
    ),
    is(
        "E0203",
        "A Gateway's class is not defined; the Gateway is not served.",
    ),
    is("N0204", "Parameters of a GatewayClass have no effect."),
    is("W0204", "Parameters of a GatewayClass do not exist."),
    is("E0205", "A listener's protocol is not served."),
    is(
        "E0206",
        "Listeners of a Gateway conflict; none of them is opened.",
    ),
    is(
        "E0207",
        "Another Gateway's listener has the same address, port and hostname.",
    ),
    is("E0208", "A Gateway's address cannot be listened on."),
    is("E0209", "A listener allows a kind of route that it cannot serve."),
    is("W0210", "A part of a Gateway is not served yet."),
    is("E0211", "A route's parent does not exist."),
    is("W0212", "A route's parent is of a kind that is not served."),
    is(
        "E0213",
        "A route names a listener or port that its Gateway does not have.",
    ),
    is("E0214", "A Gateway's listeners do not allow a route."),
    is(
        "E0215",
        "None of a route's hostnames belongs to its Gateway's listeners.",
    ),
    is(
        "W0216",
        "One of a route's hostnames belongs to none of the listeners.",
    ),
    is("W0217", "A route names no parent."),
    is(
        "W0218",
        "A route is attached only to listeners that are not served.",
    ),
    is("E0220", "A reference names a kind that is no backend."),
    is("E0221", "A reference to another namespace has no ReferenceGrant."),
    is("E0222", "A reference names an object that does not exist."),
    is(
        "E0223",
        "A reference names a port that the Service does not have.",
    ),
    is("E0224", "A reference names a Service of type ExternalName."),
    is("E0225", "A Service's appProtocol is not served."),
    is("W0226", "A Service asks for TLS, which is not served yet."),
    is("N0227", "A Service asks for WebSocket, which is not served yet."),
    is("E0228", "A reference names a Backend that cannot be served."),
    is(
        "E0229",
        "A BackendTLSPolicy asks for TLS, which is not served yet; nothing is sent in the clear.",
    ),
    is("W0230", "A backend has no endpoints."),
    is(
        "W0231",
        "A Service's port has no endpoints, though the Service has some.",
    ),
    is("W0232", "No endpoint of a backend is ready."),
    is(
        "W0233",
        "A Service has endpoints by address and by name; those by name are left out.",
    ),
    is(
        "E0234",
        "An endpoint has a loopback address where that is not allowed.",
    ),
    is(
        "W0235",
        "The weights of endpoints cannot be understood, or name an endpoint that is not there.",
    ),
    is("W0236", "A Service's sessionAffinity is not served."),
    is("E0240", "A Backend of type DynamicResolver is not served."),
    is("E0241", "TLS to a Backend is not served yet."),
    is("E0242", "A Backend's appProtocol is not served yet."),
    is(
        "E0250",
        "A filter cannot be applied; what it belongs to answers 500.",
    ),
    is("W0252", "A field of session persistence has no effect."),
    is(
        "E0253",
        "A rule keeps sessions over a Service that has an affinity of its own.",
    ),
    is("W0254", "A rule forwards to nothing and answers 500."),
    is(
        "W0260",
        "A match never gets a request, because an earlier one takes all of them.",
    ),
    is(
        "W0270",
        "Listeners on one address find the client's address in different ways.",
    ),
];

const POLICIES: &[Code] = &[
    is("W0301", "A policy has a field that only weir's own kind has."),
    is(
        "E0303",
        "A number, length or duration of a policy is out of range.",
    ),
    is(
        "E0305",
        "A block of a policy is missing for its type, or belongs to another type.",
    ),
    is(
        "W0306",
        "A cookie's lifetime has a fraction of a second, which is dropped.",
    ),
    is("E0307", "A Maglev table size is not a prime in range."),
    is(
        "E0308",
        "A block of a policy does not go with the load balancer's type.",
    ),
    is(
        "W0309",
        "A part of a policy is not supported yet and has no effect.",
    ),
    is("E0310", "A load balancer's type is not supported."),
    is("W0311", "A policy's target does not exist."),
    is("E0312", "A policy merges where merging is not possible."),
    is("W0313", "A policy's target is of a kind that is not served yet."),
    is("E0314", "A policy is not valid once merged."),
    is("E0315", "Another policy already has the target."),
    is("E0316", "A policy's target has no section of that name."),
    is(
        "W0317",
        "A number is not taken as written, but the nearest that weir takes.",
    ),
    is(
        "E0319",
        "A policy refers to a ConfigMap that does not exist or has no text.",
    ),
    is(
        "E0320",
        "A type in a policy is unknown: weir does not start; over a reload the object stays as it was.",
    ),
    is("W0321", "A field of a policy has no effect beside the others."),
];

const TENANTS: &[Code] = &[
    is(
        "W0401",
        "A key of a tenants file is accepted but has no effect yet.",
    ),
    is("E0401", "A tenant has neither domains nor a path prefix."),
    is("E0402", "A domain is not a host name, a wildcard or an address."),
    is("E0403", "A path or path prefix has the wrong form."),
    is("E0404", "The URL of a service has the wrong form."),
    is(
        "E0405",
        "Two services of a tenant have the same name; the first one counts.",
    ),
    is(
        "E0406",
        "Two tenants claim the same domain and prefix; the first one has it.",
    ),
    is(
        "E0407",
        "An environment variable is missing, or a reference to one has the wrong form.",
    ),
    is(
        "E0408",
        "Something is not supported yet and must not be skipped: what depends on it is not served.",
    ),
    is(
        "N0409",
        "A key means something else here; the message says what to write.",
    ),
    is("E0410", "The pattern of a route has the wrong form."),
    is("N0411", "A tenants file lists no tenants."),
    is("W0412", "A tenant has no services."),
    is(
        "E0413",
        "A route or canary names a service that its tenant does not have.",
    ),
    is(
        "W0414",
        "Services of one tenant are too different to share a balancer; requests are spread by weight.",
    ),
    is(
        "W0415",
        "Two services of a tenant have the same address and differ; the first one's word counts.",
    ),
    is(
        "W0416",
        "Those who share an address and port trust different proxies.",
    ),
    is(
        "W0417",
        "Services have no health path and do not say what is meant; they count as healthy. Said once per file.",
    ),
];

/// The text of `docs/problems.md`.
pub fn document() -> String {
    let mut text = "# Problems\n\nWhat `weir check` and `weir run` say about a configuration, by code. The letter is the \
                    severity:\nE (error): something as written cannot be served; W (warning): served, but probably not as \
                    meant;\nN (note): nothing is lost. Every message says where, why, what to do, and what it means for \
                    traffic.\n\nThis file is made from `crates/weir-config/src/report/codes.rs`; a test holds them \
                    together.\n"
        .to_owned();
    for (stage, codes) in CODES {
        text += &format!("\n## {stage}\n\n| code | meaning |\n|---|---|\n");
        for code in *codes {
            text += &format!("| {} | {} |\n", code.code, code.meaning);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    fn all() -> impl Iterator<Item = &'static Code> {
        CODES.iter().flat_map(|(_, codes)| codes.iter())
    }

    /// Every code between quotes in the sources below `folder`, this file excepted.
    fn used(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                used(&path, found);
            } else if path.file_name().is_some_and(|name| name != "codes.rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                found.extend(text.split('"').filter(|word| is_code(word)).map(str::to_owned));
            }
        }
    }

    fn is_code(word: &str) -> bool {
        let digits = word.strip_prefix(['E', 'W', 'N']).unwrap_or_default();
        digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit())
    }

    #[test]
    fn every_code_that_is_used_is_registered_and_the_other_way_round() {
        let mut found = BTreeSet::new();
        used(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        let registered: BTreeSet<String> = all().map(|code| code.code.to_owned()).collect();
        assert_eq!(found, registered);
        assert_eq!(all().count(), registered.len(), "a code is registered twice");
        assert_eq!(code("E0001").map(|code| code.code), Some("E0001"));
    }

    #[test]
    fn the_document_is_made_from_the_registry() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/problems.md");
        if std::env::var_os("WEIR_BLESS").is_some() {
            fs::write(&path, document()).expect("a writable document");
        }
        let written = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            written == document(),
            "WEIR_BLESS=1 cargo test -p weir-config writes {}",
            path.display()
        );
    }
}
