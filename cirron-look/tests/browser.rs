//! The page in a browser: that it is shown as it was meant, at two widths, in light and dark.
//!
//! Needs `chromium` (Debian's package); without it the tests say `SKIP` and why. The page is looked at by a script that is
//! added to a copy of it and leaves what it found in an attribute, which `--dump-dom` prints.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "../benches/look/made.rs"]
mod made;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use cirron_look::report::{Options, Slos, report};
use cirron_look::requests::Spools;

/// What is wrong with the page, a line each; and what a click on a title of a table does.
const LOOK: &str = r#"
const wrong = [];
const wide = document.documentElement.scrollWidth;
if (wide > innerWidth) wrong.push(`wider than the window: ${wide}`);
// Letters that touch others, in a chart or among the tiles.
const boxes = (all) => [...all].filter((e) => e.textContent.trim()).map((e) => [e, e.getBoundingClientRect()]);
const apart = (a, b) => a.right <= b.left + 0.5 || b.right <= a.left + 0.5 || a.bottom <= b.top + 1 || b.bottom <= a.top + 1;
for (const around of document.querySelectorAll("svg.chart, .ranks")) {
  const texts = boxes(around.querySelectorAll("text, dd"));
  const edge = around.getBoundingClientRect();
  texts.forEach(([e, a], i) => {
    if (a.left < edge.left - 1 || a.right > edge.right + 1) wrong.push(`cut: ${e.textContent}`);
    for (const [f, b] of texts.slice(i + 1)) if (!apart(a, b)) wrong.push(`${e.textContent} on ${f.textContent}`);
  });
}
for (const [e, a] of boxes(document.querySelectorAll(".tile b, .tile span"))) {
  const edge = e.parentNode.getBoundingClientRect();
  if (a.right > edge.right + 1) wrong.push(`out of its tile: ${e.textContent}`);
}
for (const e of document.querySelectorAll("svg *, .track i, .track u")) {
  for (const { name, value } of e.attributes) if (/NaN|Infinity/.test(value)) wrong.push(`${e.tagName} ${name}=${value}`);
}
const ink = getComputedStyle(document.querySelector("h1")).color;
const paper = getComputedStyle(document.body).backgroundColor;
const table = document.querySelector("table");
const cells = (at) => [...table.tBodies[0].rows].map((row) => row.cells[at].textContent).join("|");
table.querySelectorAll("th")[5].click();
const down = cells(5);
table.querySelectorAll("th")[5].click();
const up = cells(5);
table.querySelectorAll("th")[0].click();
const found = { wrong, ink, paper, down, up, names: cells(0), charts: document.querySelectorAll("svg.chart").length };
document.body.setAttribute("data-found", encodeURIComponent(JSON.stringify(found)));
"#;

fn page(dir: &Path) -> String {
    let spool = dir.join("spool");
    made::write(&spool, 3_000).unwrap();
    let time = |text: &str| {
        let ms = text.strip_suffix("ms")?.parse().ok()?;
        Some(Duration::from_millis(ms))
    };
    let options = Options {
        slos: Slos::parse("ttft=300ms,tpot=30ms", &time).unwrap(),
        spools: vec!["made".to_owned()],
        maker: "the tests".to_owned(),
    };
    let mut page = Vec::new();
    report(&Spools::list(&[&spool]).unwrap(), &options, &mut page).unwrap();
    String::from_utf8(page).unwrap()
}

/// What the script found, as JSON.
fn look(chromium: &str, file: &Path, width: u32, dark: bool) -> serde_json::Value {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(chromium)
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--window-size={width},1200"))
        .arg(format!(
            "--blink-settings=preferredColorScheme={}",
            u8::from(!dark)
        ))
        .arg("--dump-dom")
        .arg(format!("file://{}", file.display()))
        .output()
        .unwrap();
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    let found = dom.split_once("data-found=\"").unwrap_or_else(|| {
        let errors = String::from_utf8_lossy(&output.stderr);
        panic!("the script did not run: {errors}");
    });
    let found = found.1.split('"').next().unwrap();
    serde_json::from_slice(&decoded(found)).unwrap()
}

/// Of `%7B` and the like.
fn decoded(text: &str) -> Vec<u8> {
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        let (hex, rest) = part.split_at(2);
        out.push(u8::from_str_radix(hex, 16).unwrap());
        out.extend_from_slice(rest.as_bytes());
    }
    out
}

#[test]
fn nothing_overlaps_and_tables_sort_at_two_widths_in_light_and_dark() {
    let chromium = "chromium";
    if Command::new(chromium).arg("--version").output().is_err() {
        println!("SKIP the page in a browser: there is no chromium (Debian's package)");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let page = page(dir.path());
    let file = dir.path().join("page.html");
    let copy = page.replace("</body>", &format!("<script>{LOOK}</script></body>"));
    std::fs::write(&file, copy).unwrap();
    for (width, dark) in [(1280, false), (800, true)] {
        let found = look(chromium, &file, width, dark);
        assert_eq!(found["wrong"], serde_json::json!([]), "at {width}");
        assert_eq!(found["charts"], 15, "five figures, three charts each");
        let paper = found["paper"].as_str().unwrap();
        assert_eq!(paper == "rgb(255, 255, 255)", !dark, "{paper}");
        assert_ne!(found["ink"], found["paper"]);
        let order = |name: &str| -> Vec<String> {
            let cells = found[name].as_str().unwrap().split('|');
            cells.map(str::to_owned).collect()
        };
        let (down, mut up) = (order("down"), order("up"));
        up.reverse();
        assert_eq!(down, up);
        assert!(down.len() == 3 && down[0].ends_with('s'), "{down:?}");
        let names = order("names");
        assert!(names.is_sorted() && names.len() == 3, "{names:?}");
    }
}
