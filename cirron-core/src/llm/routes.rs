//! Which dialects know the paths that were asked last.
//!
//! Stands between a request's head and [`super::of_path`]. A server has a few paths, and to ask every dialect for each
//! call is a tenth of a small exchange's work: what was found is remembered. It decides nothing itself.

use super::{Candidate, of_path};

/// Paths that are remembered: an API has chat, completions, embeddings and a few others. Past it the oldest is asked
/// for again when it comes.
const KEPT_PATHS: usize = 8;

/// Bytes of a path that is remembered. Longer ones carry ids or models, and do not come again soon.
const MAX_KEPT_PATH_BYTES: usize = 128;

/// The candidates of a path, each with the model that the path names.
type Candidates = Vec<(Candidate, Option<String>)>;

/// Paths and what was found of each.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    known: Vec<(String, Candidates)>,
    /// Place of the oldest, once all are taken.
    oldest: usize,
}

impl Routes {
    /// What [`of_path`] gives.
    pub(crate) fn candidates(&mut self, path: &str) -> Candidates {
        if let Some((_, found)) = self.known.iter().find(|(known, _)| known == path) {
            return found.clone();
        }
        let found = of_path(path);
        if path.len() <= MAX_KEPT_PATH_BYTES {
            self.remember((path.to_owned(), found.clone()));
        }
        found
    }

    fn remember(&mut self, entry: (String, Candidates)) {
        if self.known.len() < KEPT_PATHS {
            self.known.push(entry);
        } else if let Some(oldest) = self.known.get_mut(self.oldest) {
            *oldest = entry;
            self.oldest = (self.oldest + 1) % KEPT_PATHS;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Told = (&'static str, &'static str, Option<bool>, Option<String>);

    fn told(found: Candidates) -> Vec<Told> {
        let all = found.into_iter();
        all.map(|(c, model)| (c.dialect.name, c.operation, c.stream, model))
            .collect()
    }

    #[test]
    fn a_path_has_the_same_candidates_each_time_it_comes() {
        let mut routes = Routes::default();
        let long = format!("/{}/v1/chat/completions", "x".repeat(MAX_KEPT_PATH_BYTES));
        let paths = [
            "/v1/chat/completions",
            "/v1/messages",
            "/model/a.b-v1%3A0/converse",
            "/model/c.d-v2%3A0/converse",
            "/healthz",
            "/api/chat",
            "/generate",
            "/v1/embeddings",
            "/v2/models/m/infer",
            "/v1beta/models/g:generateContent",
            &long,
        ];
        assert!(paths.len() > KEPT_PATHS, "the oldest are replaced");
        for _ in 0..3 {
            for path in paths.iter().chain(&["/v1/chat/completions"; 2]) {
                let found = routes.candidates(path);
                assert_eq!(told(found), told(of_path(path)), "{path}");
            }
            assert_eq!(routes.known.len(), KEPT_PATHS);
        }
        assert!(routes.known.iter().all(|(path, _)| *path != long));
    }
}
