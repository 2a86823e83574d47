//! The layout of the sources: rooms that only use what precedes them, no circles inside a room,
//! short files, a short root, small traits.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The top-level modules in the order of the data flow. `lib` and `prelude` re-export all of them
/// and are exempt.
const ROOMS: [&str; 27] = [
    "forward", // internal macros without imports
    "span",
    "real",
    "error",
    "encoding", // what the implementations of serde share
    "numeric",
    "ranks",
    "measure",
    "inputs",
    "data",
    "activation",
    "loss",
    "risk",
    "feature",
    "energy",
    "optimality",
    "state",
    "integrator",
    "io",
    "observe",
    "flow",
    "network",
    "sparse",
    "transport",
    "study",
    "plot",
    "testing",
];

/// The traits that users implement.
const CONTRACT: [&str; 18] = [
    "Activation",
    "AllReduce",
    "Archived",
    "Energy",
    "FeatureMap",
    "Homogeneous",
    "Integrator",
    "Interaction",
    "Kernel",
    "Loss",
    "Named",
    "Observer",
    "Potential",
    "RadialKernel",
    "Refill",
    "Risk",
    "Schedule",
    "Score",
];

/// Lines of a file.
const MAX_LINES: usize = 400;
/// Required methods of a trait.
const MAX_REQUIRED: usize = 4;
/// Items at the root of the crate, without modules and macros.
const MAX_ROOT_NAMES: usize = 25;

/// The path of a module or an item from the root of the crate.
type Name = Vec<String>;

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
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
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

/// The module of a file: `feature/ridge.rs` is `[feature, ridge]`.
fn module(file: &Path) -> Name {
    let file = file.with_extension("");
    let names = file.iter().map(|name| name.to_str().unwrap().to_owned());
    names.filter(|name| name != "mod").collect()
}

fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

/// Appends the paths of the tree at the start of `text`, such as `a::{b, c::d}`, to `out` and
/// returns the rest of `text`.
fn expand<'a>(text: &'a str, prefix: &[&'a str], out: &mut Vec<Vec<&'a str>>) -> &'a str {
    if let Some(mut rest) = text.strip_prefix('{') {
        while !rest.is_empty() && !rest.starts_with('}') {
            let before = rest;
            rest = expand(rest.trim_start(), prefix, out).trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
            if rest.len() == before.len() {
                break; // not a tree
            }
        }
        return rest.strip_prefix('}').unwrap_or(rest);
    }
    let first = identifier(text);
    let (path, rest) = ([prefix, &[first]].concat(), &text[first.len()..]);
    match rest.strip_prefix("::") {
        Some(rest) if rest.starts_with(|c: char| c == '{' || c == '_' || c.is_alphabetic()) => {
            expand(rest, &path, out)
        }
        _ if first.is_empty() || first == "self" => {
            out.push(prefix.to_vec());
            rest.strip_prefix('*').unwrap_or(rest)
        }
        _ => {
            out.push(path);
            match rest.trim_start().strip_prefix("as ") {
                Some(alias) => &alias[identifier(alias).len()..],
                None => rest,
            }
        }
    }
}

/// The absolute names behind the paths of `code` that start with `crate`, `self` or `super`.
fn names(own: &Name, code: &str) -> Vec<Name> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices("::") {
        let head = code[..at].len()
            - code[..at]
                .chars()
                .rev()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .count();
        if code[..head].ends_with([':', '$']) {
            continue;
        }
        // `mod tests { use super::.. }` inside a file is one deeper than the file.
        let mut base = own.clone();
        if code[..at].contains("mod tests") {
            base.push("tests".to_owned());
        }
        match &code[head..at] {
            "crate" => base.clear(),
            "self" => {}
            "super" => drop(base.pop()),
            _ => continue,
        }
        let mut rest = &code[at + 2..];
        while let Some(tail) = rest.strip_prefix("super::") {
            base.pop();
            rest = tail;
        }
        let mut paths = Vec::new();
        expand(rest, &[], &mut paths);
        names.extend(paths.into_iter().map(|path| {
            let path = path.into_iter().map(str::to_owned);
            base.iter().cloned().chain(path).collect::<Name>()
        }));
    }
    names
}

