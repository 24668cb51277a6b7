//! Transcripts: Markdown whose `console` blocks are commands and what they print.
//!
//! A line `$ …` begins a command and lines `> …` continue it; every other line of the block is what it prints. In those,
//! `...` alone stands for any number of lines and inside a line for any text. That is the whole language: values are
//! saved by the shell's own variables, waits are the shell's own loops, so that a reader can type what is tested.

/// One command and what it should print.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// Line of the document, from 1.
    pub line: usize,
    /// The nearest heading above.
    pub heading: String,
    /// What the shell is given.
    pub command: String,
    /// Lines it should print.
    pub expected: Vec<String>,
}

/// The steps of a document, in order.
/// # Errors
/// A block that does not begin with a command, or is not closed.
pub fn parse(text: &str) -> Result<Vec<Step>, String> {
    let mut steps: Vec<Step> = Vec::new();
    let (mut inside, mut open, mut heading) = (false, false, String::new());
    for (i, line) in text.lines().enumerate() {
        let number = i + 1;
        if !inside {
            if let Some(h) = line.strip_prefix("## ") {
                heading = h.to_owned();
            }
            (inside, open) = (line == "```console", false);
        } else if line == "```" {
            inside = false;
        } else if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { line: number, heading: heading.clone(), command: command.to_owned(), expected: Vec::new() });
            open = true;
        } else {
            let step = steps.last_mut().filter(|_| open).ok_or_else(|| format!("line {number}: output without a command"))?;
            match line.strip_prefix('>').filter(|rest| step.expected.is_empty() && (rest.is_empty() || rest.starts_with(' '))) {
                Some(rest) => {
                    step.command.push('\n');
                    step.command.push_str(rest.strip_prefix(' ').unwrap_or(rest));
                }
                None => step.expected.push(line.to_owned()),
            }
        }
    }
    if inside { Err("the last block is not closed".into()) } else { Ok(steps) }
}

/// Whether `got` is what `expected` describes.
pub fn matches(expected: &[String], got: &[String]) -> bool {
    // reach[j]: the expected lines so far can stand for the first j lines of `got`.
    let mut reach = vec![false; got.len() + 1];
    reach[0] = true;
    for want in expected {
        if want.trim() == "..." {
            let first = reach.iter().position(|r| *r).unwrap_or(reach.len());
            reach[first..].fill(true);
        } else {
            for j in (0..got.len()).rev() {
                reach[j + 1] = reach[j] && line_matches(want, &got[j]);
            }
            reach[0] = false;
        }
    }
    reach[got.len()]
}

fn line_matches(want: &str, got: &str) -> bool {
    let mut parts = want.trim_end().split("...");
    let Some(mut rest) = parts.next().and_then(|head| got.trim_end().strip_prefix(head)) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    false
}

mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_document_is_read_as_it_is_written() {
        let text = "# T\n$ prose\n## One\n```console\n$ a \\\n>   b\n> c\nout\n> quoted\n$ d\n```\n```\n$ no\n```\n";
        let steps = parse(text).unwrap();
        assert_eq!(steps.len(), 2);
        assert_eq!((steps[0].line, steps[0].command.as_str()), (5, "a \\\n  b\nc"));
        assert_eq!(steps[0].expected, lines("out\n> quoted"));
        assert_eq!((steps[1].heading.as_str(), steps[1].expected.len()), ("One", 0));
        assert!(parse("```console\nout\n```\n").unwrap_err().contains("line 2"));
        assert!(parse("```console\n$ a\n").is_err());
    }

    #[test]
    fn dots_stand_for_text_and_for_lines_and_for_nothing_else() {
        for (want, got, fits) in [
            ("", "", true),
            ("", "x", false),
            ("x", "", false),
            ("...", "", true),
            ("a\n...\nd", "a\nb\nc\nd", true),
            ("a\n...\nd", "a\nd", true),
            ("a\n...\nd", "a\nb\nc", false),
            ("...\nb\n...", "a\nb\nc\nb", true),
            ("| id | ... |", "| id | 12 |", true),
            ("| id | ... |", "| id | 12 ", false),
            ("a ... b ... c", "a 1 b 2 c", true),
            ("a ... b ... c", "a 1 c", false),
            ("aba...aba", "aba", false),
            ("abc  ", "abc", true),
        ] {
            assert_eq!(matches(&lines(want), &lines(got)), fits, "{want:?} against {got:?}");
        }
    }
}
