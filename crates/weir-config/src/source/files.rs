//! Loading files and directories again and again, never losing what was good.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_model::{ObjectName, Origin, Problem, Severity, limits};

use super::documents::{Documents, FileDocument, FileDocuments, unreadable};
use super::patch::Plain;
use super::walk::{Walk, walk};
use super::{Change, environment};
use crate::resource::{Assembly, Decoded, Environment, Placed, Resource, ResourceSet, UNKNOWN_TYPE, Version};
use crate::yaml::{Finding, Span};

/// Files and directories that hold the configuration.
///
/// After the first load the last good version stays in force: of an object whose new version has errors, of
/// objects that may be in a document or file that cannot be read, and of a named path that vanished. A file
/// that vanished from a directory, or an object from a readable file, is gone. A new object with a type that is unknown
/// ([`UNKNOWN_TYPE`]) is left out after the first load, so that what runs goes on as if it were not there.
#[derive(Debug)]
pub struct FileSource {
    roots: Vec<PathBuf>,
    standard_input: Option<Vec<u8>>,
    documents: Documents,
    /// The set of the last load; `None` before the first.
    last: Option<ResourceSet>,
    /// The same by files, when it can be mended in places.
    plain: Option<Plain>,
}

/// What a load found.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The objects and problems.
    pub resources: ResourceSet,
    /// What is different from the load before; everything is added at the first one.
    pub change: Change,
    /// Objects in `resources` that are not as the files say, but as they were when they were last good.
    pub held: Vec<ObjectName>,
    /// Objects that the files have and `resources` has not.
    pub left_out: Vec<ObjectName>,
    /// The files and named paths, in order, also those that could not be read.
    pub files: Vec<Arc<str>>,
}

impl FileSource {
    /// A source that has read nothing yet. Directories are read with everything below them; `-` is standard
    /// input, which is read once. Environment variables are those of the process, as they are now, and of the file
    /// `.env` in the current directory.
    pub fn new(roots: Vec<PathBuf>) -> Self {
        Self::with_environment(roots, environment::of_process())
    }

    /// The same with other environment variables.
    pub fn with_environment(roots: Vec<PathBuf>, environment: Environment) -> Self {
        Self {
            roots,
            standard_input: None,
            documents: Documents::with_environment(environment),
            last: None,
            plain: None,
        }
    }

    /// The paths as named.
    pub fn roots(&self) -> &[PathBuf] {
        &self.roots
    }

    /// Reads everything again. Always succeeds: what cannot be read is among the problems.
    pub fn load(&mut self) -> Loaded {
        self.load_files(false)
    }

    /// Like [`Self::load`], but leaves out files that nobody can have written since they were read, as their inode,
    /// size and times say: enough when the kernel has told of a change, and with many files much faster.
    pub fn load_written(&mut self) -> Loaded {
        self.load_files(true)
    }

    fn load_files(&mut self, only_written: bool) -> Loaded {
        self.documents.start();
        let (inputs, roots): (Vec<_>, Vec<_>) = self
            .roots
            .iter()
            .cloned()
            .partition(|root| root == Path::new("-"));
        let found = walk(&roots);
        let read = self.read(&found, only_written);
        let is_plain = inputs.is_empty() && found.failures.is_empty() && found.empty.is_empty();
        if is_plain && let Some(loaded) = self.mend(&read) {
            return loaded;
        }
        let is_first = self.last.is_none();
        let last = self.last.take().unwrap_or_default();
        let mut load = Load::new(&last, is_first);
        if !inputs.is_empty() {
            let name: Arc<str> = Arc::from("<stdin>");
            let bytes = self.standard_input.get_or_insert_with(read_standard_input);
            let documents = self.documents.take(bytes, &name);
            load.file(name, documents);
        }
        for (path, error) in found.failures {
            load.failure(&path, &error);
        }
        for path in found.empty {
            load.empty_directory(&path);
        }
        let files: Option<Vec<_>> = read
            .iter()
            .map(|(name, documents)| Some((name.clone(), documents.as_ref().ok()?.clone())))
            .collect();
        for (name, documents) in read {
            load.file(name, documents);
        }
        let is_whole = load.is_whole();
        let loaded = load.finish();
        self.plain = files
            .filter(|_| is_plain && is_whole)
            .and_then(|files| Plain::new(files, &loaded.resources));
        self.last = Some(loaded.resources.clone());
        loaded
    }

