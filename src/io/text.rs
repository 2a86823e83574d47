//! A cursor over the headers of files: the subset of JSON of safetensors, and the dictionary of
//! `.npy` files.
//!
//! The grammar has a fixed depth, so that no input leads to recursion.

use super::failure::ArchiveError;

/// A position in a header.
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    /// The header in errors, as in "the header".
    what: &'a str,
}

impl<'a> Cursor<'a> {
    /// The start of a header, which must be UTF-8.
    pub(super) fn new(bytes: &'a [u8], what: &'a str) -> Result<Self, ArchiveError> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let found = format!("an invalid byte at {}", error.valid_up_to());
            ArchiveError::invalid(what, "UTF-8", found)
        })?;
        Ok(Self { text, at: 0, what })
    }

    /// The error that something else is required at this position.
    pub(super) fn refuse(&self, required: &str) -> ArchiveError {
        let what = format!("byte {} of {}", self.at, self.what);
        let rest = &self.text[self.at..];
        let found = match rest.chars().next() {
            None => "the end".to_owned(),
            Some(_) => format!("`{}`", rest.chars().take(10).collect::<String>()),
        };
        ArchiveError::invalid(what, required, found)
    }

    /// Skips white space.
    pub(super) fn skip_space(&mut self) {
        let rest = self.text[self.at..].trim_start_matches([' ', '\t', '\r', '\n']);
        self.at = self.text.len() - rest.len();
    }

    /// Skips white space and `token`, and returns true, if the token follows.
    pub(super) fn skip(&mut self, token: &str) -> bool {
        self.skip_space();
        let found = self.text[self.at..].starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    /// Skips a token that must follow.
    pub(super) fn expect(&mut self, token: &str) -> Result<(), ArchiveError> {
        if self.skip(token) {
            Ok(())
        } else {
            Err(self.refuse(&format!("`{token}`")))
        }
    }

    /// Requires that only white space follows.
    pub(super) fn end(&mut self) -> Result<(), ArchiveError> {
        self.skip_space();
        if self.at == self.text.len() {
            Ok(())
        } else {
            Err(self.refuse("the end"))
        }
    }

    /// A natural number.
    pub(super) fn number(&mut self) -> Result<usize, ArchiveError> {
        self.skip_space();
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !c.is_ascii_digit());
        let digits = &rest[..end.unwrap_or(rest.len())];
        let number = digits
            .parse()
            .map_err(|_| self.refuse("a number below 2^64"))?;
        self.at += digits.len();
        Ok(number)
    }

    /// A list of natural numbers between two delimiters; a trailing comma is allowed.
    pub(super) fn numbers(&mut self, open: &str, close: &str) -> Result<Vec<usize>, ArchiveError> {
        self.expect(open)?;
        let mut numbers = Vec::new();
        while !self.skip(close) {
            numbers.push(self.number()?);
            if !self.skip(",") {
                self.expect(close)?;
                break;
            }
        }
        Ok(numbers)
    }

    /// A string between the given quotes, with the escapes of JSON.
    pub(super) fn string(&mut self, quote: char) -> Result<String, ArchiveError> {
        self.skip_space();
        if !self.text[self.at..].starts_with(quote) {
            return Err(self.refuse("a string"));
        }
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let end = rest.find(|c: char| c == quote || c == '\\' || c < ' ');
            let end = end.unwrap_or(rest.len());
            out.push_str(&rest[..end]);
            self.at += end;
            if rest[end..].starts_with(quote) {
                self.at += 1;
                return Ok(out);
            }
            if !rest[end..].starts_with('\\') {
                return Err(self.refuse("a character of a string"));
            }
            out.push(self.escape()?);
        }
    }

    /// The character of an escape sequence that starts at this position.
    fn escape(&mut self) -> Result<char, ArchiveError> {
        let code = self.text[self.at..].chars().nth(1);
        let simple = match code {
            Some(c @ ('"' | '\\' | '/' | '\'')) => Some(c),
            Some('b') => Some('\u{8}'),
            Some('f') => Some('\u{c}'),
            Some('n') => Some('\n'),
            Some('r') => Some('\r'),
            Some('t') => Some('\t'),
            _ => None,
        };
        if let Some(c) = simple {
            self.at += 2;
            return Ok(c);
        }
        let rest = &self.text[self.at..];
        let unit = |at: usize| match rest.get(at..at + 6)?.strip_prefix("\\u")? {
            digits if digits.bytes().all(|b| b.is_ascii_hexdigit()) => {
                u16::from_str_radix(digits, 16).ok()
            }
            _ => None,
        };
        // Characters beyond the basic plane are two escapes, a surrogate pair.
        let units: Vec<u16> = [unit(0), unit(6)].into_iter().map_while(|u| u).collect();
        match char::decode_utf16(units).next() {
            Some(Ok(c)) => {
                self.at += 6 * c.len_utf16();
                Ok(c)
            }
            _ => Err(self.refuse("an escape sequence")),
        }
    }

    /// An object `{"key": value, ..}`; `value` reads a value.
    pub(super) fn object(
        &mut self,
        mut value: impl FnMut(&mut Self, String) -> Result<(), ArchiveError>,
    ) -> Result<(), ArchiveError> {
        self.expect("{")?;
        if self.skip("}") {
            return Ok(());
        }
        loop {
            let key = self.string('"')?;
            self.expect(":")?;
            value(self, key)?;
            if !self.skip(",") {
                return self.expect("}");
            }
        }
    }
}

/// Appends a string in quotes, with the escapes of JSON.
pub(super) fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}
