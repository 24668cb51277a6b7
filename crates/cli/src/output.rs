//! Text for people, JSON for programs. The only place of this crate that prints.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::{IsTerminal, Write};

/// How a word is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// As it is.
    Plain,
    /// All is well.
    Good,
    /// Look at it.
    Warn,
    /// It is broken.
    Bad,
}

/// Where answers go.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
    colour: bool,
}

impl Output {
    /// Answers as JSON or as text.
    pub fn new(json: bool) -> Output {
        let colour = !json && std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        Output { json, colour }
    }
    /// JSON is wanted.
    pub fn is_json(&self) -> bool {
        self.json
    }
    /// One line of text. Nobody may be reading any more (`kilonova status | head -1`): that is no error.
    pub fn line(&self, text: impl std::fmt::Display) {
        let _ = writeln!(std::io::stdout(), "{text}");
    }
    /// A line that is no part of the answer: progress, hints.
    pub fn note(&self, text: impl std::fmt::Display) {
        let _ = writeln!(std::io::stderr(), "{text}");
    }
    /// Progress on one line that is written over; nothing where no terminal is.
    pub fn progress(&self, text: impl std::fmt::Display) {
        if std::io::stderr().is_terminal() {
            eprint!("\r\x1b[2K{text}");
        }
    }
    /// Ends the line of progress.
    pub fn progress_done(&self) {
        if std::io::stderr().is_terminal() {
            eprint!("\r\x1b[2K");
        }
    }
    /// The answer as JSON.
    pub fn json(&self, value: &serde_json::Value) {
        self.line(format_args!("{value:#}"));
    }
    /// A word in its style.
    pub fn paint(&self, style: Style, text: &str) -> String {
        let code = match style {
            Style::Plain => return text.to_owned(),
            Style::Good => "32",
            Style::Warn => "33",
            Style::Bad => "31",
        };
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
    /// A table.
    pub fn table(&self, head: &[&str], rows: Vec<Vec<String>>) {
        let mut table = comfy_table::Table::new();
        table.load_preset(comfy_table::presets::NOTHING).set_header(head.iter().map(|h| h.to_uppercase()));
        for row in rows {
            table.add_row(row);
        }
        // The table pads on both sides; the left one is not wanted.
        for line in table.trim_fmt().lines() {
            self.line(line.strip_prefix(' ').unwrap_or(line).trim_end());
        }
    }
}