/// The names that the `use` declarations of a module bring in, by their last segment: `use
/// child::Item` as well.
fn reexports(own: &Name, code: &str, modules: &BTreeSet<Name>) -> BTreeMap<String, Name> {
    let mut found: BTreeMap<_, _> = names(own, code)
        .into_iter()
        .filter_map(|name| Some((name.last()?.clone(), name)))
        .collect();
    for (at, head) in code.match_indices("use ") {
        let mut paths = Vec::new();
        expand(&code[at + head.len()..], &[], &mut paths);
        for path in paths {
            let path = path.into_iter().map(str::to_owned);
            let name: Name = own.iter().cloned().chain(path).collect();
            if name.len() > own.len() + 1 && modules.contains(&name[..=own.len()]) {
                found.insert(name[name.len() - 1].clone(), name);
            }
        }
    }
    found
}

/// The reasons why a file is in the wrong place.
fn misplaced(file: &Path, code: &str) -> Vec<String> {
    let own = module(file);
    let place = |room: &String| ROOMS.iter().position(|name| name == room);
    let Some(here) = place(&own[0]) else {
        return vec![format!("src/{} is in no room of the list", file.display())];
    };
    let mut faults = Vec::new();
    for name in names(&own, code) {
        let fault = match name.first().map(|room| (room, place(room))) {
            Some((_, Some(there))) if there <= here => continue,
            Some((room, Some(_))) => format!("`crate::{room}` comes after `{}`", own[0]),
            Some((room, None)) => format!("`crate::{room}` has to be named by its module"),
            None => continue,
        };
        faults.push(format!("src/{}: {fault}", file.display()));
    }
    faults
}

/// The circles of imports: sets of sibling modules of which each uses all others, directly or
/// through further siblings.
///
/// What a descendant of a sibling imports counts as an import by that sibling, what is imported
/// from a descendant as an import from it. Imports between a module and its own ancestors and
/// descendants are free.
fn circles(sources: &[(PathBuf, String)]) -> Vec<String> {
    let files: BTreeMap<Name, &str> = sources
        .iter()
        .map(|(file, code)| (module(file), code.as_str()))
        .collect();
    let modules: BTreeSet<Name> = files.keys().cloned().collect();
    let reexports: BTreeMap<_, _> = files
        .iter()
        .map(|(own, code)| (own, reexports(own, code, &modules)))
        .collect();
    let mut uses: BTreeMap<Name, BTreeSet<Name>> = BTreeMap::new();
    for (own, code) in &files {
        for mut name in names(own, code) {
            // An item that an ancestor re-exports belongs to the module that it comes from.
            for _ in 0..modules.len() {
                let cut = (0..name.len())
                    .rev()
                    .find(|&n| modules.contains(&name[..n]));
                let Some(n) = cut.filter(|&n| !modules.contains(&name) && name[..n] != own[..])
                else {
                    break;
                };
                match reexports[&name[..n].to_vec()].get(&name[n]) {
                    Some(origin) if *origin != name => name = origin.clone(),
                    _ => break,
                }
            }
            while !name.is_empty() && !modules.contains(&name) {
                name.pop();
            }
            let common = own.iter().zip(&name).take_while(|(a, b)| a == b).count();
            if common > 0 && common < own.len().min(name.len()) {
                let user = own[..=common].to_vec();
                uses.entry(user)
                    .or_default()
                    .insert(name[..=common].to_vec());
            }
        }
    }
    let reachable = |from: &Name| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(module) = next.pop() {
            for used in uses.get(module).into_iter().flatten() {
                if seen.insert(used) {
                    next.push(used);
                }
            }
        }
        seen
    };
    let all: BTreeMap<_, _> = uses
        .keys()
        .map(|module| (module, reachable(module)))
        .collect();
    let circles: BTreeSet<String> = all
        .iter()
        .filter(|(module, used)| used.contains(**module))
        .map(|(module, used)| {
            let mutual =
                |other: &&&Name| all.get(**other).is_some_and(|used| used.contains(module));
            let members: Vec<_> = used.iter().filter(mutual).map(|m| m.join("::")).collect();
            members.join(", ")
        })
        .collect();
    circles.into_iter().collect()
}

