#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::llm::openai;

/// Answers `!`, and knows its shape by a `#`.
#[derive(Debug, Default)]
struct Other(ResponseFacts, bool);

impl ReadResponse for Other {
    fn push(&mut self, bytes: &[u8]) {
        self.0.shaped |= bytes.contains(&b'#');
        self.1 |= bytes.contains(&b'!');
    }
    fn gap(&mut self) {}
    fn finish(&mut self) -> Content {
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
        operation: |path| (path == "/other").then_some("chat"),
        request: openai::DIALECT.request,
        response: || Box::<Other>::default(),
    },
];

#[test]
fn a_path_tells_the_dialect() {
    assert_eq!(of_path(&TWO, "/other").unwrap().0.name, "other");
    let (dialect, operation) = of_path(&TWO, "/x/v1/embeddings").unwrap();
    assert_eq!((dialect.name, operation), ("openai", "embeddings"));
    assert!(of_path(&TWO, "/v1/models").is_none());
}

#[test]
fn without_a_path_the_shape_tells_it_and_content_before_counts() {
    let mut readers = Readers::new(None, &TWO).unwrap();
    readers.push(b"!");
    assert!(readers.finish().answer);
    assert!(!readers.facts().shaped);
    readers.push(b"#");
    assert!(!readers.finish().is_some());
    assert_eq!(readers.dialect().name, "other");
    assert!(readers.facts().shaped && readers.others.is_empty());

    let mut readers = Readers::new(None, &TWO).unwrap();
    readers.push(br#"{"object":"chat.completion.chunk"}"#);
    readers.finish();
    assert_eq!(readers.dialect().name, "openai");
    assert!(readers.others.is_empty());
}

#[test]
fn a_known_dialect_is_read_alone() {
    let readers = Readers::new(Some(&TWO[1]), &TWO).unwrap();
    assert_eq!(readers.dialect().name, "other");
    assert!(readers.others.is_empty());
}
