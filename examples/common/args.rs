//! Options of an example: `--help` exits with 0, a bad option with a message and 2.

#![allow(dead_code, reason = "an example uses what it needs")]

use std::fmt::Display;
use std::process::exit;
use std::str::FromStr;

/// The words of the command line, read one after the other.
pub struct Args {
    words: std::vec::IntoIter<String>,
    /// The option read last, for messages.
    option: String,
}

impl Args {
    /// The options as `parse` reads them. Prints `help` and exits when asked to, or when an option is refused.
    pub fn read<O>(help: &str, parse: impl FnOnce(&mut Self) -> Result<O, String>) -> O {
        let words: Vec<String> = std::env::args().skip(1).collect();
        if words.iter().any(|word| word == "--help" || word == "-h") {
            print!("{help}");
            exit(0);
        }
        parse(&mut Self {
            words: words.into_iter(),
            option: String::new(),
        })
        .unwrap_or_else(|message| {
            eprint!("error: {message}\n\n{help}");
            exit(2);
        })
    }

    /// The next option, such as `--seed`.
    pub fn option(&mut self) -> Option<String> {
        self.option = self.words.next()?;
        Some(self.option.clone())
    }

    /// The value of the option, which `accept` must find to be what `requirement` says.
    pub fn value<T: FromStr>(
        &mut self,
        requirement: &str,
        accept: impl Fn(&T) -> bool,
    ) -> Result<T, String> {
        let word = self
            .words
            .next()
            .ok_or_else(|| self.refusal(requirement, "nothing"))?;
        word.parse()
            .ok()
            .filter(accept)
            .ok_or_else(|| self.refusal(requirement, &word))
    }

    /// The values of the option, separated by commas.
    pub fn values<T: FromStr>(
        &mut self,
        requirement: &str,
        accept: impl Fn(&T) -> bool,
    ) -> Result<Vec<T>, String> {
        let word = self
            .words
            .next()
            .ok_or_else(|| self.refusal(requirement, "nothing"))?;
        let values = word
            .split(',')
            .map(|word| word.trim().parse().ok().filter(&accept));
        values
            .collect::<Option<_>>()
            .ok_or_else(|| self.refusal(requirement, &word))
    }

    /// That there is no such option.
    pub fn unknown(&self) -> String {
        format!("there is no option {}", self.option)
    }

    fn refusal(&self, requirement: &str, found: impl Display) -> String {
        format!("{} must be {requirement}, found {found}", self.option)
    }
}
