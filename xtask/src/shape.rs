//! `cargo xtask shape`: where the long functions and files are.
//!
//! The median function is short everywhere; clarity is in the tail. So the picture is the share of
//! function lines that live inside functions over 100 lines, the 95th percentile of function
//! length, and the files over 500 lines, tests left out. Nothing fails on it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::json;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::root;

/// Length over which a function counts as long.
const FUNCTION_LONG: usize = 100;

/// Length over which a file counts as long.
const FILE_LONG: usize = 500;

/// How `shape` prints.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Measures every package of the workspace and prints the picture.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut packages = BTreeMap::new();
    for folder in package_folders()? {
        let shape = measure_package(&folder)?;
        let name = folder.strip_prefix(root::repository()).unwrap_or(&folder);
        packages.insert(name.display().to_string(), shape);
    }
    let mut total = Shape::default();
    packages.values().for_each(|shape| total.add(shape));
    if options.json {
        let packages: BTreeMap<_, _> =
            packages.iter().map(|(name, shape)| (name, shape.to_json())).collect();
        println!("{:#}", json!({ "packages": packages, "total": total.to_json() }));
    } else {
        print_table(&packages, &total);
    }
    Ok(())
}

fn package_folders() -> Result<Vec<PathBuf>> {
    let mut folders: Vec<PathBuf> = ["xtask", "bench", "e2e"].map(root::path).to_vec();
    for entry in fs::read_dir(root::path("crates"))? {
        folders.push(entry?.path());
    }
    folders.retain(|folder| folder.join("src").is_dir());
    Ok(folders)
}

fn measure_package(folder: &Path) -> Result<Shape> {
    let mut files = Vec::new();
    collect_files(&folder.join("src"), &mut files)?;
    let mut shape = Shape::default();
    for file in files {
        let text = fs::read_to_string(&file)?;
        let measured = measure_file(&text).with_context(|| file.display().to_string())?;
        if measured.lines > FILE_LONG {
            let name = file.strip_prefix(root::repository()).unwrap_or(&file);
            shape.files_long.push(name.display().to_string());
        }
        shape.files += 1;
        shape.lines += measured.lines;
        shape.functions.extend(measured.functions);
    }
    Ok(shape)
}

/// Rust files below a folder, without the tests that stand in files of their own.
fn collect_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_stem().is_some_and(|stem| stem == "tests") {
            continue;
        }
        if path.is_dir() {
            collect_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

fn measure_file(text: &str) -> Result<Measured> {
    let file = syn::parse_file(text)?;
    let mut measured = Measured { lines: text.lines().count(), functions: Vec::new() };
    measured.visit_file(&file);
    Ok(measured)
}

/// What one file holds, its tests taken out.
struct Measured {
    lines: usize,
    functions: Vec<usize>,
}

impl Measured {
    fn take_out(&mut self, item: &impl Spanned) {
        self.lines = self.lines.saturating_sub(line_count(item));
    }
}

impl<'ast> Visit<'ast> for Measured {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if only_for_tests(&item.attrs) {
            self.take_out(item);
        } else {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if only_for_tests(&item.attrs) {
            self.take_out(item);
        } else {
            self.functions.push(span_lines(&item.sig, &item.block));
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.functions.push(span_lines(&item.sig, &item.block));
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.functions.push(span_lines(&item.sig, block));
        }
        visit::visit_trait_item_fn(self, item);
    }
}

fn only_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let words = match &attribute.meta {
            syn::Meta::List(list) if list.path.is_ident("cfg") => list.tokens.to_string(),
            _ => return attribute.path().is_ident("test"),
        };
        words == "test"
    })
}

fn line_count(item: &impl Spanned) -> usize {
    span_lines(item, item)
}

/// Lines from where one thing begins to where another ends.
fn span_lines(first: &impl Spanned, last: &impl Spanned) -> usize {
    last.span().end().line.saturating_sub(first.span().start().line) + 1
}

/// Sizes of a package or of all.
#[derive(Default)]
struct Shape {
    files: usize,
    lines: usize,
    files_long: Vec<String>,
    functions: Vec<usize>,
}

impl Shape {
    fn add(&mut self, other: &Self) {
        self.files += other.files;
        self.lines += other.lines;
        self.files_long.extend_from_slice(&other.files_long);
        self.functions.extend_from_slice(&other.functions);
    }

    /// Per cent of function lines that are inside long functions.
    fn share_in_long(&self) -> f64 {
        let all: usize = self.functions.iter().sum();
        let long: usize = self.functions.iter().filter(|lines| **lines > FUNCTION_LONG).sum();
        if all == 0 { 0.0 } else { 100.0 * long as f64 / all as f64 }
    }

    /// Length that 95 of 100 functions do not exceed.
    fn p95(&self) -> usize {
        let mut sorted = self.functions.clone();
        sorted.sort_unstable();
        let place = (sorted.len() * 95).div_ceil(100).saturating_sub(1);
        sorted.get(place).copied().unwrap_or(0)
    }

    fn longest(&self) -> usize {
        self.functions.iter().copied().max().unwrap_or(0)
    }

    fn to_json(&self) -> serde_json::Value {
        json!({
            "files": self.files,
            "lines": self.lines,
            "functions": self.functions.len(),
            "function_p95": self.p95(),
            "function_longest": self.longest(),
            "share_in_functions_over_100_percent": self.share_in_long(),
            "files_over_500": self.files_long,
        })
    }
}

fn print_table(packages: &BTreeMap<String, Shape>, total: &Shape) {
    println!("package            files   lines  functions  p95  longest  in >100   files >500");
    for (name, shape) in packages.iter().map(|(name, shape)| (name.as_str(), shape)) {
        print_row(name, shape);
    }
    print_row("total", total);
    for file in &total.files_long {
        println!("over {FILE_LONG} lines: {file}");
    }
}

fn print_row(name: &str, shape: &Shape) {
    println!(
        "{name:<17} {:>6} {:>7} {:>10} {:>4} {:>8} {:>7.1}% {:>12}",
        shape.files,
        shape.lines,
        shape.functions.len(),
        shape.p95(),
        shape.longest(),
        shape.share_in_long(),
        shape.files_long.len(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_left_out() {
        let text = "fn a() {\n}\n#[cfg(test)]\nmod tests {\n  #[test]\n  fn b() {\n\n  }\n}\n";
        let measured = measure_file(text).unwrap();
        assert_eq!(measured.functions, [2]);
        assert_eq!(measured.lines, 2);
    }

    #[test]
    fn a_long_function_shows_in_the_share() {
        let long = format!("impl X {{\nfn long() {{\n{}}}\nfn s() {{}}\n}}", "f();\n".repeat(200));
        let functions = measure_file(&long).unwrap().functions;
        assert_eq!(functions, [202, 1]);
        let shape = Shape { functions, ..Shape::default() };
        assert!(shape.share_in_long() > 99.0);
        assert_eq!(shape.p95(), 202);
    }
}