/// Files with their code, without comments and strings.
fn codes() -> Vec<(PathBuf, String)> {
    let codes = sources()
        .into_iter()
        .map(|(file, text)| (file, code(&text)));
    codes.collect()
}

fn assert_none(faults: Vec<String>) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn rooms_use_only_what_precedes_them() {
    let codes = codes();
    assert!(codes.len() > 20, "the sources were not found");
    let files = codes
        .iter()
        .filter(|(file, _)| !["lib.rs", "prelude.rs"].map(Path::new).contains(&&**file));
    assert_none(
        files
            .flat_map(|(file, code)| misplaced(file, code))
            .collect(),
    );
}

#[test]
fn imports_inside_a_room_have_no_circles() {
    assert_none(circles(&codes()));
}

/// Checks the check of rooms on examples.
#[test]
fn an_import_of_a_later_room_is_detected() {
    let count = |file: &str, text: &str| misplaced(Path::new(file), &code(text)).len();
    for (faults, file, text) in [
        (1, "risk.rs", "use crate::energy::Energy;"),
        (
            2,
            "loss/square.rs",
            "use crate::{real::Real, flow::{A, B}, state::State};",
        ),
        (1, "risk/empirical.rs", "use super::super::energy::Energy;"),
        (1, "risk.rs", "fn f(mu: &super::state::State<f64>) {}"),
        (1, "risk.rs", "fn f() { let _ = crate::flow::f(); }"),
        (1, "cellar.rs", ""),
        (1, "risk.rs", "use crate::Inputs;"),
        (
            0,
            "energy/mmd.rs",
            "use super::{Energy, same}; use crate::feature::columns; use crate::energy::Kernel;",
        ),
        (
            0,
            "risk.rs",
            "/// [`f`](crate::flow)\n// crate::flow\nconst S: &str = \"crate::flow\";",
        ),
        (
            0,
            "feature/compute/simd.rs",
            "use super::super::Workspace; pub(crate) fn f() {}",
        ),
        (
            0,
            "risk.rs",
            "macro_rules! m { () => { $crate::flow::f() } }",
        ),
    ] {
        // A group of one room counts once an item.
        let found = count(file, text);
        assert!(
            found >= faults && (found > 0) == (faults > 0),
            "{found} faults in {file}: {text}"
        );
    }
}

/// Checks the check of circles on examples.
#[test]
fn a_circle_of_siblings_is_detected() {
    let circles = |files: &[(&str, &str)]| {
        let files: Vec<_> = files
            .iter()
            .map(|(file, text)| (PathBuf::from(file), code(text)))
            .collect();
        circles(&files).join("; ")
    };
    let two = [
        ("a.rs", ""),
        ("a/descent.rs", "use super::search::Search;"),
        ("a/search.rs", "use crate::a::descent::{Descent, f};"),
    ];
    assert_eq!(circles(&two), "a::descent, a::search");
    let through_a_third = [
        ("a/form.rs", "use super::{Bound, circle, sphere};"),
        ("a/circle.rs", "use super::sphere::f;"),
        ("a/sphere.rs", "fn f(form: &super::form::Form) {}"),
        ("a/dual.rs", "use super::form::Form;"),
    ];
    assert_eq!(circles(&through_a_third), "a::circle, a::form, a::sphere");
    let from_a_child = [
        ("a/energy.rs", "use super::convexity::mixture;"),
        ("a/energy/second.rs", "use super::super::slope::Slope;"),
        ("a/convexity.rs", "use super::slope;"),
        ("a/slope.rs", "use crate::a::energy::second::f;"),
    ];
    assert_eq!(circles(&from_a_child), "a::convexity, a::energy, a::slope");
    let reexported = [
        (
            "a.rs",
            "mod b; mod c; pub use b::{B, f}; pub use self::c::C;",
        ),
        ("a/b.rs", "use super::C;"),
        ("a/c.rs", "use super::{B, C};"),
    ];
    assert_eq!(circles(&reexported), "a::b, a::c");
    let allowed = [
        (
            "a.rs",
            "mod b; use b::B; pub trait Trait {} fn f() { b::g(); }",
        ),
        ("a/b.rs", "mod inner; use super::Trait; use inner::I;"),
        (
            "a/b/inner.rs",
            "use super::B; use super::super::Trait; use crate::a::c::C;",
        ),
        (
            "a/c.rs",
            "use super::Trait; mod tests { use super::*; use super::super::d; }",
        ),
        ("a/d.rs", "use super::Trait;"),
    ];
    assert_eq!(circles(&allowed), "");
}

