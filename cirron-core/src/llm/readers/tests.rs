#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::llm::{Route, openai};

/// Answers `!`, and knows its shape by a `#`.
#[derive(Debug, Default)]
struct Other(ResponseFacts, bool);

impl ReadResponse for Other {
    fn push(&mut self, bytes: &[u8]) {
        self.0.shaped |= bytes.contains(&b'#');
        self.1 |= bytes.contains(&b'!');
    }
    fn gap(&mut self) {}
    fn finish(&mut self, _: &str) -> Content {
        Content {
            answer: std::mem::take(&mut self.1),
            ..Content::default()
        }
    }
    fn facts(&self) -> &ResponseFacts {
        &self.0
    }
}

static TWO: [Dialect; 2] = [
    openai::DIALECT,
    Dialect {
        name: "other",
        route: |path| (path == "/other").then_some(Route::to("chat")),
        headers: &[],
        request: openai::DIALECT.request,
        response: || Box::<Other>::default(),
    },
];

#[test]
fn a_path_tells_the_dialect() {
    let readers_at = |path| {
        let found = of_path(&TWO, path);
        found
            .iter()
            .map(|(c, _)| (c.dialect.name, c.operation))
            .collect::<Vec<_>>()
    };
    assert_eq!(readers_at("/other"), [("other", "chat")]);
    assert_eq!(readers_at("/x/v1/embeddings"), [("openai", "embeddings")]);
    assert!(readers_at("/v1/models").is_empty());
}

#[test]
fn without_a_path_the_shape_tells_it_and_content_before_counts() {
    let mut readers = Readers::new(&TWO).unwrap();
    readers.push(b"!");
    assert!(readers.finish("").answer);
    assert!(!readers.facts().shaped);
    readers.push(b"#");
    assert!(!readers.finish("").is_some());
    assert_eq!(readers.dialect().name, "other");
    assert!(readers.facts().shaped && readers.others.is_empty());

    let mut readers = Readers::new(&TWO).unwrap();
    readers.push(br#"{"object":"chat.completion.chunk"}"#);
    readers.finish("");
    assert_eq!(readers.dialect().name, "openai");
    assert!(readers.others.is_empty());
}

#[test]
fn a_known_dialect_is_read_alone() {
    let readers = Readers::new([&TWO[1]]).unwrap();
    assert_eq!(readers.dialect().name, "other");
    assert!(readers.others.is_empty());
}
