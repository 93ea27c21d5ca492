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
];

const TRANSLATION: &[Code] = &[];

const POLICIES: &[Code] = &[];
