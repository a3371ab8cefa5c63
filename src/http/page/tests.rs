//! Every file of the page is served, and nothing else.

use std::collections::BTreeSet;
use std::fs;

use super::{CSS, FILES, HTML, SCRIPT, SVG, TAGS, answer};
use hyper::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use hyper::{HeaderMap, StatusCode};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/page");
/// All of it, as sent; small enough for a slow phone.
const MOST_BYTES: usize = 160 * 1024;

#[test]
fn every_file_of_the_folder_is_served_as_its_kind() {
    let served: BTreeSet<_> = FILES.iter().map(|file| file.name.to_owned()).collect();
    let there: BTreeSet<_> = fs::read_dir(FOLDER)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name != "tests.rs")
        .collect();
    assert_eq!(served, there);
    for file in FILES {
        let kind = match file.name.rsplit_once('.').expect("an extension").1 {
            "html" => HTML,
            "css" => CSS,
            "svg" => SVG,
            _ => SCRIPT,
        };
        assert_eq!(file.kind, kind, "{}", file.name);
        let response = answer(file.name, &HeaderMap::new());
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[CONTENT_TYPE], kind);
    }
    assert_eq!(answer("../page.rs", &HeaderMap::new()).status(), StatusCode::NOT_FOUND);
}

#[test]
fn the_page_stays_small() {
    let bytes: usize = FILES.iter().map(|file| file.content.len()).sum();
    assert!(bytes <= MOST_BYTES, "{bytes} bytes, at most {MOST_BYTES}");
}

#[test]
fn what_the_browser_has_is_not_sent_again() {
    let tag = &TAGS[0];
    for value in [tag.clone(), format!("\"old\", W/{tag}"), "*".to_owned()] {
        let mut asked = HeaderMap::new();
        asked.insert(IF_NONE_MATCH, value.parse().expect("a value"));
        let response = answer("index.html", &asked);
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{value}");
        assert_eq!(response.headers()[ETAG], tag.as_str());
    }
    let mut asked = HeaderMap::new();
    asked.insert(IF_NONE_MATCH, "\"old\"".parse().expect("a value"));
    assert_eq!(answer("index.html", &asked).status(), StatusCode::OK);
}

#[test]
fn nothing_names_another_host_and_no_string_becomes_markup() {
    let banned = [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "localStorage",
        "document.cookie",
        "style=",
        "onclick=\"",
    ];
    for file in FILES {
        let text = String::from_utf8_lossy(file.content);
        for word in banned {
            assert!(!text.contains(word), "{}: {word}", file.name);
        }
        // The one address that is a name: the namespace of SVG.
        let text = text.replace("http://www.w3.org/2000/svg", "");
        let address =
            text.find("://").map(|at| &text[at.saturating_sub(8)..(at + 20).min(text.len())]);
        assert!(file.name == "markdown.js" || address.is_none(), "{}: {address:?}", file.name);
    }
}