    /// Reads the files found, or takes them as they were read before.
    fn read(&mut self, found: &Walk, only_written: bool) -> Vec<FileRead> {
        let read = |path: &PathBuf| {
            let name: Arc<str> = Arc::from(path.to_string_lossy());
            let unwritten = match only_written {
                true => self.documents.unwritten(path, &name),
                false => None,
            };
            let documents = match unwritten {
                Some(documents) => Ok(documents),
                None => self.documents.read(path, &name),
            };
            (name, documents)
        };
        found.files.iter().map(read).collect()
    }

    /// The last load with the changes of a few files; `None` when that does not do.
    fn mend(&mut self, read: &[FileRead]) -> Option<Loaded> {
        let (plain, last) = (self.plain.as_mut()?, self.last.as_ref()?);
        let mut files = Vec::with_capacity(read.len());
        for (name, documents) in read {
            files.push((name, documents.as_ref().ok()?));
        }
        let (resources, change) = plain.mend(last, files.iter().copied())?;
        self.last = Some(resources.clone());
        Some(Loaded {
            resources,
            change,
            held: Vec::new(),
            left_out: Vec::new(),
            files: read.iter().map(|(name, _)| name.clone()).collect(),
        })
    }
}

/// A file's name, and its documents or why it has none.
type FileRead = (Arc<str>, Result<FileDocuments, Box<Problem>>);

/// One load in progress.
struct Load<'l> {
    /// The good objects of the load before, by name; looked at only when something is wrong.
    good: OnceCell<HashMap<&'l ObjectName, &'l Placed>>,
    last: &'l ResourceSet,
    assembly: Assembly,
    /// Files of which something could not be read.
    incomplete: Vec<Arc<str>>,
    /// Paths of which nothing could be read; objects of files below them are held.
    lost: Vec<PathBuf>,
    held: Vec<ObjectName>,
    left_out: Vec<ObjectName>,
    files: Vec<Arc<str>>,
    is_first: bool,
}

impl<'l> Load<'l> {
    fn new(last: &'l ResourceSet, is_first: bool) -> Self {
        Self {
            good: OnceCell::new(),
            last,
            assembly: Assembly::with_capacity(last.objects.len()),
            incomplete: Vec::new(),
            lost: Vec::new(),
            held: Vec::new(),
            left_out: Vec::new(),
            files: Vec::new(),
            is_first,
        }
    }

    fn file(&mut self, name: Arc<str>, documents: Result<FileDocuments, Box<Problem>>) {
        let documents = match documents {
            Ok(documents) => documents,
            Err(problem) => {
                self.lost.push(PathBuf::from(&*name));
                self.assembly.report(*problem);
                self.files.push(name);
                return;
            }
        };
        if documents.is_empty() {
            let finding = Finding::new("N0014", Span::NONE, "the file holds no documents");
            self.assembly.report(finding.at(Origin::new(name.clone(), 0, 0)));
        }
        // A full disk, or the moment between truncating and writing, is no wish to serve nothing: what the file held
        // stays. Whoever means it leaves at least one object, or removes the file's path from the command line.
        let says = |document: &FileDocument| {
            !document.decoded.resources.is_empty() || !document.decoded.findings.is_empty()
        };
        if !documents.iter().any(says) {
            self.lost.push(PathBuf::from(&*name));
        }
        let (good, last, is_first) = (&self.good, self.last, self.is_first);
        let (held, left_out) = (&mut self.held, &mut self.left_out);
        let mut incomplete = false;
        for document in documents.iter() {
            incomplete |= document.decoded.incomplete;
            let choose = |resource: &Resource| {
                if !resource.faulty {
                    return Version::Written;
                }
                let good = good.get_or_init(|| good_objects(last));
                let former = good.get(&resource.object).copied();
                let is_denied = !is_first && has_unknown_type(&document.decoded, resource);
                // Not even a bad version is replaced by one that nobody understands.
                let former = former.or_else(|| is_denied.then(|| object_of(last, resource))?);
                match former {
                    Some(former) => {
                        held.push(resource.object.clone());
                        Version::Former(former.clone())
                    }
                    None if is_denied => {
                        left_out.push(resource.object.clone());
                        Version::None
                    }
                    None => Version::Written,
                }
            };
            self.assembly
                .add_or_replace(&name, document.first_line, &document.decoded, choose);
        }
        if incomplete {
            self.incomplete.push(name.clone());
        }
        self.files.push(name);
    }

    fn failure(&mut self, path: &Path, error: &io::Error) {
        let origin = Origin::new(Arc::from(path.to_string_lossy()), 0, 0);
        self.files.extend(origin.file.clone());
        self.assembly.report(unreadable(error).at(origin));
        self.lost.push(path.to_owned());
    }

