//! Keeps the documents true: the targets of their links exist, and each package has its licences.

use std::fs;
use std::path::{Path, PathBuf};

/// The folders of the published packages.
const PACKAGES: &[&str] = &["core", "core/mask", "driver", "adapter-tokio", "adapter-smol", "adapter-std"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Collects the Markdown files below `folder`.
fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "target" && name != "node_modules" && !name.starts_with('.') {
            collect(&path, found);
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

/// Returns the anchor that the web view of a repository generates for a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().trim().to_lowercase().replace(' ', "-")
}

fn has_anchor(document: &Path, wanted: &str) -> bool {
    let text = fs::read_to_string(document).unwrap();
    text.lines().filter_map(|line| line.strip_prefix('#')).any(|heading| {
        let heading = heading.trim_start_matches('#');
        anchor(heading.trim()) == wanted
    })
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut documents = Vec::new();
    collect(&root(), &mut documents);
    assert!(documents.len() > 10, "only {} documents were found", documents.len());
    let mut broken = Vec::new();
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link);
        for link in targets.filter(|link| !link.contains("://")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { document.clone() } else { document.with_file_name(path) };
            if !target.exists() || !anchor.is_empty() && !has_anchor(&target, anchor) {
                broken.push(format!("{link} in {}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "broken links: {broken:#?}");
}

#[test]
fn every_file_that_contributing_names_exists() {
    let text = fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    let is_path = |quoted: &&str| {
        quoted.contains('/') && quoted.chars().all(|c| c.is_ascii_alphanumeric() || "/_-.".contains(c))
    };
    // Code blocks have no paths, and their fences would confuse the quotes.
    let prose = text.split("```").step_by(2);
    let paths: Vec<_> = prose.flat_map(|part| part.split('`').skip(1).step_by(2)).filter(is_path).collect();
    assert!(paths.len() > 30, "only {} paths were found", paths.len());
    let missing: Vec<_> =
        paths.iter().filter(|path| **path != "src/" && !root().join(path).exists()).collect();
    assert!(missing.is_empty(), "CONTRIBUTING.md names files that do not exist: {missing:#?}");
}

#[test]
fn every_package_carries_its_licences_and_a_readme() {
    for package in PACKAGES {
        for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
            let original = fs::read_to_string(root().join(licence)).unwrap();
            let own = fs::read_to_string(root().join(package).join(licence)).unwrap();
            assert_eq!(own, original, "{licence} of {package}");
        }
        let manifest = fs::read_to_string(root().join(package).join("Cargo.toml")).unwrap();
        assert!(manifest.contains("readme = \"README.md\""), "{package} names no README of its own");
        assert!(root().join(package).join("README.md").exists(), "{package} has no README");
    }
}
