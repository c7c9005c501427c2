//! JSON, read byte by byte after RFC 8259: what the reference models stand on, so that they share no parser with the decoder.

use std::borrow::Cow;

/// Why a text is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It ends too early: more of it could make it JSON.
    End,
    /// Nothing could.
    Bad,
}

/// A string, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    /// What it says. Half of a surrogate pair, and bytes that are not UTF-8, are U+FFFD.
    pub(crate) text: String,
    /// Whether it has half of a surrogate pair.
    pub(crate) lone_surrogate: bool,
}

/// A value, as far as the models care.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// As it is written.
    Number(Cow<'a, str>),
    Text(Text),
    Other,
}

/// Whether a key may have half of a surrogate pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    Whole,
    Any,
}

/// The members of the object that these bytes are.
pub(crate) fn members(bytes: &[u8], keys: Keys) -> Result<Vec<(Text, Value<'_>)>, Fault> {
    let mut reader = Reader { bytes, at: 0 };
    let mut members = Vec::new();
    reader.take(b'{')?;
    if reader.next()? == b'}' {
        reader.at += 1;
    } else {
        loop {
            members.push((reader.key(keys)?, reader.value()?));
            match reader.next()? {
                b',' => reader.at += 1,
                b'}' => break reader.at += 1,
                _ => return Err(Fault::Bad),
            }
        }
    }
    match reader.next() {
        Err(Fault::End) => Ok(members),
        _ => Err(Fault::Bad),
    }
}

/// What JSON calls insignificant whitespace.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Result<u8, Fault> {
        self.bytes.get(self.at).copied().ok_or(Fault::End)
    }

    /// The next byte that is no space.
    fn next(&mut self) -> Result<u8, Fault> {
        while is_space(self.peek()?) {
            self.at += 1;
        }
        self.peek()
    }

    fn take(&mut self, byte: u8) -> Result<(), Fault> {
        if self.next()? != byte {
            return Err(Fault::Bad);
        }
        self.at += 1;
        Ok(())
    }

    fn key(&mut self, keys: Keys) -> Result<Text, Fault> {
        self.take(b'"')?;
        let key = self.text(keys)?;
        self.take(b':')?;
        Ok(key)
    }

    fn value(&mut self) -> Result<Value<'a>, Fault> {
        match self.next()? {
            b'[' | b'{' => self.nested(),
            _ => self.scalar(),
        }
    }

    fn scalar(&mut self) -> Result<Value<'a>, Fault> {
        match self.peek()? {
            b'"' => {
                self.at += 1;
                self.text(Keys::Any).map(Value::Text)
            }
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            b'-' | b'0'..=b'9' => self.number(),
            _ => Err(Fault::Bad),
        }
    }

    fn literal(&mut self, word: &[u8]) -> Result<Value<'a>, Fault> {
        for letter in word {
            if self.peek()? != *letter {
                return Err(Fault::Bad);
            }
            self.at += 1;
        }
        Ok(Value::Other)
    }

    fn number(&mut self) -> Result<Value<'a>, Fault> {
        let begin = self.at;
        if self.peek()? == b'-' {
            self.at += 1;
        }
        if self.peek()? == b'0' {
            self.at += 1;
            if self.peek().is_ok_and(|byte| byte.is_ascii_digit()) {
                return Err(Fault::Bad);
            }
        } else {
            self.digits()?;
        }
        if self.peek() == Ok(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Ok(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek()?, b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Value::Number(String::from_utf8_lossy(&self.bytes[begin..self.at])))
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), Fault> {
        if !self.peek()?.is_ascii_digit() {
            return Err(Fault::Bad);
        }
        while self.peek().is_ok_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    /// An array or an object, which nobody looks into. Without recursion: 4 KiB can be deep.
    fn nested(&mut self) -> Result<Value<'a>, Fault> {
        let mut open = Vec::new();
        loop {
            let begin = self.next()?;
            match begin {
                b'[' | b'{' => {
                    self.at += 1;
                    let end = begin + 2;
                    if self.next()? == end {
                        self.at += 1;
                    } else {
                        open.push(end);
                        if begin == b'{' {
                            self.key(Keys::Any)?;
                        }
                        continue;
                    }
                }
                _ => drop(self.scalar()?),
            }
            if !self.close(&mut open)? {
                return Ok(Value::Other);
            }
        }
    }

    /// After a value: closes what ends here, and says whether another value follows.
    fn close(&mut self, open: &mut Vec<u8>) -> Result<bool, Fault> {
        while let Some(end) = open.last().copied() {
            let byte = self.next()?;
            self.at += 1;
            if byte == b',' {
                if end == b'}' {
                    self.key(Keys::Any)?;
                }
                return Ok(true);
            }
            if byte != end {
                return Err(Fault::Bad);
            }
            open.pop();
        }
        Ok(false)
    }

    /// A string from behind its first quote to behind its last one.
    fn text(&mut self, keys: Keys) -> Result<Text, Fault> {
        let mut bytes = Vec::new();
        let mut lone_surrogate = false;
        loop {
            let byte = self.peek()?;
            self.at += 1;
            match byte {
                b'"' => {
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    return Ok(Text { text, lone_surrogate });
                }
                b'\\' => {
                    let found = self.escape(keys)?;
                    lone_surrogate |= found.is_none();
                    let found = found.unwrap_or(char::REPLACEMENT_CHARACTER);
                    bytes.extend_from_slice(found.encode_utf8(&mut [0; 4]).as_bytes());
                }
                0..0x20 => return Err(Fault::Bad),
                _ => bytes.push(byte),
            }
        }
    }

    /// What an escape stands for; `None` for half of a surrogate pair.
    fn escape(&mut self, keys: Keys) -> Result<Option<char>, Fault> {
        let letter = self.peek()?;
        self.at += 1;
        let found = match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unit(keys),
            _ => return Err(Fault::Bad),
        };
        Ok(Some(found))
    }

    fn unit(&mut self, keys: Keys) -> Result<Option<char>, Fault> {
        let first = self.hex4()?;
        if let Some(found) = char::from_u32(first) {
            return Ok(Some(found));
        }
        let behind = self.at;
        if first < 0xdc00 {
            let second = self.second_half();
            if let Ok(second) = second {
                return Ok(char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)));
            }
            if keys == Keys::Whole && second == Err(Fault::End) {
                return Err(Fault::End);
            }
        }
        self.at = behind;
        if keys == Keys::Whole { Err(Fault::Bad) } else { Ok(None) }
    }

    fn second_half(&mut self) -> Result<u32, Fault> {
        for letter in b"\\u" {
            if self.peek()? != *letter {
                return Err(Fault::Bad);
            }
            self.at += 1;
        }
        let second = self.hex4()?;
        if (0xdc00..0xe000).contains(&second) { Ok(second) } else { Err(Fault::Bad) }
    }

    fn hex4(&mut self) -> Result<u32, Fault> {
        let mut number = 0;
        for _ in 0..4 {
            number = number * 16 + char::from(self.peek()?).to_digit(16).ok_or(Fault::Bad)?;
            self.at += 1;
        }
        Ok(number)
    }
}