    fn empty_directory(&mut self, path: &Path) {
        let origin = Origin::new(Arc::from(path.to_string_lossy()), 0, 0);
        let finding = Finding::new("W0013", Span::NONE, "the directory holds no configuration");
        let finding = finding.help("put files there whose names end with .yaml, .yml or .json");
        self.assembly.report(finding.at(origin));
    }

    /// Whether everything could be read and is what the files say now.
    fn is_whole(&self) -> bool {
        let is_as_written = self.held.is_empty() && self.left_out.is_empty();
        is_as_written && self.lost.is_empty() && self.incomplete.is_empty()
    }

    fn finish(mut self) -> Loaded {
        let mut kept: Vec<(Arc<str>, Vec<ObjectName>)> = Vec::new();
        for placed in self.last.objects.iter() {
            let file = &placed.file;
            let is_lost = || self.lost.iter().any(|path| Path::new(&**file).starts_with(path));
            if (self.incomplete.contains(file) || is_lost()) && self.assembly.add_missing(placed.clone()) {
                let object = placed.resource.object.clone();
                match kept.last_mut().filter(|(name, _)| name == file) {
                    Some((_, objects)) => objects.push(object),
                    None => kept.push((file.clone(), vec![object])),
                }
            }
        }
        for (file, objects) in kept {
            self.assembly
                .report(kept_finding(&objects).at(Origin::new(file, 0, 0)));
            self.held.extend(objects);
        }
        let mut resources = self.assembly.finish();
        for (objects, effect) in [
            (&self.held, "the last good version of this object stays in force"),
            (
                &self.left_out,
                "what runs goes on as if this object were not there",
            ),
        ] {
            let objects: HashSet<&ObjectName> = objects.iter().collect();
            let errors = resources.problems.iter_mut();
            for problem in errors.filter(|problem| problem.severity == Severity::Error) {
                let object = problem.object.as_ref();
                if object.is_some_and(|object| objects.contains(object)) {
                    problem.effect = Some(effect.to_owned());
                }
            }
        }
        let change = Change::between(self.last, &resources);
        Loaded {
            resources,
            change,
            held: self.held,
            left_out: self.left_out,
            files: self.files,
        }
    }
}

fn good_objects(set: &ResourceSet) -> HashMap<&ObjectName, &Placed> {
    let good = set.objects.iter().filter(|placed| !placed.resource.faulty);
    good.map(|placed| (&placed.resource.object, placed)).collect()
}

fn has_unknown_type(document: &Decoded, resource: &Resource) -> bool {
    let mut findings = document.findings.iter();
    findings
        .any(|(finding, object)| finding.code == UNKNOWN_TYPE && object.as_ref() == Some(&resource.object))
}

fn object_of<'l>(set: &'l ResourceSet, resource: &Resource) -> Option<&'l Placed> {
    let mut objects = set.objects.iter();
    objects.find(|placed| placed.resource.object == resource.object)
}

fn kept_finding(objects: &[ObjectName]) -> Finding {
    let names: Vec<_> = objects.iter().take(3).map(ObjectName::to_string).collect();
    let more = match objects.len() - names.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let message = format!(
        "something here cannot be read, where {}{more} may be",
        names.join(", ")
    );
    Finding::new("W0015", Span::NONE, message)
        .effect("their last good versions stay in force until it can be read")
}

