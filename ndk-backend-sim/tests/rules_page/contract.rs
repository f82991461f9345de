//! What can be read from `docs/contract.md`: a rule begins at a heading with an anchor.

use std::fs;

/// A rule as the contract has it.
pub(crate) struct Rule {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) body: String,
}

/// The rules, in the order of the page.
pub(crate) fn rules() -> Vec<Rule> {
    let path = crate::root().join("docs/contract.md");
    let text = fs::read_to_string(&path).expect("docs/contract.md can be read");
    let mut rules: Vec<Rule> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with('#') {
            let found = rule(line);
            inside = found.is_some();
            rules.extend(found);
        } else if let (true, Some(rule)) = (inside, rules.last_mut()) {
            rule.body.push_str(line);
            rule.body.push('\n');
        }
    }
    assert!(!rules.is_empty(), "docs/contract.md has no anchors");
    rules
}

/// Reads `### <a id="c6"></a>C6. Length 0`.
fn rule(heading: &str) -> Option<Rule> {
    let (anchor, rest) = heading.split_once("<a id=\"")?.1.split_once("\"></a>")?;
    let (id, title) = rest.split_once(". ").unwrap_or((rest, ""));
    assert_eq!(anchor, id.to_lowercase(), "the anchor and the ID differ in {heading:?}");
    Some(Rule { id: id.into(), title: title.into(), body: String::new() })
}
