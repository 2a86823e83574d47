//! The house: data flows down the list of rooms, `crate::` and `super::` only point up it. No file grows above 400 lines, no
//! public trait asks for more than four methods.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms, in the order in which a particle passes them.
const ROOMS: [&str; 16] = [
    "real",
    "error",
    "measure",
    "inputs",
    "activation",
    "feature",
    "risk",
    "energy",
    "state",
    "integrator",
    "observe",
    "flow",
    "optimality",
    "transport",
    "study",
    "testing",
];
const LINES: usize = 400;
const REQUIRED: usize = 4;

fn sources() -> Vec<(PathBuf, String)> {
    fn collect(folder: &Path, out: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, out);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                out.push((path, text));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    collect(&root, &mut found);
    found.sort();
    found
        .into_iter()
        .map(|(path, text)| (path.strip_prefix(&root).unwrap().to_path_buf(), text))
        .collect()
}

/// The code of a file without comments, and with the contents of string literals left out.
fn code(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if first == '"' {
            let mut end = 1;
            while end < rest.len() && !rest[end..].starts_with('"') {
                end += if rest[end..].starts_with('\\') {
                    1 + rest[end + 1..].chars().next().map_or(1, char::len_utf8)
                } else {
                    rest[end..].chars().next().map_or(1, char::len_utf8)
                };
            }
            out.push_str("\"\"");
            end + 1
        } else if rest.starts_with("'\"'") {
            3
        } else {
            out.push(first);
            first.len_utf8()
        };
        rest = &rest[skip.min(rest.len())..];
    }
    out
}

/// The modules of a file: `feature/ridge.rs` is `[feature, ridge]`.
fn modules(file: &Path) -> Vec<String> {
    let mut parts: Vec<_> = file
        .with_extension("")
        .components()
        .map(|part| part.as_os_str().to_str().unwrap().to_owned())
        .collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts
}

fn word(text: &str) -> &str {
    &text[..text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len())]
}

/// The first segments of `text`, the end of a path: one, or those of a group `{a::b, c}`.
fn heads(text: &str) -> Vec<&str> {
    let Some(group) = text.strip_prefix('{') else {
        return vec![word(text)];
    };
    let (mut depth, mut heads, mut expected) = (0, Vec::new(), true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expected = true,
            c if expected && depth == 0 && (c.is_alphanumeric() || c == '_') => {
                heads.push(word(&group[at..]));
                expected = false;
            }
            _ => {}
        }
    }
    heads
}

/// The rooms that a file uses: what follows `crate::`, and what `super::` above the room leads to.
fn used(file: &Path, code: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    let boundary =
        |at: usize| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
    for (at, path) in code.match_indices("crate::") {
        if boundary(at) && !code[..at].ends_with('$') {
            rooms.extend(
                heads(&code[at + path.len()..])
                    .into_iter()
                    .map(str::to_owned),
            );
        }
    }
    let depth = modules(file).len();
    for (at, _) in code.match_indices("super::") {
        if !boundary(at) {
            continue;
        }
        let (mut rest, mut ups) = (&code[at..], 0);
        while let Some(tail) = rest.strip_prefix("super::") {
            (rest, ups) = (tail, ups + 1);
        }
        // `mod tests { use super::.. }` inside a file is one deeper: never above the room by itself.
        let inner = usize::from(code[..at].contains("mod tests"));
        if ups >= depth + inner {
            rooms.extend(heads(rest).into_iter().map(str::to_owned));
        }
    }
    rooms
}

/// The reasons why a file is not in its place.
fn faults(file: &Path, code: &str) -> Vec<String> {
    let own = &modules(file)[0];
    let Some(place) = ROOMS.iter().position(|room| room == own) else {
        return vec![format!("src/{} is in no room of the list", file.display())];
    };
    let mut faults = Vec::new();
    for room in used(file, code) {
        match ROOMS.iter().position(|name| *name == room) {
            Some(other) if other <= place => {}
            Some(_) => faults.push(format!(
                "src/{}: `crate::{room}` is further down than {own}",
                file.display()
            )),
            None => faults.push(format!(
                "src/{}: `crate::{room}` is no room; name the item by its room",
                file.display()
            )),
        }
    }
    faults
}

