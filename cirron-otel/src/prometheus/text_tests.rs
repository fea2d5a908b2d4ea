use super::*;
use crate::metrics::testing::{Exchange, taken};

fn page(is_open: bool) -> String {
    let mut call = Exchange::call("request", "demo \"1\"\\\n");
    call.marks = vec![("time_to_first_token_ms", 120.0), ("output_tokens", 20.0)];
    let figures = [Figure::counter("cirron_agent_x", "What x is.", 3)];
    write(is_open, &taken(&[call]), &figures)
}

#[test]
fn the_plain_format_has_every_bucket_summed_up_and_labels_escaped() {
    let text = page(false);
    for line in [
        "# TYPE gen_ai_server_time_to_first_token_seconds histogram",
        r#"gen_ai_server_time_to_first_token_seconds_bucket{service_name="python3",gen_ai_operation_name="chat",gen_ai_provider_name="openai",gen_ai_request_model="demo \"1\"\\\n",le="0.1"} 0"#,
        r#"gen_ai_server_time_to_first_token_seconds_bucket{service_name="python3",gen_ai_operation_name="chat",gen_ai_provider_name="openai",gen_ai_request_model="demo \"1\"\\\n",le="0.25"} 1"#,
        r#"gen_ai_server_time_to_first_token_seconds_bucket{service_name="python3",gen_ai_operation_name="chat",gen_ai_provider_name="openai",gen_ai_request_model="demo \"1\"\\\n",le="+Inf"} 1"#,
        r#"gen_ai_server_time_to_first_token_seconds_sum{service_name="python3",gen_ai_operation_name="chat",gen_ai_provider_name="openai",gen_ai_request_model="demo \"1\"\\\n"} 0.12"#,
        "# TYPE cirron_tokens_total counter",
        "# HELP cirron_agent_x_total What x is.",
        "cirron_agent_x_total 3",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
    assert!(!text.contains('#') || !text.contains("trace_id"));
    assert!(!text.contains("_created") && !text.contains("# EOF"));
}

#[test]
fn openmetrics_has_units_beginnings_exemplars_and_an_end() {
    let text = page(true);
    for part in [
        "# TYPE cirron_tokens counter\n",
        "# UNIT gen_ai_server_request_duration_seconds seconds\n",
        "le=\"0.25\"} 1 # {trace_id=\"00000000000000000000000000000002\",span_id=\"0000000000000002\"} 0.12 2.000\n",
        "gen_ai_server_request_duration_seconds_created{service_name=",
        "cirron_agent_x_total 3\n# EOF\n",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}
