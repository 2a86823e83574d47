//! Command-line options of the examples: `--help` exits with status 0, an invalid option with a
//! message and status 2.

#![allow(dead_code, reason = "each example uses a part")]

use std::process::exit;
use std::str::FromStr;

/// The arguments of the command line, read one after the other.
pub struct Args {
    arguments: std::vec::IntoIter<String>,
    /// The last option read, for messages.
    option: String,
}

impl Args {
    /// The options that `parse` returns. Prints `help` and exits on `--help` or an invalid option.
    pub fn read<O>(help: &str, parse: impl FnOnce(&mut Self) -> Result<O, String>) -> O {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        if arguments.iter().any(|a| a == "--help" || a == "-h") {
            print!("{help}");
            exit(0);
        }
        parse(&mut Self {
            arguments: arguments.into_iter(),
            option: String::new(),
        })
        .unwrap_or_else(|message| {
            eprint!("error: {message}\n\n{help}");
            exit(2);
        })
    }

    /// The next option, such as `--seed`.
    pub fn option(&mut self) -> Option<String> {
        self.option = self.arguments.next()?;
        Some(self.option.clone())
    }

    /// The value of the option. An error states `requirement` if the value is missing, is
    /// malformed, or fails `accept`.
    pub fn value<T: FromStr>(
        &mut self,
        requirement: &str,
        accept: impl Fn(&T) -> bool,
    ) -> Result<T, String> {
        self.next_value(requirement, |word| word.parse().ok().filter(&accept))
    }

    /// The values of the option, separated by commas; each must meet `requirement`.
    pub fn values<T: FromStr>(
        &mut self,
        requirement: &str,
        accept: impl Fn(&T) -> bool,
    ) -> Result<Vec<T>, String> {
        let parse = |word: &str| word.trim().parse().ok().filter(&accept);
        self.next_value(requirement, |words| words.split(',').map(parse).collect())
    }

    /// The error for an unknown option.
    pub fn unknown(&self) -> String {
        format!("unknown option {}", self.option)
    }

    fn next_value<T>(
        &mut self,
        requirement: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, String> {
        let argument = self.arguments.next();
        argument.as_deref().and_then(parse).ok_or_else(|| {
            let found = argument.as_deref().unwrap_or("nothing");
            format!("{} must be {requirement}, found {found}", self.option)
        })
    }
}
