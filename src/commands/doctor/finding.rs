//! One thing that was looked at: how it is, and how to mend it.

use serde_json::{Value, json};

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    Good,
    Note,
    Wrong,
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Verdict::Good => "ok",
            Verdict::Note => "note",
            Verdict::Wrong => "WRONG",
        }
    }
}

/// The worst of all.
pub(super) fn worst(findings: &[Finding]) -> Verdict {
    let verdicts = findings.iter().map(|finding| finding.verdict);
    verdicts.max().unwrap_or(Verdict::Good)
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    subject: &'static str,
    pub verdict: Verdict,
    pub text: String,
    mend: Option<String>,
    /// What each node has, where they differ.
    nodes: Vec<(String, String)>,
}

/// It is as it should be.
pub(super) fn good(subject: &'static str, text: impl Into<String>) -> Finding {
    Finding {
        subject,
        verdict: Verdict::Good,
        text: text.into(),
        mend: None,
        nodes: Vec::new(),
    }
}

/// It works, and could be better.
pub(super) fn note(
    subject: &'static str,
    text: impl Into<String>,
    mend: impl Into<String>,
) -> Finding {
    Finding {
        verdict: Verdict::Note,
        mend: Some(mend.into()),
        ..good(subject, text)
    }
}

/// A job would fail, or not do what it should.
pub(super) fn wrong(
    subject: &'static str,
    text: impl Into<String>,
    mend: impl Into<String>,
) -> Finding {
    Finding {
        verdict: Verdict::Wrong,
        ..note(subject, text, mend)
    }
}

impl Finding {
    /// With what each node has.
    pub fn on(self, nodes: Vec<(String, String)>) -> Self {
        Self { nodes, ..self }
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let nodes = self.nodes.iter();
        let nodes = nodes.map(|(node, text)| json!({"node": node, "text": text}));
        json!({
            "subject": self.subject,
            "verdict": self.verdict.name(),
            "text": self.text,
            "mend": self.mend,
            "nodes": nodes.collect::<Vec<_>>(),
        })
    }

    /// For people: rows of three columns.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let below = |text: String| vec![String::new(), String::new(), text];
        let first = [self.verdict.name(), self.subject, &self.text];
        let mut rows = vec![first.map(str::to_owned).to_vec()];
        rows.extend(alike(&self.nodes).map(below));
        let mend = self.mend.iter();
        rows.extend(mend.map(|mend| below(format!("mend: {mend}"))));
        rows
    }
}

/// Nodes that are told one by one.
const SHOWN: usize = 16;

/// One line for all nodes that have the same.
fn alike(nodes: &[(String, String)]) -> impl Iterator<Item = String> {
    let mut lines: Vec<(Vec<&str>, &str)> = Vec::new();
    for (node, text) in nodes {
        match lines.iter_mut().find(|(_, known)| known == text) {
            Some((names, _)) => names.push(node),
            None => lines.push((vec![node], text)),
        }
    }
    let lines: Vec<_> = lines
        .into_iter()
        .map(|(mut names, text)| {
            let more = names.len().saturating_sub(SHOWN);
            names.truncate(SHOWN);
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            format!("{}{more}: {text}", names.join(", "))
        })
        .collect();
    lines.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_that_have_the_same_share_a_line() {
        let nodes = ["n1 a", "n2 b", "n3 a"].map(|pair| {
            let (node, text) = pair.split_once(' ').unwrap();
            (node.to_owned(), text.to_owned())
        });
        let finding = wrong("x", "differs", "mend it").on(nodes.to_vec());
        let rows: Vec<_> = finding.rows().iter().map(|row| row.join("|")).collect();
        assert_eq!(
            rows,
            [
                "WRONG|x|differs",
                "||n1, n3: a",
                "||n2: b",
                "||mend: mend it"
            ]
        );
        let told = finding.json();
        assert_eq!(told["nodes"][1]["node"], "n2");
        assert_eq!(told["mend"], "mend it");
        assert!(good("x", "y").json()["mend"].is_null());
    }
}