fn read_standard_input() -> Vec<u8> {
    let mut bytes = Vec::new();
    // What arrived before an error is read like a file that ends there.
    let _ = io::stdin()
        .lock()
        .take(limits::FILE_BYTES)
        .read_to_end(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::source::scratch::Scratch;

    fn namespace(name: &str) -> String {
        format!("---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n")
    }

    fn service(name: &str, port: &str) -> String {
        format!(
            "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\nspec:\n  ports:\n  - port: {port}\n"
        )
    }

    fn names(loaded: &Loaded) -> Vec<&str> {
        loaded
            .resources
            .objects
            .iter()
            .map(|placed| &*placed.resource.object.name)
            .collect()
    }

    fn codes(loaded: &Loaded) -> Vec<&str> {
        loaded
            .resources
            .problems
            .iter()
            .map(|problem| problem.code)
            .collect()
    }

    /// What a load says, with the places of everything.
    fn text(loaded: &Loaded) -> String {
        let placed =
            |placed: &'_ Placed| format!("{:?} {}:{}", placed.resource, placed.file, placed.first_line);
        let objects: Vec<_> = loaded.resources.objects.iter().map(placed).collect();
        let problems = &loaded.resources.problems;
        format!(
            "{objects:#?} {problems:#?} {:?} {:?} {:?}",
            loaded.held, loaded.files, loaded.change
        )
    }

    #[test]
    fn bx14_a_load_that_is_mended_says_what_a_whole_one_says() {
        let both = |port: &str| service("a", port) + &service("aa", "80");
        for (file, content) in [
            ("a.yaml", both("81")),
            ("a.yaml", format!("# moved\n{}", both("81"))),
            ("a.yaml", both("wrong")),
            ("a.yaml", service("aa", "80") + &service("a", "80")),
            ("a.yaml", "# nothing\n".to_owned()),
            ("a.yaml", service("a", "81") + "---\na: [\n"),
            ("b.yaml", service("b", "81") + &service("c", "81")),
            ("b.yaml", service("b", "81") + &service("a", "81")),
            ("b.yaml", service("b", "80")),
            ("b.yaml", String::new()),
            ("c.yaml", service("d", "81")),
            ("c.yaml", service("e", "80")),
            ("d.yaml", service("f", "80")),
        ] {
            let scratch = Scratch::new();
            scratch.write("a.yaml", both("80"));
            scratch.write("b.yaml", service("b", "80") + &service("c", "80"));
            scratch.write("c.yaml", service("d", "80"));
            let load = |mends: bool| {
                let mut source = FileSource::new(vec![scratch.path(".")]);
                source.load();
                assert!(source.plain.is_some());
                move || {
                    let mut loads = Vec::new();
                    for _ in 0..2 {
                        if !mends {
                            source.plain = None;
                        }
                        loads.push(text(&source.load_written()));
                    }
                    loads
                }
            };
            let (mut mended, mut whole) = (load(true), load(false));
            match content.is_empty() {
                true => fs::remove_file(scratch.path(file)).expect("removed"),
                false => {
                    scratch.write(file, &content);
                }
            }
            assert_eq!(mended(), whole(), "{file}: {content}");
        }
    }

    #[test]
    fn bx14_what_was_written_is_found_without_reading_the_rest() {
        let scratch = Scratch::new();
        let namespace = |name: &str| format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n");
        scratch.write("a.yaml", namespace("a-0"));
        scratch.write("b.yaml", namespace("b"));
        let mut source = FileSource::new(vec![scratch.path(".")]);
        source.load();
        assert!(source.load_written().change.is_nothing());
        // Faster than any file system's clock, of equal length, in place and by renames.
        for round in 1..=9 {
            match round % 2 {
                0 => {
                    scratch.write(".new", namespace(&format!("a-{round}")));
                    fs::rename(scratch.path(".new"), scratch.path("a.yaml")).expect("renamed");
                }
                _ => scratch.write("a.yaml", namespace(&format!("a-{round}"))),
            }
            let change = source.load_written().change;
            assert_eq!((change.added, change.removed), (1, 1), "round {round}");
        }
        fs::remove_file(scratch.path("b.yaml")).expect("removed");
        assert_eq!(source.load_written().change.removed, 1);
    }

    #[test]
    fn ga06_directories_are_read_in_order_and_hidden_files_are_not() {
        let scratch = Scratch::new();
        for (file, name) in [
            ("b.yaml", "b"),
            ("a.json", "a"),
            ("c/d.yml", "d"),
            (".hidden.yaml", "x"),
            ("e.txt", "y"),
        ] {
            scratch.write(file, namespace(name));
        }
        scratch.write(
            "a.json",
            r#"{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}"#,
        );
        scratch.mount("..1", "mounted.yaml", &namespace("m"));
        let mut source = FileSource::new(vec![scratch.path("."), scratch.path("b.yaml")]);
        let loaded = source.load();
        assert_eq!(names(&loaded), ["a", "b", "d", "m"]);
        assert_eq!(codes(&loaded), [""; 0]);
        assert_eq!((loaded.change.added, loaded.files.len()), (4, 4));
        let again = source.load();
        assert!(again.change.is_nothing());
        assert!(Arc::ptr_eq(
            &loaded.resources.objects[0].resource,
            &again.resources.objects[0].resource
        ));
    }

    #[test]
    fn what_cannot_be_read_is_reported_and_the_rest_is_loaded() {
        let scratch = Scratch::new();
        scratch.write("a.yaml", namespace("a"));
        scratch.write("b.yaml", b"a: \xff");
        scratch.write("c.yaml", "# nothing\n");
        fs::create_dir_all(scratch.path("empty")).expect("a directory");
        std::os::unix::fs::symlink("nowhere", scratch.path("d.yaml")).expect("a link");
        let large = fs::File::create(scratch.path("e.yaml")).expect("a file");
        large.set_len(limits::FILE_BYTES + 1).expect("a length");
        let roots = [".", "none.yaml", "empty"].map(|name| scratch.path(name));
        let loaded = FileSource::new(roots.to_vec()).load();
        assert_eq!(names(&loaded), ["a"]);
        assert_eq!(codes(&loaded), ["E0010", "E0012", "N0014", "E0010", "E0011"]);
        let roots = vec![scratch.path("empty")];
        assert_eq!(codes(&FileSource::new(roots).load()), ["W0013"]);
    }

    #[test]
    fn a_change_says_what_changed() {
        let scratch = Scratch::new();
        scratch.write("a.yaml", service("s", "80") + &namespace("n"));
        let mut source = FileSource::new(vec![scratch.path(".")]);
        source.load();
        scratch.write("a.yaml", namespace("n") + &service("s", "80"));
        let moved = source.load().change;
        assert!(moved.kinds.is_empty() && moved.places && !moved.is_nothing());
        let slice = "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: s-1\n  labels: {kubernetes.io/service-name: s}\naddressType: IPv4\n";
        scratch.write("b.yaml", slice);
        let added = source.load().change;
        assert!(added.only_endpoints() && added.added == 1);
        scratch.write(
            "b.yaml",
            slice.to_owned() + "endpoints: [{addresses: [10.0.0.1]}]\n",
        );
        let changed = source.load().change;
        assert!(changed.only_endpoints() && changed.changed == 1);
        fs::remove_file(scratch.path("b.yaml")).expect("remove");
        scratch.write("a.yaml", service("s", "81"));
        let both = source.load().change;
        assert!(!both.only_endpoints() && (both.changed, both.removed) == (1, 2));
    }

    #[test]
    fn the_last_good_version_stays_in_force() {
        let scratch = Scratch::new();
        let both = service("s", "80") + &namespace("n");
        let check = |text: &[u8], expected: &[&str], held: &[&str], found: &[&str]| {
            scratch.write("a.yaml", &both);
            let mut source = FileSource::new(vec![scratch.path("a.yaml")]);
            let good = source.load();
            scratch.write("a.yaml", text);
            // A second load must not take the bad version for the last good one.
            source.load();
            let loaded = source.load();
            let shown = String::from_utf8_lossy(text);
            assert_eq!(names(&loaded), expected, "{shown}");
            let names: Vec<_> = loaded.held.iter().map(|object| &*object.name).collect();
            assert_eq!(
                (names.as_slice(), codes(&loaded).as_slice()),
                (held, found),
                "{shown}"
            );
            let same = |placed: &Placed| {
                good.resources
                    .objects
                    .iter()
                    .any(|old| Arc::ptr_eq(&old.resource, &placed.resource))
            };
            let kept = loaded
                .resources
                .objects
                .iter()
                .filter(|placed| same(placed))
                .count();
            assert_eq!(kept, names.len(), "the held objects are the former ones: {shown}");
            scratch.write("a.yaml", both.replace("80", "82"));
            let repaired = source.load();
            assert_eq!((repaired.held.len(), codes(&repaired).len()), (0, 0));
        };
        let faulty = service("s", "http");
        check(faulty.as_bytes(), &["s"], &["s"], &["E0101"]);
        let broken = namespace("m") + "---\nkind: [\n";
        check(
            broken.as_bytes(),
            &["m", "s", "n"],
            &["s", "n"],
            &["E0001", "W0015"],
        );
        let nameless = namespace("m") + "---\napiVersion: v1\nkind: Service\nmetadata: {}\nspec: {}\n";
        check(
            nameless.as_bytes(),
            &["m", "s", "n"],
            &["s", "n"],
            &["E0102", "W0015"],
        );
        check(b"\xff", &["s", "n"], &["s", "n"], &["E0012", "W0015"]);
        let deleted = namespace("m");
        check(deleted.as_bytes(), &["m"], &[], &[]);
    }

    #[test]
    fn a_named_file_that_vanishes_leaves_its_objects_in_force() {
        let scratch = Scratch::new();
        scratch.write("a.yaml", namespace("a"));
        scratch.write("d/b.yaml", namespace("b"));
        let mut source = FileSource::new(vec![scratch.path("a.yaml"), scratch.path("d")]);
        source.load();
        fs::remove_file(scratch.path("a.yaml")).expect("remove");
        fs::remove_file(scratch.path("d/b.yaml")).expect("remove");
        let loaded = source.load();
        assert_eq!(
            names(&loaded),
            ["a"],
            "a file that leaves a directory takes its objects along"
        );
        assert_eq!(codes(&loaded), ["E0010", "W0013", "W0015"]);
        fs::remove_dir(scratch.path("d")).expect("remove");
        let loaded = source.load();
        assert_eq!((names(&loaded), loaded.change.removed), (vec!["a"], 0));
    }
}
