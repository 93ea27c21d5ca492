//! Loading again when a few files changed and their objects are the same ones, written differently: then the last load
//! is mended in those places, instead of put together anew from thousands of documents.

use std::sync::Arc;

use super::Change;
use super::documents::{FileDocument, FileDocuments};
use crate::resource::{Resource, ResourceSet};

/// A load of which every object is known to come from a place of its own: nothing was missing, doubtful or twice.
#[derive(Debug)]
pub(super) struct Plain {
    files: Vec<PlainFile>,
}

#[derive(Debug)]
struct PlainFile {
    name: Arc<str>,
    documents: FileDocuments,
    /// Where its objects begin in the set.
    first: usize,
}

impl Plain {
    /// What was loaded from `files`, in that order; `None` when the set is not just their objects.
    pub(super) fn new(files: Vec<(Arc<str>, FileDocuments)>, set: &ResourceSet) -> Option<Self> {
        let mut first = 0;
        let mut plain = Vec::with_capacity(files.len());
        for (name, documents) in files {
            let count = resources(&documents).count();
            plain.push(PlainFile {
                name,
                documents,
                first,
            });
            first += count;
        }
        (first == set.objects.len()).then_some(Self { files: plain })
    }

    /// The set after `files` were read again, and what changed; `None` when more has changed than what objects say.
    /// `last` is the set that this was made from.
    pub(super) fn mend<'f>(
        &mut self,
        last: &ResourceSet,
        files: impl ExactSizeIterator<Item = (&'f Arc<str>, &'f FileDocuments)> + Clone,
    ) -> Option<(ResourceSet, Change)> {
        let pairs = self.files.iter().zip(files.clone());
        let is_like = |(former, (name, documents)): (&PlainFile, (&Arc<str>, &FileDocuments))| {
            former.name == *name
                && (Arc::ptr_eq(&former.documents, documents) || is_alike(&former.documents, documents))
        };
        if self.files.len() != files.len() || !pairs.clone().all(is_like) {
            return None;
        }
        let mut set = last.clone();
        let mut change = Change::default();
        for (former, (_, documents)) in pairs {
            if Arc::ptr_eq(&former.documents, documents) {
                continue;
            }
            let objects = Arc::make_mut(&mut set.objects);
            let (mut at, before) = (former.first, former.first);
            for document in documents.iter() {
                for resource in &document.decoded.resources {
                    let placed = objects.get_mut(at)?;
                    placed.resource = resource.clone();
                    placed.first_line = document.first_line;
                    at += 1;
                }
            }
            change.add(Change::of_objects(
                &last.objects[before..at],
                &objects[before..at],
            ));
        }
        for (former, (_, documents)) in self.files.iter_mut().zip(files) {
            former.documents = documents.clone();
        }
        Some((set, change))
    }
}

/// Whether two versions of a file define the same objects in the same order and nothing is to be said of either.
fn is_alike(former: &[FileDocument], documents: &[FileDocument]) -> bool {
    let is_clean = |document: &FileDocument| {
        let decoded = &document.decoded;
        decoded.findings.is_empty()
            && !decoded.incomplete
            && decoded.resources.iter().all(|resource| !resource.faulty)
    };
    former.iter().chain(documents).all(is_clean)
        && resources(documents).count() > 0
        && resources(former).count() == resources(documents).count()
        && resources(former)
            .zip(resources(documents))
            .all(|(former, resource)| former.object == resource.object)
}

fn resources(documents: &[FileDocument]) -> impl Iterator<Item = &Arc<Resource>> {
    documents.iter().flat_map(|document| &document.decoded.resources)
}
