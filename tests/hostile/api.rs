//! The public functions of the library, from its sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::{Attribute, ImplItem, Item, TraitItem, Type, Visibility};

/// Public functions by name, with their documentation.
///
/// A name is `Type::function`, `Trait::method` or `module::function`, with the top-level module of
/// the file. Methods count if their type is declared `pub`; other items of modules are `pub` only if
/// they are public.
pub struct Api {
    documentation: BTreeMap<String, String>,
}

/// The panics that a function documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Panics {
    Never,
    /// A check with a message of its own.
    Checked,
    /// An index, or a slice of one sample or particle in the innermost loops, is out of range.
    AsIndexing,
}

impl Api {
    /// Parses all files of `src`.
    pub fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
        let mut files = Vec::new();
        collect(&root, &mut files);
        let parsed: Vec<(String, syn::File)> = files
            .iter()
            .map(|path| {
                let text = fs::read_to_string(path).unwrap();
                let file = syn::parse_file(&text)
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                (room(&root, path), file)
            })
            .collect();
        let mut api = Self {
            documentation: BTreeMap::new(),
        };
        // A type may have methods in any file of its module.
        let mut types: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for (room, file) in &parsed {
            let names = public_types(&file.items);
            types.entry(room).or_default().extend(names);
        }
        for (room, file) in &parsed {
            api.add_items(room, &file.items, &types[room.as_str()]);
        }
        assert!(api.documentation.len() > 150, "the sources were not found");
        api
    }

    /// The names of all functions.
    pub fn functions(&self) -> BTreeSet<String> {
        self.documentation.keys().cloned().collect()
    }

    /// The panics in the documentation of a function.
    pub fn panics(&self, function: &str) -> Panics {
        match self.documentation.get(function) {
            Some(text) if text.contains("as indexing does") => Panics::AsIndexing,
            Some(text) if text.contains("may panic") => Panics::AsIndexing,
            Some(text) if text.contains("# Panics") => Panics::Checked,
            _ => Panics::Never,
        }
    }

    fn add_items(&mut self, room: &str, items: &[Item], types: &BTreeSet<String>) {
        for item in items {
            match item {
                Item::Fn(function) if is_public(&function.vis) => {
                    let name = format!("{room}::{}", function.sig.ident);
                    self.add(name, &function.attrs);
                }
                Item::Trait(item) if is_public(&item.vis) => {
                    for entry in &item.items {
                        if let TraitItem::Fn(method) = entry {
                            let name = format!("{}::{}", item.ident, method.sig.ident);
                            self.add(name.clone(), &item.attrs); // what holds for all methods
                            self.add(name, &method.attrs);
                        }
                    }
                }
                Item::Impl(block) if block.trait_.is_none() => {
                    let name = type_name(&block.self_ty);
                    if !types.contains(&name) {
                        continue;
                    }
                    for entry in &block.items {
                        if let ImplItem::Fn(method) = entry
                            && is_public(&method.vis)
                        {
                            self.add(format!("{name}::{}", method.sig.ident), &method.attrs);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn add(&mut self, name: String, attributes: &[Attribute]) {
        self.documentation
            .entry(name)
            .or_default()
            .push_str(&documentation(attributes));
    }
}

/// The names of the public types of a file.
fn public_types(items: &[Item]) -> BTreeSet<String> {
    let name = |item: &Item| match item {
        Item::Struct(item) if is_public(&item.vis) => Some(item.ident.to_string()),
        Item::Enum(item) if is_public(&item.vis) => Some(item.ident.to_string()),
        _ => None,
    };
    items.iter().filter_map(name).collect()
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn type_name(ty: &Type) -> String {
    match ty {
        Type::Path(path) => path.path.segments.last().unwrap().ident.to_string(),
        _ => String::new(),
    }
}

fn documentation(attributes: &[Attribute]) -> String {
    let line = |attribute: &Attribute| match &attribute.meta {
        syn::Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            syn::Expr::Lit(syn::ExprLit {
                lit: syn::Lit::Str(text),
                ..
            }) => Some(text.value() + "\n"),
            _ => None,
        },
        _ => None,
    };
    attributes.iter().filter_map(line).collect()
}

/// The top-level module of a file.
fn room(root: &Path, file: &Path) -> String {
    let file = file.strip_prefix(root).unwrap().with_extension("");
    file.iter().next().unwrap().to_str().unwrap().to_owned()
}

fn collect(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            out.push(path);
        }
    }
}