#[test]
fn files_are_short() {
    let faults = sources().into_iter().filter_map(|(file, text)| {
        let lines = text.lines().count();
        (lines > MAX_LINES).then(|| format!("src/{} has {lines} lines", file.display()))
    });
    assert_none(faults.collect());
}

/// Unit tests stand beside what they test, at the end of its file.
#[test]
fn no_file_is_only_a_test() {
    let faults = codes().into_iter().filter_map(|(file, code)| {
        let module = code.split("#[cfg(test)]").skip(1).find_map(|item| {
            let name = identifier(item.trim_start().strip_prefix("mod ")?);
            let rest = &item.trim_start()["mod ".len() + name.len()..];
            rest.starts_with(';').then_some(name)
        })?;
        Some(format!(
            "src/{}: `mod {module};` is only a test",
            file.display()
        ))
    });
    assert_none(faults.collect());
}

/// The items that the `pub use` declarations of a file name.
fn public_names(code: &str) -> BTreeSet<&str> {
    let mut paths = Vec::new();
    for (at, head) in code.match_indices("pub use ") {
        expand(&code[at + head.len()..], &[], &mut paths);
    }
    paths
        .iter()
        .filter_map(|path| path.last().copied())
        .collect()
}

#[test]
fn the_root_is_short_and_the_prelude_has_every_contract_trait() {
    let codes: BTreeMap<_, _> = codes().into_iter().collect();
    let modules = ["init", "nalgebra"];
    let root = public_names(&codes[Path::new("lib.rs")]);
    let items: Vec<_> = root
        .into_iter()
        .filter(|name| !modules.contains(name))
        .collect();
    assert!(items.len() > 5, "the names of the root were not found");
    assert!(items.len() <= MAX_ROOT_NAMES, "{}: {items:?}", items.len());

    let prelude = public_names(&codes[Path::new("prelude.rs")]);
    for name in CONTRACT.iter().chain(&["Real"]) {
        assert!(prelude.contains(name), "{name} is missing in the prelude");
    }
}

/// `(name, required methods)` of the public traits in `code`: methods whose declaration ends in
/// `;`.
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
        found.push((identifier(rest).to_owned(), methods));
    }
    found
}

#[test]
fn traits_require_few_methods() {
    let codes = codes();
    let all: Vec<_> = codes.iter().flat_map(|(_, code)| traits(code)).collect();
    for name in CONTRACT {
        assert!(
            all.iter()
                .any(|(found, methods)| found == name && *methods > 0),
            "the trait {name} was not found"
        );
    }
    for (name, methods) in all {
        assert!(methods <= MAX_REQUIRED, "{name} requires {methods} methods");
    }
    let example = "pub trait A<T> { fn a(&self); fn b(&self) -> [T; 1]; \
        fn c(&self) -> [T; 1] { self.a(); } const N: usize; fn d(); }";
    assert_eq!(traits(example), [("A".to_owned(), 3)]);
}
