//! All resources of all files.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use weir_model::{ObjectName, Origin, Problem};

use super::{Decoded, Placed, Reader, Resource};
use crate::hash::QuickMap;
use crate::yaml::{Finding, sections};

/// What the files say: the input of translation.
#[derive(Clone, Debug, Default)]
pub struct ResourceSet {
    /// The objects in the order read (files by name, then documents). No two have the same kind, namespace
    /// and name. Shared: whoever remembers a load remembers all of them.
    pub objects: Arc<Vec<Placed>>,
    /// What was found while reading and decoding.
    pub problems: Vec<Problem>,
}

/// What becomes of an object of a document.
#[derive(Clone, Debug)]
pub enum Version {
    /// It is taken as written.
    Written,
    /// Another version takes its place.
    Former(Placed),
    /// It is left out.
    None,
}

/// Puts documents together into a [`ResourceSet`].
#[derive(Debug, Default)]
pub struct Assembly {
    set: ResourceSet,
    /// Index in `set.objects`. Kinds of different groups with the same name share a key space, as they share
    /// names in messages.
    places: QuickMap<ObjectName, usize>,
}

impl Assembly {
    /// Room for that many objects.
    pub fn with_capacity(objects: usize) -> Self {
        let set = ResourceSet {
            objects: Arc::new(Vec::with_capacity(objects)),
            problems: Vec::new(),
        };
        Self {
            set,
            places: QuickMap::with_capacity_and_hasher(objects, Default::default()),
        }
    }

    /// Adds a document that starts on line `first_line` of `file`. Of objects that are defined twice, the first
    /// one counts.
    pub fn add(&mut self, file: &Arc<str>, first_line: u32, document: &Decoded) {
        self.add_or_replace(file, first_line, document, |_| Version::Written);
    }

    /// Adds a document, with the versions of its objects that `choose` says.
    pub fn add_or_replace(
        &mut self,
        file: &Arc<str>,
        first_line: u32,
        document: &Decoded,
        mut choose: impl FnMut(&Resource) -> Version,
    ) {
        for (finding, object) in &document.findings {
            let line = if finding.span.line == 0 {
                0
            } else {
                first_line.saturating_add(finding.span.line - 1)
            };
            let origin = Origin::new(file.clone(), line, finding.span.column);
            self.set.problems.push(Problem {
                object: object.clone(),
                ..finding.clone().at(origin)
            });
        }
        for resource in &document.resources {
            let placed = Placed {
                resource: resource.clone(),
                file: file.clone(),
                first_line,
            };
            match self.places.entry(resource.object.clone()) {
                Entry::Vacant(vacant) => {
                    let placed = match choose(resource) {
                        Version::Written => placed,
                        Version::Former(former) => former,
                        Version::None => continue,
                    };
                    vacant.insert(self.set.objects.len());
                    Arc::make_mut(&mut self.set.objects).push(placed);
                }
                Entry::Occupied(occupied) => {
                    let first = &self.set.objects[*occupied.get()];
                    let place = first.origin(first.resource.metadata.name.span);
                    let name = resource.metadata.name.span;
                    let finding =
                        Finding::new("E0109", name, format!("{} is defined twice", resource.object))
                            .label("this definition is ignored")
                            .help(format!(
                                "the first definition is at {place}: remove one of the two"
                            ));
                    self.set.problems.push(placed.problem(finding));
                }
            }
        }
    }

    /// Adds a problem that belongs to no document.
    pub fn report(&mut self, problem: Problem) {
        self.set.problems.push(problem);
    }

    /// Adds an object unless one of its name is there, and says whether it was added.
    pub fn add_missing(&mut self, placed: Placed) -> bool {
        let Entry::Vacant(vacant) = self.places.entry(placed.resource.object.clone()) else {
            return false;
        };
        vacant.insert(self.set.objects.len());
        Arc::make_mut(&mut self.set.objects).push(placed);
        true
    }

    /// The set.
    pub fn finish(self) -> ResourceSet {
        self.set
    }
}

impl ResourceSet {
    /// Reads texts as if they were files of those names, in that order.
    pub fn from_texts<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut reader = Reader::new();
        let mut assembly = Assembly::default();
        for (file, text) in files {
            let file = Arc::from(file);
            for section in sections(text) {
                assembly.add(&file, section.first_line, &reader.read(section.text));
            }
        }
        assembly.finish()
    }
}