#[test]
fn arrows_point_up_the_list_of_rooms() {
    let sources = sources();
    assert!(sources.len() > 20, "the sources were not found");
    let faults: Vec<_> = sources
        .iter()
        .filter(|(file, _)| file != Path::new("lib.rs"))
        .flat_map(|(file, text)| faults(file, &code(text)))
        .collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// The check itself: what it must see, and what it must let pass.
#[test]
fn an_arrow_that_points_down_is_seen() {
    let count = |file: &str, text: &str| faults(Path::new(file), &code(text)).len();
    assert_eq!(count("risk.rs", "use crate::energy::Energy;"), 1);
    assert_eq!(
        count(
            "risk/loss.rs",
            "use crate::{real::Real, flow::{A, B}, state::State};"
        ),
        2
    );
    assert_eq!(
        count("risk/loss.rs", "use super::super::energy::Energy;"),
        1
    );
    assert_eq!(
        count("risk.rs", "fn f(mu: &super::state::State<f64>) {}"),
        1
    );
    assert_eq!(count("risk.rs", "fn f() { let _ = crate::flow::f(); }"), 1);
    assert_eq!(count("cellar.rs", ""), 1);
    assert_eq!(count("risk.rs", "use crate::Inputs;"), 1);
    assert_eq!(
        count(
            "energy/mmd.rs",
            "use super::{Energy, same}; use crate::feature::columns; use crate::energy::Kernel;"
        ),
        0
    );
    assert_eq!(
        count(
            "risk.rs",
            "/// [`f`](crate::flow)\n// crate::flow\nconst S: &str = \"crate::flow\";"
        ),
        0
    );
    assert_eq!(
        count(
            "feature/kernel/lanes.rs",
            "use super::super::Workspace; pub(crate) fn f() {}"
        ),
        0
    );
}

#[test]
fn files_stay_readable() {
    for (file, text) in sources() {
        let lines = text.lines().count();
        assert!(
            lines <= LINES,
            "src/{} has {lines} lines: split the idea",
            file.display()
        );
    }
}

/// `(name, required methods)` of the public traits in `code`: methods whose declaration ends in `;`.
fn traits(code: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (at, head) in code.match_indices("pub trait ") {
        let rest = &code[at + head.len()..];
        let Some(open) = rest.find('{') else { continue };
        let (mut depth, mut brackets, mut methods, mut declared) = (1, 0, 0, false);
        let body = &rest[open + 1..];
        for (at, c) in body.char_indices() {
            match c {
                '{' => {
                    declared = false;
                    depth += 1;
                }
                '}' => depth -= 1,
                '[' => brackets += 1,
                ']' => brackets -= 1,
                ';' if depth == 1 && brackets == 0 && declared => {
                    methods += 1;
                    declared = false;
                }
                'f' if depth == 1
                    && body[at..].starts_with("fn ")
                    && !body[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') =>
                {
                    declared = true;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        found.push((word(rest).to_owned(), methods));
    }
    found
}

#[test]
fn traits_ask_for_little() {
    let all: Vec<_> = sources()
        .iter()
        .flat_map(|(_, text)| traits(&code(text)))
        .collect();
    for name in [
        "Activation",
        "Energy",
        "FeatureMap",
        "Integrator",
        "Kernel",
        "Loss",
        "Observer",
        "Potential",
        "AllReduce",
        "Risk",
    ] {
        assert!(
            all.iter()
                .any(|(found, methods)| found == name && *methods > 0),
            "the trait {name} was not found"
        );
    }
    for (name, methods) in all {
        assert!(
            methods <= REQUIRED,
            "the trait {name} requires {methods} methods"
        );
    }
    let example = "pub trait A<T> { fn a(&self); fn b(&self) -> [T; 1]; fn c(&self) -> [T; 1] { self.a(); } const N: usize; fn d(); }";
    assert_eq!(traits(example), [("A".to_owned(), 3)]);
}
