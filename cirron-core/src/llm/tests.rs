#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

fn routes(path: &str) -> Vec<(&'static str, &'static str, Option<String>, Option<bool>)> {
    let row = |(c, model): (Candidate, _)| (c.dialect.name, c.operation, model, c.stream);
    of_path(path).into_iter().map(row).collect()
}

#[test]
fn health_checks_metrics_lists_and_control_calls_are_no_calls_of_models() {
    for path in [
        "/health",
        "/healthz",
        "/livez",
        "/metrics",
        "/v1/models",
        "/v1/models/gpt-4o",
        "/models",
        "/props",
        "/slots",
        "/tokenize",
        "/detokenize",
        "/info",
        "/version",
        "/get_model_info",
        "/flush_cache",
        "/api/tags",
        "/api/ps",
        "/api/show",
        "/api/pull",
        "/api/version",
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/resnet",
        "/v2/models/resnet/ready",
        "/v2/models/resnet/versions/1/ready",
        "/v2/models/resnet/stats",
        "/v2/repository/index",
        "/v1/models/iris",
        "/v1/models/iris/metadata",
        "/ping",
        "/predictions/",
        "/management/models",
        "/v1beta/models",
        "/v1beta/models/gemini-2.5-flash:countTokens",
        "/model/m/converse/other",
        "/v1/messages/count_tokens",
        "/v1/messages/batches",
        "/v1/batches",
        "/v1/files",
        "/v1/fine_tuning/jobs",
        "/v1/chat/completions/id/cancel",
        "/key/generate/info",
        "/model/info",
        "/spend/logs",
        "/v2/tokenize",
        "/openai/deployments/x",
    ] {
        assert_eq!(routes(path), [], "{path}");
    }
}

#[test]
fn a_path_names_its_model_and_whether_it_streams() {
    for (path, dialect, operation, model, stream) in [
        (
            "/v1beta/models/g-2:streamGenerateContent",
            "gcp.gemini",
            "generate_content",
            Some("g-2"),
            Some(true),
        ),
        (
            "/v1beta/models/g-2:generateContent",
            "gcp.gemini",
            "generate_content",
            Some("g-2"),
            Some(false),
        ),
        (
            "/v1/models/g-2%3AstreamGenerateContent",
            "gcp.gemini",
            "generate_content",
            Some("g-2"),
            Some(true),
        ),
        (
            "/model/us.a%3A0/converse-stream",
            "aws.bedrock",
            "chat",
            Some("us.a:0"),
            Some(true),
        ),
        (
            "/openai/deployments/d/embeddings",
            "azure.ai.openai",
            "embeddings",
            Some("d"),
            None,
        ),
        (
            "/v2/models/m/versions/3/infer",
            "kserve_v2",
            "inference",
            Some("m"),
            Some(false),
        ),
        (
            "/v2/models/m/generate_stream",
            "triton",
            "text_completion",
            Some("m"),
            Some(true),
        ),
        (
            "/predictions/bert/1.0",
            "torchserve",
            "inference",
            Some("bert"),
            None,
        ),
        (
            "/v1/models/a/versions/2:predict",
            "tensorflow_serving",
            "inference",
            Some("a"),
            None,
        ),
        ("/gateway/api/chat", "ollama", "chat", None, None),
        ("/v1/fim/completions", "mistral_ai", "chat", None, None),
        ("/x/v1/chat/completions", "openai", "chat", None, None),
    ] {
        let all = routes(path);
        assert_eq!(all.len(), 1, "{path}: {all:?}");
        let (name, op, of, streams) = all.into_iter().next().unwrap();
        assert_eq!(
            (name, op, of.as_deref(), streams),
            (dialect, operation, model, stream),
            "{path}"
        );
    }
}

/// What a dialect knows stands in its own file: the rest of the crate knows none by name.
#[test]
fn a_new_dialect_is_its_file_its_row_and_its_goldens() {
    fn sources(dir: &std::path::Path, all: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, all);
            } else if path.extension().is_some_and(|e| e == "rs") {
                all.push(path);
            }
        }
    }
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    sources(&root, &mut all);
    assert!(all.len() > 50);
    for path in all {
        let inside = path
            .strip_prefix(&root)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        if inside.contains("tests") || inside.starts_with("llm/") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        let is_code = |line: &&str| !line.trim_start().starts_with("//");
        let code: String = code.lines().filter(is_code).collect();
        for dialect in DIALECTS {
            let quoted = format!("\"{}\"", dialect.name);
            assert!(!code.contains(&quoted), "{inside} knows {quoted}");
        }
    }
}

/// Everything of the package that is compiled or read when it is built, as text.
#[expect(clippy::disallowed_methods, reason = "reads the package's own sources")]
fn sources(below: &std::path::Path, found: &mut Vec<(std::path::PathBuf, String)>) {
    for entry in std::fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            let text = std::fs::read(&path).unwrap();
            found.push((path, String::from_utf8_lossy(&text).into_owned()));
        }
    }
}

/// That it is read as its goldens say is shown with all the others', in `scope::tests::goldens`.
#[test]
fn a_new_dialect_is_one_file_its_goldens_and_its_place_in_the_list() {
    let package = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    for part in ["src", "goldens"] {
        sources(&package.join(part), &mut all);
    }
    for file in ["Cargo.toml", "clippy.toml"] {
        let path = package.join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        all.push((path, text));
    }
    let mine = package.join("src/llm/tests");
    let directory = mine.join("dialects");
    let is_of_it = |path: &std::path::Path| path.parent() == Some(directory.as_path());
    let new: Vec<_> = all.iter().filter(|(path, _)| is_of_it(path)).collect();
    assert_eq!(new.len(), 1);
    let (file, _) = new[0];
    let name = file.file_stem().unwrap().to_str().unwrap();

    // It is known, with the precedence of its own row.
    let at = DIALECTS.iter().position(|d| d.name == name);
    assert_eq!(at, Some(DIALECTS.len() - 1));
    assert_eq!(
        routes("/utter"),
        [(DIALECTS[DIALECTS.len() - 1].name, "chat", None, None)]
    );

    // Nothing else knows it but the list.
    let goldens = mine.join("goldens").join(name);
    let knows = |(path, text): &&(std::path::PathBuf, String)| {
        path != file && !path.starts_with(&goldens) && text.contains(name)
    };
    let others: Vec<_> = all.iter().filter(knows).map(|(path, _)| path).collect();
    assert_eq!(others, [&package.join("src/llm/dialects/mod.rs")]);
    assert!(all.iter().any(|(path, _)| path.starts_with(&goldens)));
}

#[test]
fn every_dialect_that_is_there_is_in_the_list() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/llm/dialects");
    let list = std::fs::read_to_string(directory.join("mod.rs")).unwrap();
    let mut files = 0;
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        if name != "mod" {
            files += 1;
            assert!(list.contains(&format!("    {name}::ROWS,\n")), "{name}");
        }
    }
    assert!(files > 15);
}

#[test]
fn where_dialects_share_a_path_the_first_by_precedence_comes_first() {
    let names: Vec<&str> = DIALECTS.iter().map(|d| d.name).collect();
    let at = |name| names.iter().position(|n| *n == name);
    assert_eq!(at("openai"), Some(0));
    assert!(at("cohere") < at("kserve_v2") && at("triton") < at("kserve_v2"));
    let model = routes("/model/m/invoke");
    assert_eq!(
        model.iter().map(|r| r.0).collect::<Vec<_>>(),
        ["aws.bedrock"]
    );
}
