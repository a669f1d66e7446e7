//! Mistakes of an experiment file or of a `key=value` argument, shown with the line and a caret.

use std::fmt;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use stn_core::Fault;

use super::document::{Place, Source};

/// One mistake: where, what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    place: Option<Place>,
    also: Option<(Place, String)>,
    message: String,
    help: Option<String>,
    note: Option<String>,
}

impl Diagnostic {
    pub(crate) fn new(place: Place, message: impl Into<String>, help: Option<String>) -> Self {
        Self { place: Some(place), also: None, message: message.into(), help, note: None }
    }

    /// A fault at the place that was found for its path.
    pub(crate) fn from_fault(fault: &Fault, place: Place) -> Self {
        Self::new(place, in_words(&fault.message), fault.help.clone())
    }

    /// With a remark below.
    #[must_use]
    pub(crate) fn note(mut self, note: Option<String>) -> Self {
        self.note = note;
        self
    }

    /// With a second place, and a word on what is there.
    #[must_use]
    pub(crate) fn also(mut self, place: Place, word: &str) -> Self {
        self.also = Some((place, word.to_owned()));
        self
    }

    /// Where it is, where it is anywhere in a text.
    pub(crate) fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do, where that is known.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

/// Every mistake found in an experiment file and its arguments, in the order in which they stand there.
///
/// `Display` is plain text; [`render`](Self::render) can colour it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics {
    sources: Vec<Source>,
    all: Vec<Diagnostic>,
}

impl Diagnostics {
    pub(crate) fn new(sources: Vec<Source>, mut all: Vec<Diagnostic>) -> Self {
        all.sort_by(|a, b| a.place.cmp(&b.place));
        let mut kept: Vec<Diagnostic> = Vec::with_capacity(all.len());
        for diagnostic in all {
            if !kept.iter().any(|k| k.place == diagnostic.place && k.message == diagnostic.message) {
                kept.push(diagnostic);
            }
        }
        Self { sources, all: kept }
    }

    /// A mistake that has no place in a text, such as a file that is not there.
    pub(crate) fn without_place(message: impl Into<String>, help: Option<String>) -> Self {
        Self { sources: Vec::new(), all: vec![Diagnostic { place: None, also: None, message: message.into(), help, note: None }] }
    }

    /// The mistakes, in order. Never empty.
    pub fn all(&self) -> &[Diagnostic] {
        &self.all
    }

    /// As text, with colours for a terminal or without.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut text = String::new();
        for diagnostic in &self.all {
            text.push_str(&self.render_one(&renderer, diagnostic));
            text.push_str("\n\n");
        }
        let count = self.all.len();
        text.push_str(&format!("{count} {}; nothing was run", if count == 1 { "mistake" } else { "mistakes" }));
        text
    }

    fn render_one(&self, renderer: &Renderer, diagnostic: &Diagnostic) -> String {
        let title = Level::ERROR.primary_title(diagnostic.message.as_str());
        let place = diagnostic.place.as_ref().and_then(|place| Some((place, self.sources.get(place.source)?)));
        let mut group = match place {
            Some((place, source)) => {
                let span = visible(place, &source.text);
                let snippet = Snippet::source(source.text.as_str()).path(source.name.as_str()).annotation(AnnotationKind::Primary.span(span));
                let (same, other) = match &diagnostic.also {
                    Some((also, word)) if also.source == place.source => {
                        (Some(AnnotationKind::Context.span(visible(also, &source.text)).label(word.as_str())), None)
                    }
                    Some((also, word)) => (None, self.sources.get(also.source).map(|source| (also, word, source))),
                    None => (None, None),
                };
                let group = title.element(snippet.annotations(same));
                match other {
                    Some((also, word, source)) => {
                        let annotation = AnnotationKind::Context.span(visible(also, &source.text)).label(word.as_str());
                        group.element(Snippet::source(source.text.as_str()).path(source.name.as_str()).annotation(annotation))
                    }
                    None => group,
                }
            }
            None => annotate_snippets::Group::with_title(title),
        };
        if let Some(note) = &diagnostic.note {
            group = group.element(Level::NOTE.message(note.as_str()));
        }
        if let Some(help) = &diagnostic.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

/// A span to draw: within the text, on character boundaries, and no more than one line of it.
fn visible(place: &Place, text: &str) -> std::ops::Range<usize> {
    let boundary = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = boundary(place.start);
    let end = boundary(place.end).max(start);
    let line_end = text[start..end].find('\n').map_or(end, |at| start + at);
    start..line_end
}

/// Rust's type names in a deserialiser's message, in a reader's words.
fn in_words(message: &str) -> String {
    let words = [
        ("expected u64", "expected a whole number, 0 or more"),
        ("expected usize", "expected a whole number, 0 or more"),
        ("expected u32", "expected a whole number, 0 or more"),
        ("expected i64", "expected a whole number"),
        ("expected f64", "expected a number"),
        ("expected f32", "expected a number"),
        ("expected a map", "expected a table"),
        ("expected a sequence", "expected an array"),
        ("invalid type: map", "invalid type: table"),
        ("invalid type: sequence", "invalid type: array"),
        ("floating point `", "number `"),
    ];
    words.iter().fold(message.to_owned(), |text, (from, to)| text.replace(from, to))
}
